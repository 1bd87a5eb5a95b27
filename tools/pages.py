"""Render every lesson of both editions as a web page, to be read without Jupyter.

``python -m tools.pages`` writes ``build/pages/``: ``index.html`` to choose a language, and
``en/NAME.html`` and ``ko/NAME.html``. The pages need no network. Figures take their alternative
text from the caption below them; links between lessons lead from page to page.
"""

from __future__ import annotations

import argparse
import base64
import copy
import html
import io
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fontTools import subset
from jinja2 import Environment, FileSystemLoader
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from course_lib.plots import hangul_font_path
from tools.editions import twin
from tools.notebooks import EDITIONS, NOTEBOOKS, ROOT, caption, images, lesson_paths, read_notebook

OUTPUT = ROOT / "build" / "pages"
FONTS = ("NanumGothic.ttf", "NanumGothicBold.ttf")
TEMPLATES = Path(__file__).parent / "page_templates"
COURSE = {
    "en": "Run an LLM on your own machine: from tokens to Mistral 7B",
    "ko": "내 컴퓨터에서 LLM 실행하기: 토큰에서 Mistral 7B까지",
}
LANGUAGE_NAMES = {"en": "English", "ko": "한국어"}
ALL_LESSONS = {"en": "All lessons", "ko": "전체 목차"}
INTERACTIVE = {
    "en": "Interactive: run the lesson in JupyterLab to use it.",
    "ko": "직접 움직여 보려면 JupyterLab에서 이 셀을 실행하세요.",
}
_WIDGET = "application/vnd.jupyter.widget-view+json"
_UNUSABLE = ("application/javascript", "text/latex")  # need jQuery and MathJax
_ADDRESS = re.compile(r'(?P<before><(?:a|img)\b[^<>]*?\s)(?P<kind>href|src)="(?P<target>[^"]*)"')


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
    output: Path = OUTPUT
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """Folder that holds the notebooks: of files in it, pages carry copies."""
        return self.notebooks.parent

    def address(self, target: str, source: Path) -> str | None:
        """Where a link of the notebook `source` leads on its page; None: nowhere."""
        parts = urlsplit(target)
        if parts.scheme or parts.netloc or not parts.path:
            return target
        file = (source.parent / unquote(parts.path)).resolve()
        if not file.is_file() or not file.is_relative_to(self.root.resolve()):
            return None  # a folder, or a lesson still to be written
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        if file.suffix == ".ipynb":
            return f"../{file.parent.name}/{file.stem}.html{fragment}"
        place = f"files/{file.relative_to(self.root.resolve()).as_posix()}"
        self.files[place] = file
        return f"../{place}{fragment}"


def build(site: Site) -> list[Path]:
    """Write all pages and what they need; return the pages."""
    shutil.rmtree(site.output, ignore_errors=True)
    pages = {"index.html": render_start()}
    for edition in EDITIONS:
        paths = lesson_paths(edition, site.notebooks)
        pages[f"{edition}/index.html"] = render_index(edition, paths)
        pages |= {f"{edition}/{path.stem}.html": render_lesson(path, site) for path in paths}
    characters = "".join(sorted(set().union(*pages.values())))
    for place, text in (pages | {"style.css": style(characters)}).items():
        _write(site.output / place, text)
    for place, file in site.files.items():
        (site.output / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, site.output / place)
    return [site.output / place for place in pages]


def render_lesson(path: Path, site: Site) -> str:
    """One lesson as a page."""
    edition = path.parent.name
    exporter = HTMLExporter(
        template_name="basic",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        embed_images=False,
    )
    notebook = for_reading(read_notebook(path), edition)
    body, _ = exporter.from_notebook_node(notebook)
    other = twin(path)
    links = [(ALL_LESSONS[edition], "index.html", "")]
    if other.exists():
        language = other.parent.name
        links.append((LANGUAGE_NAMES[language], f"../{language}/{path.stem}.html", language))
    title = f"{lesson_title(notebook)} · {COURSE[edition]}"
    return _page(edition, title, rewrite_links(body, path, site), links, root="../")


def render_index(edition: str, paths: list[Path]) -> str:
    """The list of an edition's lessons."""
    items = [(lesson_title(read_notebook(path)), f"{path.stem}.html") for path in paths]
    links = [(LANGUAGE_NAMES[e], f"../{e}/index.html", e) for e in EDITIONS if e != edition]
    body = _fill("index.html.j2", title=COURSE[edition], items=items)
    return _page(edition, COURSE[edition], body, links, root="../")


def render_start() -> str:
    """The page on which a reader chooses a language."""
    lists = [
        f'<div lang="{edition}">'
        + _fill(
            "index.html.j2",
            title=COURSE[edition],
            items=[(LANGUAGE_NAMES[edition], f"{edition}/index.html")],
        )
        + "</div>"
        for edition in EDITIONS
    ]
    return _page(EDITIONS[0], COURSE[EDITIONS[0]], "\n".join(lists), [], root="")


def for_reading(notebook: NotebookNode, edition: str) -> NotebookNode:
    """A copy whose figures have alternative text, and in which nothing needs a kernel."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None]):
        for output in images(cell):
            cell.metadata["alt"] = alternative_text(caption(after) or "")
            output.metadata = {}
        for output in cell.get("outputs", []):
            _replace_what_cannot_run(output, INTERACTIVE[edition])
    return notebook


def alternative_text(text: str) -> str:
    """A caption without its Markdown.

    Examples
    --------
    >>> alternative_text("scores of `▁서울` and [others](a.md), *sorted*")
    'scores of ▁서울 and others, sorted'
    """
    return re.sub(r"[`*]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)).strip()


def rewrite_links(body: str, source: Path, site: Site) -> str:
    """Let links lead to pages and copied files; a link that leads nowhere becomes plain text."""

    def rewrite(found: re.Match[str]) -> str:
        address = site.address(html.unescape(found["target"]), source)
        if address is None:
            return found["before"]
        return f'{found["before"]}{found["kind"]}="{html.escape(address)}"'

    return _ADDRESS.sub(rewrite, body)


def lesson_title(notebook: NotebookNode) -> str:
    """The first heading, without its markup."""
    first = notebook.cells[0].source if notebook.cells else ""
    return alternative_text(first.partition("\n")[0].lstrip("# "))


def style(characters: str) -> str:
    """Return the style sheet, with the colours of code and a font that has `characters`."""
    own = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    for name in FONTS:
        own = own.replace(f"fonts/{name}", font_address(name, characters))
    return own + HtmlFormatter(style="friendly").get_style_defs(".highlight") + "\n"


def font_address(name: str, characters: str) -> str:
    """Return a font that has `characters` alone, as a data: address.

    Browsers refuse a font file beside a page that was opened from a folder, and the whole font
    would be large to fetch.
    """
    options = subset.Options()
    options.drop_tables += [f"TSI{n}" for n in (0, 1, 2, 3, 5)]  # for font editors only
    font = subset.load_font(str(hangul_font_path().with_name(name)), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=characters)
    subsetter.subset(font)
    font.flavor = "woff"
    packed = io.BytesIO()
    font.save(packed)
    return f"data:font/woff;base64,{base64.b64encode(packed.getvalue()).decode()}"


def _replace_what_cannot_run(output: NotebookNode, note: str) -> None:
    data = output.get("data", {})
    for kind in _UNUSABLE:
        data.pop(kind, None)
    if data.pop(_WIDGET, None) is not None:
        data.clear()
        data["text/html"] = f"<p><em>{note}</em></p>"


def _page(language: str, title: str, body: str, links: list, root: str) -> str:
    return _fill("page.html.j2", language=language, title=title, body=body, links=links, root=root)


def _fill(template: str, **values: object) -> str:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=False)
    return environment.get_template(template).render(**values)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    site = Site(output=parser.parse_args(arguments).output)
    pages = build(site)
    print(f"{len(pages)} pages. Open {site.output / 'index.html'}")


if __name__ == "__main__":
    main()
