"""Put launch badges for a fork into READMEs and lessons, and tell the set-up cell where it lives.

``python -m tools.badges owner/name [branch]``; an empty name takes them out again.

Where the course is published is known only to whoever publishes it, so the repository itself has
no such addresses. Badges stand in a paragraph of their own behind a heading.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from nbformat import NotebookNode

from tools.notebooks import (
    EDITIONS,
    ROOT,
    lesson_number,
    lesson_paths,
    read_notebook,
    write_notebook,
)
from tools.prose import without_badges

_READMES = {"en": "README.md", "ko": "README.ko.md"}
_REPO = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9])*/[A-Za-z0-9._-]+")
_BRANCH = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]|/(?![./]))*")
_SOURCE = re.compile(r'^COURSE_SOURCE = ".*"$', re.MULTILINE)
_ROW = re.compile(r"(\| \d\d \| \[[^\]]+\]\((notebooks/[^)]+)\).*?)(?: · \[Colab\]\([^)]*\))?( \|)")
_COLAB_PICTURE = "https://colab.research.google.com/assets/colab-badge.svg"
_BINDER_PICTURE = "https://mybinder.org/badge_logo.svg"


class BadgeError(ValueError):
    """A repository or a branch that cannot be one."""


@dataclass(frozen=True)
class Fork:
    """Where a copy of the course is published.

    Parameters
    ----------
    repo : str
        ``owner/name`` on GitHub.
    branch : str

    Raises
    ------
    BadgeError
        For names that GitHub does not allow.

    Examples
    --------
    >>> Fork("kim/llm-course").source
    'git+https://github.com/kim/llm-course@main'
    """

    repo: str
    branch: str = "main"

    def __post_init__(self) -> None:
        if not _REPO.fullmatch(self.repo):
            raise BadgeError(
                f"{self.repo!r} is no repository: write REPO=owner/name, without a host."
            )
        if not _BRANCH.fullmatch(self.branch) or self.branch.endswith((".", "/", ".lock")):
            raise BadgeError(f"{self.branch!r} cannot be the name of a branch.")

    @property
    def source(self) -> str:
        """What pip installs the course from."""
        return f"git+https://github.com/{self.repo}@{self.branch}"

    def colab(self, path: str) -> str:
        """Address that opens a notebook in Colab."""
        return (
            f"https://colab.research.google.com/github/{self.repo}/blob/{self.branch}/{quote(path)}"
        )

    def binder(self, path: str) -> str:
        """Address that opens a notebook in Binder."""
        shown = quote(f"lab/tree/{path}", safe="")
        return (
            f"https://mybinder.org/v2/gh/{self.repo}/{quote(self.branch, safe='')}?urlpath={shown}"
        )

    def badges(self, path: str) -> str:
        """Both badges of a notebook, in Markdown."""
        return (
            f"[![Open in Colab]({_COLAB_PICTURE})]({self.colab(path)}) "
            f"[![Open in Binder]({_BINDER_PICTURE})]({self.binder(path)})"
        )


def stamp(fork: Fork | None, root: Path = ROOT) -> list[Path]:
    """Write a fork's addresses into READMEs and lessons, or take them out; return what changed."""
    changed = []
    for edition in EDITIONS:
        lessons = lesson_paths(edition, root / "notebooks")
        start = next((p for p in lessons if lesson_number(p.name) == 0), None)
        readme = root / _READMES[edition]
        text = readme.read_text(encoding="utf-8")
        first = start.relative_to(root).as_posix() if start else ""
        stamped = stamped_rows(stamped_text(text, fork.badges(first) if fork else ""), fork)
        if stamped != text:
            readme.write_text(stamped, encoding="utf-8", newline="\n")
            changed.append(readme)
        changed += [path for path in lessons if _stamp_lesson(path, fork, root)]
    return changed


def stamped_text(markdown: str, badges: str) -> str:
    r"""Markdown with badges behind its heading, instead of those that were there.

    Examples
    --------
    >>> stamped_text("# Title\n\nText.", "[![a](b)](c)")
    '# Title\n\n[![a](b)](c)\n\nText.'
    """
    heading, _, rest = without_badges(markdown).partition("\n\n")
    return "\n\n".join(part for part in (heading, badges, rest) if part)


def stamped_rows(markdown: str, fork: Fork | None) -> str:
    """A README whose table of lessons links to Colab, or does not."""

    def row(found: re.Match[str]) -> str:
        link = f" · [Colab]({fork.colab(found[2])})" if fork else ""
        return f"{found[1]}{link}{found[3]}"

    return _ROW.sub(row, markdown)


def _stamp_lesson(path: Path, fork: Fork | None, root: Path) -> bool:
    notebook = read_notebook(path)
    badges = fork.badges(path.relative_to(root).as_posix()) if fork else ""
    before = [cell.source for cell in notebook.cells]
    for cell in notebook.cells:
        cell.source = _stamped_cell(cell, fork, badges)
    if before == [cell.source for cell in notebook.cells]:
        return False
    write_notebook(path, notebook)
    return True


def _stamped_cell(cell: NotebookNode, fork: Fork | None, badges: str) -> str:
    if cell.id == "title":
        return stamped_text(cell.source, badges)
    if cell.id == "setup":
        line = f'COURSE_SOURCE = "{fork.source if fork else ""}"'
        return _SOURCE.sub(lambda _: line, cell.source)
    return cell.source


def main(arguments: Iterable[str] | None = None) -> int:
    """Stamp this repository."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("repo", help="owner/name on GitHub; empty: take the badges out")
    parser.add_argument("branch", nargs="?", default="main")
    options = parser.parse_args(arguments)
    try:
        fork = Fork(options.repo, options.branch) if options.repo else None
    except BadgeError as error:
        parser.error(str(error))
    changed = stamp(fork)
    print(f"{len(changed)} files changed" + (f": they now open {fork.source}" if fork else ""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
