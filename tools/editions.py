"""Keep the Korean edition in step with the English one.

English is canonical. A Korean notebook has the same cell ids, code, outputs and tags, and owns its
prose. Each of its Markdown cells carries the digest of the English text that it translates, so a
later edit of the English text shows.

- ``python -m tools.editions sync``: bring code, outputs, tags and order over, and the English
  text of new cells. Korean prose is never touched.
- ``python -m tools.editions translated notebooks/ko/01_tokenization.ipynb``: call the Korean prose
  a translation of the English text as it is now.
- ``python -m tools.editions check``: list what differs.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from tools.notebooks import EDITIONS, NOTEBOOKS, lesson_paths, read_notebook, write_notebook
from tools.prose import HANGUL, needs_translation, without_badges

CANONICAL, TRANSLATION = EDITIONS
DIGEST_KEY = "translates"
KINDS = ("ids", "code", "outputs", "tags", "missing", "untranslated", "stale")


@dataclass(frozen=True)
class Difference:
    """Where a Korean notebook is out of step.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    cell : str
        Id of the cell.
    remedy : str
        What is wrong and what to do.
    """

    kind: str
    cell: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.cell}: {self.remedy}"


def digest(english: str) -> str:
    r"""Short digest of an English text; spaces at its ends and launch badges do not count.

    Examples
    --------
    >>> digest("Tokens") == digest("Tokens\n"), digest("Tokens") == digest("tokens")
    (True, False)
    """
    return hashlib.sha256(without_badges(english).strip().encode()).hexdigest()[:12]


def twin(path: Path) -> Path:
    """The same lesson in the other edition.

    Examples
    --------
    >>> twin(Path("notebooks/en/01_tokenization.ipynb")).as_posix()
    'notebooks/ko/01_tokenization.ipynb'
    """
    other = TRANSLATION if path.parent.name == CANONICAL else CANONICAL
    return path.parent.parent / other / path.name


def synchronise(english: NotebookNode, korean: NotebookNode | None) -> NotebookNode:
    """Return the Korean notebook with the English one's cells, and its own prose in them."""
    own = {cell.id: cell for cell in korean.cells} if korean else {}
    result = copy.deepcopy(english)
    result.cells = [_synchronised(cell, own.get(cell.id)) for cell in english.cells]
    return result


def dropped(english: NotebookNode, korean: NotebookNode) -> list[str]:
    """Ids of Korean prose cells that `synchronise` leaves out: no English cell has their id."""
    ids = {cell.id for cell in english.cells if cell.cell_type == "markdown"}
    prose = (cell for cell in korean.cells if cell.cell_type == "markdown")
    return [cell.id for cell in prose if cell.id not in ids and HANGUL.search(cell.source)]


def _synchronised(english: NotebookNode, own: NotebookNode | None) -> NotebookNode:
    cell = copy.deepcopy(english)
    if cell.cell_type != "markdown":
        return cell
    if not needs_translation(english.source):
        cell.metadata[DIGEST_KEY] = digest(english.source)
    elif own is not None and own.cell_type == "markdown" and HANGUL.search(own.source):
        cell.source = own.source
        if DIGEST_KEY in own.metadata:
            cell.metadata[DIGEST_KEY] = own.metadata[DIGEST_KEY]
    return cell


def stamp(english: NotebookNode, korean: NotebookNode) -> tuple[list[str], list[str]]:
    """Write digests into the Korean cells that are translations.

    Returns
    -------
    tuple[list[str], list[str]]
        Ids of the cells whose digest is new, and of those refused: no Hangul, or no twin.
    """
    sources = {cell.id: cell.source for cell in english.cells if cell.cell_type == "markdown"}
    stamped, refused = [], []
    for cell in korean.cells:
        if cell.cell_type != "markdown":
            continue
        if cell.id not in sources or not _is_translated(sources[cell.id], cell.source):
            refused.append(cell.id)
        elif cell.metadata.get(DIGEST_KEY) != digest(sources[cell.id]):
            cell.metadata[DIGEST_KEY] = digest(sources[cell.id])
            stamped.append(cell.id)
    return stamped, refused


def differences(english: NotebookNode, korean: NotebookNode) -> list[Difference]:
    """List everything in which a Korean notebook is not in step with its English twin."""
    found = _id_differences([cell.id for cell in english.cells], [cell.id for cell in korean.cells])
    own = {cell.id: cell for cell in korean.cells}
    for cell in english.cells:
        if cell.id in own:
            found += _cell_differences(cell, own[cell.id])
    return found


def _id_differences(english: list[str], korean: list[str]) -> list[Difference]:
    missing = [Difference("missing", i, "not in the Korean edition: make sync") for i in english]
    extra = [Difference("ids", i, "not in the English edition: make sync") for i in korean]
    found = [one for one in missing if one.cell not in korean]
    found += [one for one in extra if one.cell not in english]
    if not found and english != korean:
        moved = next(mine for right, mine in zip(english, korean) if right != mine)
        found.append(Difference("ids", moved, "cells are in another order: make sync"))
    return found


def _cell_differences(english: NotebookNode, korean: NotebookNode) -> list[Difference]:
    if english.cell_type != korean.cell_type:
        return [Difference("code", english.id, f"is {korean.cell_type}: make sync")]
    metadata = {key: value for key, value in korean.metadata.items() if key != DIGEST_KEY}
    same = {"tags": english.metadata == metadata}
    if english.cell_type == "code":
        same["code"] = english.source == korean.source
        same["outputs"] = english.outputs == korean.outputs
        same["outputs"] &= english.execution_count == korean.execution_count
    found = [
        Difference(kind, english.id, "differs from the English edition: make sync")
        for kind, is_same in same.items()
        if not is_same
    ]
    return found + (_prose_differences(english, korean) if english.cell_type == "markdown" else [])


def _prose_differences(english: NotebookNode, korean: NotebookNode) -> list[Difference]:
    carried = korean.metadata.get(DIGEST_KEY)
    if not _is_translated(english.source, korean.source):
        remedy = "no Hangul: translate it, then make translated NB=…"
        return [Difference("untranslated", english.id, remedy)]
    if carried is None:
        return [Difference("untranslated", english.id, "no digest: make translated NB=…")]
    if carried != digest(english.source):
        remedy = "the English text has changed: revise the Korean, then make translated NB=…"
        return [Difference("stale", english.id, remedy)]
    return []


def _is_translated(english: str, korean: str) -> bool:
    return bool(HANGUL.search(korean)) or not needs_translation(english)


def lesson_differences(english: Path) -> list[Difference]:
    """Compare an English lesson's file with its Korean twin's."""
    if not twin(english).exists():
        return [Difference("missing", english.name, "no Korean edition: make sync")]
    return differences(read_notebook(english), read_notebook(twin(english)))


def orphans(notebooks: Path = NOTEBOOKS) -> list[Path]:
    """Korean lessons without an English one."""
    return [path for path in lesson_paths(TRANSLATION, notebooks) if not twin(path).exists()]


def sync(english: Path) -> str:
    """Update the Korean twin's file, and say what was done."""
    path, original = twin(english), read_notebook(english)
    korean = read_notebook(path) if path.exists() else None
    updated = synchronise(original, korean)
    if korean is not None and updated.cells == korean.cells:
        return "in step"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_notebook(path, updated)
    lost = dropped(original, korean) if korean else []
    return "updated" + (f"; dropped the Korean prose of {', '.join(lost)}" if lost else "")


def translated(korean: Path) -> list[str]:
    """Stamp a Korean file; print what was stamped, and return the ids that were refused."""
    if korean.parent.name != TRANSLATION or not twin(korean).exists():
        sys.exit(f"{korean} is not a Korean lesson with an English twin.")
    notebook = read_notebook(korean)
    stamped, refused = stamp(read_notebook(twin(korean)), notebook)
    if stamped:
        write_notebook(korean, notebook)
    print(f"{korean}: {len(stamped)} newly called a translation: {', '.join(stamped) or 'none'}")
    return refused


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if something is left to do."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sync", help="update the Korean notebooks")
    commands.add_parser("check", help="list what is out of step")
    stamping = commands.add_parser("translated", help="call Korean prose a current translation")
    stamping.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "translated":
        return _translated_all(options.notebooks)
    if options.command == "sync":
        for path in lesson_paths(CANONICAL):
            print(f"{twin(path).name}: {sync(path)}")
    found = _report()
    return int(found and options.command == "check")


def _translated_all(paths: list[Path]) -> int:
    refused = {path: translated(path) for path in paths}
    for path, ids in refused.items():
        if ids:
            print(f"{path}: refused, without Hangul or without a twin: {', '.join(ids)}")
    return int(any(refused.values()))


def _report() -> bool:
    found = {path: lesson_differences(path) for path in lesson_paths(CANONICAL)}
    for path, listed in found.items():
        for difference in listed:
            print(f"{twin(path).name}: {difference}")
    return any(found.values())


if __name__ == "__main__":
    sys.exit(main())
