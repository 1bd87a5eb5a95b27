"""What a page shows of a notebook: cells as HTML, with anchors and links, and nothing to be run.

Every cell can be linked to by its id, which both editions share. Links lead to pages of the site,
or to copies of the repository's files in it. A page also needs what a lesson says about itself: its
title, the question that it answers, and how long it takes.
"""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from tools.notebooks import NOTEBOOKS, ROOT, caption, images
from tools.prose import without_badges

TEXT_FILES = ("", ".cfg", ".sh", ".toml", ".txt", ".yaml", ".yml")  # "": LICENSE and Makefile
_WIDGET = "application/vnd.jupyter.widget-view+json"
_UNUSABLE = ("application/javascript", "text/latex")  # need jQuery and MathJax
_MINUTES = re.compile(r"(\d+)(?:\s*(?:to|[-–~])\s*(\d+))?\s*(?:minutes|분)")


@dataclass
class Site:
    """Where pages go, and the files of the repository that they link to.

    Parameters
    ----------
    notebooks : Path
        Folder of the editions.
    output : Path
    files : dict[str, Path]
        Linked files by their place in the site; filled while pages are rendered.
    """

    notebooks: Path = NOTEBOOKS
    output: Path = ROOT / "build" / "pages"
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """Folder that holds the notebooks: of files in it, the site has pages or copies."""
        return self.notebooks.parent.resolve()

    def place_of(self, file: Path) -> str | None:
        """Where a file of the repository is in the site; None: nowhere."""
        file = file.resolve()
        if not file.is_file() or not file.is_relative_to(self.root):
            return None  # a folder, or a lesson still to be written
        if file.suffix == ".ipynb":
            return f"{file.parent.name}/{file.stem}.html"
        place = f"files/{file.relative_to(self.root).as_posix()}"
        if file.suffix in (*TEXT_FILES, ".md", ".py"):
            place += ".html"
        self.files[place] = file
        return place

    def address(self, target: str, source: Path, place: str) -> str | None:
        """Where a link of the file `source` leads from the page at `place`; None: nowhere."""
        parts = urlsplit(target)
        if parts.scheme or parts.netloc or not parts.path:
            return target
        other = self.place_of(source.parent / unquote(parts.path))
        if other is None:
            return None
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        return f"{relative(other, place)}{fragment}"


@dataclass(frozen=True)
class Heading:
    """A heading of a page, and the id that a link to it names."""

    anchor: str
    text: str


def rendered(notebook: NotebookNode, words: Mapping[str, str]) -> BeautifulSoup:
    """The cells of a notebook as HTML whose ids are those of the cells."""
    body, _ = _exporter().from_notebook_node(for_reading(notebook, words["interactive"]))
    soup = BeautifulSoup(body, "html.parser")
    for cell in soup.select("div.cell"):
        cell["id"] = cell["id"].removeprefix("cell-id=")
        _name_headings(cell)
        if "celltag_exercise" in cell["class"]:
            note = soup.new_tag("p", attrs={"class": "exercise-note"})
            note.string = words["progress" if cell["id"] == "progress" else "exercise"]
            cell.insert(0, note)
    return soup


def for_reading(notebook: NotebookNode, note: str) -> NotebookNode:
    """A copy whose figures have alternative text, with `note` for what only a kernel can show."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None]):
        for output in images(cell):
            cell.metadata["alt"] = alternative_text(caption(after) or "")
            output.metadata = {}
        for output in cell.get("outputs", []):
            _replace_what_cannot_run(output, note)
    return notebook


def alternative_text(text: str) -> str:
    """A caption without its Markdown.

    Examples
    --------
    >>> alternative_text("scores of `▁서울` and [others](a.md), *sorted*")
    'scores of ▁서울 and others, sorted'
    """
    return re.sub(r"[`*]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)).strip()


def headings(soup: BeautifulSoup) -> Iterator[Heading]:
    """The sections of a page."""
    for heading in soup.select(".text_cell h2"):
        yield Heading(anchor(heading), words_of(heading))


def anchor(heading: Tag) -> str:
    """Id that leads to a heading: its own, or that of the cell which begins with it."""
    return heading.get("id") or heading.find_parent(class_="cell")["id"]


def words_of(element: Tag) -> str:
    """Its text on one line."""
    return " ".join(element.get_text().split())


def lesson_title(notebook: NotebookNode) -> str:
    """The first heading, without its markup."""
    first = notebook.cells[0].source if notebook.cells else ""
    return alternative_text(first.partition("\n")[0].lstrip("# "))


def question(notebook: NotebookNode) -> str:
    """What a lesson asks: the bold words, or else all words, under its title."""
    first = notebook.cells[0].source if notebook.cells else ""
    text = " ".join(without_badges(first).partition("\n")[2].split())
    bold = re.match(r"\*\*(.+?)\*\*", text)
    return alternative_text(bold.group(1) if bold else text)


def minutes(notebook: NotebookNode) -> str:
    """How long a lesson says that it takes: "40", "60–90", or "".

    Examples
    --------
    >>> from nbformat.v4 import new_markdown_cell, new_notebook
    >>> cell = new_markdown_cell("You need 60 to 90 minutes", id="what")
    >>> minutes(new_notebook(cells=[cell]))
    '60–90'
    """
    what = next((cell.source for cell in notebook.cells if cell.get("id") == "what"), "")
    found = _MINUTES.findall(what)
    return "–".join(filter(None, found[-1])) if found else ""


def github_anchor(heading: str) -> str:
    """Id that GitHub gives a heading.

    Examples
    --------
    >>> github_anchor("What is in the repository?")
    'what-is-in-the-repository'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def rewrite_links(soup: BeautifulSoup, source: Path, place: str, site: Site) -> None:
    """Let links lead to pages and copied files; what leads nowhere becomes plain text.

    So does a picture on another server: a page asks the network for nothing.
    """
    for element in soup.select("a[href], img[src]"):
        kind = "href" if element.name == "a" else "src"
        address = site.address(element[kind], source, place)
        if element.name == "img" and urlsplit(address or "").scheme in ("http", "https"):
            address = None
        if address is not None:
            element[kind] = address
        elif element.name == "a":
            element.unwrap()
        else:
            element.replace_with(element.get("alt", ""))


def relative(place: str, from_page: str) -> str:
    """Address of a place in the site as a page of the site writes it.

    Examples
    --------
    >>> relative("ko/01_tokenization.html", "files/README.md.html")
    '../ko/01_tokenization.html'
    """
    return quote(posixpath.relpath(place, posixpath.dirname(from_page) or "."))


@cache
def _exporter() -> HTMLExporter:
    return HTMLExporter(
        template_name="basic",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        embed_images=False,
    )


def _name_headings(cell: Tag) -> None:
    """Give a heading an id of its own unless the cell begins with it."""
    for n, heading in enumerate(cell.select(".text_cell_render h2, .text_cell_render h3"), 1):
        if heading.find_previous_sibling() is not None:
            heading["id"] = f"{cell['id']}-{n}"


def _replace_what_cannot_run(output: NotebookNode, note: str) -> None:
    data = output.get("data", {})
    for kind in _UNUSABLE:
        data.pop(kind, None)
    if data.pop(_WIDGET, None) is not None:
        data.clear()
        data["text/html"] = f'<p class="interactive-note">{note}</p>'
