"""Lessons as files: find them, read them, run them and store them as a learner should find them.

``python -m tools.notebooks execute notebooks/en/00_start_here.ipynb …``
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
EDITIONS = ("en", "ko")  # the first one is canonical
EXERCISE_TAG = "exercise"  # such a cell is stored un-run: the learner is to run it
CELL_TIMEOUT_S = 300
FIGURE_TYPES = ("image/png", "image/jpeg", "image/svg+xml")
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_CAPTION = re.compile(r"\*(?:Figure|그림)\b[^:：]*[:：]\s*(?P<text>.+?)\*?\s*$")


@dataclass(frozen=True)
class Lesson:
    """One notebook of one edition.

    Parameters
    ----------
    path : Path
        `…/<edition>/<number>_<slug>.ipynb`.
    notebook : NotebookNode
    """

    path: Path
    notebook: NotebookNode

    @classmethod
    def read(cls, path: Path) -> Lesson:
        """Read a lesson from its file."""
        return cls(path, read_notebook(path))

    @property
    def edition(self) -> str:
        """`"en"` or `"ko"`: the name of its folder."""
        return self.path.parent.name

    @property
    def number(self) -> int:
        """Number of the lesson, the same in both editions; -1 if its name has none."""
        return lesson_number(self.path.name)

    @property
    def cells(self) -> list[NotebookNode]:
        """All cells in order."""
        return self.notebook.cells

    @property
    def code(self) -> list[NotebookNode]:
        """The code cells in order."""
        return [cell for cell in self.cells if cell.cell_type == "code"]

    @property
    def prose(self) -> list[NotebookNode]:
        """The Markdown cells in order."""
        return [cell for cell in self.cells if cell.cell_type == "markdown"]


def lesson_paths(edition: str, notebooks: Path = NOTEBOOKS) -> list[Path]:
    """Every notebook in the folder of an edition, in the order of the course."""
    return sorted((notebooks / edition).glob("*.ipynb"))


def lesson_number(name: str) -> int:
    """Number in a lesson's file name, or -1.

    Examples
    --------
    >>> lesson_number("07_gguf.ipynb"), lesson_number("Untitled.ipynb")
    (7, -1)
    """
    found = re.match(r"(\d\d)_", name)
    return int(found.group(1)) if found else -1


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook as it is. (`nbformat.read` would mend duplicate ids, so none were found.)"""
    return nbformat.v4.reads(path.read_text(encoding="utf-8"))


def write_notebook(path: Path, notebook: NotebookNode) -> None:
    """Write a notebook with nothing in its metadata that differs from machine to machine."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    path.write_text(nbformat.v4.writes(notebook) + "\n", encoding="utf-8", newline="\n")


def tags(cell: NotebookNode) -> list[str]:
    """Tags of a cell."""
    return cell.metadata.get("tags", [])


def is_exercise(cell: NotebookNode) -> bool:
    """Tell whether a learner is to fill in this cell."""
    return EXERCISE_TAG in tags(cell)


def images(cell: NotebookNode) -> list[NotebookNode]:
    """Outputs of a cell that show a picture."""
    outputs = cell.get("outputs", [])
    return [output for output in outputs if set(FIGURE_TYPES) & output.get("data", {}).keys()]


def output_texts(cell: NotebookNode) -> list[str]:
    """All that a cell's outputs say in words, but for `<Figure size …>` under a picture."""
    texts = []
    for output in cell.get("outputs", []):
        data = {} if output in images(cell) else output.get("data", {})
        texts += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
        texts += output.get("traceback", [])
    return [text for text in texts if text]


def caption(cell: NotebookNode | None) -> str | None:
    r"""Text of the caption that a Markdown cell begins with: what a figure's reader cannot miss.

    Examples
    --------
    >>> caption(nbformat.v4.new_markdown_cell("*Figure: merges, one by one.*"))
    'merges, one by one.'
    >>> caption(nbformat.v4.new_markdown_cell("*그림 2: 하나씩 합친 결과.*\n\nmore"))
    '하나씩 합친 결과.'
    >>> caption(nbformat.v4.new_markdown_cell("no caption")) is None
    True
    """
    if cell is None or cell.cell_type != "markdown":
        return None
    paragraph = " ".join(cell.source.partition("\n\n")[0].split())
    found = _CAPTION.match(paragraph)
    return found.group("text") if found else None


def execute(path: Path) -> None:
    """Run every cell in the notebook's own folder and store the outputs, exercises excepted."""
    notebook = read_notebook(path)
    NotebookClient(
        notebook, timeout=CELL_TIMEOUT_S, resources={"metadata": {"path": str(path.parent)}}
    ).execute(env={**os.environ, "TQDM_DISABLE": "1"})  # a bar has no place in a stored output
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
