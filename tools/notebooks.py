"""Run a lesson top to bottom and store its outputs as a learner should find them.

``python -m tools.notebooks execute notebooks/en/00_start_here.ipynb …``
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

EXERCISE_TAG = "exercise"  # such a cell is stored un-run: the learner is to run it
CELL_TIMEOUT_S = 300
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook of the current format."""
    return nbformat.read(path, as_version=4)


def write_notebook(path: Path, notebook: NotebookNode) -> None:
    """Write a notebook with nothing in its metadata that differs from machine to machine."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    nbformat.write(notebook, path)


def is_exercise(cell: NotebookNode) -> bool:
    """Tell whether a learner is to fill in this cell."""
    return EXERCISE_TAG in cell.metadata.get("tags", [])


def execute(path: Path) -> None:
    """Run every cell in the notebook's own folder and store the outputs, exercises excepted."""
    notebook = read_notebook(path)
    NotebookClient(
        notebook, timeout=CELL_TIMEOUT_S, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)  # when it ran is nobody's business
        if is_exercise(cell):
            cell.outputs, cell.execution_count = [], None
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    write_notebook(path, notebook)


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["execute"])
    parser.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    for path in options.notebooks:
        execute(path)
        print(f"ran {path}")


if __name__ == "__main__":
    main()
