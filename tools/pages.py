"""Render every lesson of both editions as a web page, to be read and searched without Jupyter.

``python -m tools.pages`` writes ``build/pages/``: ``index.html`` to choose a language,
``en/index.html`` and ``ko/index.html`` with the list of lessons, and a page for each of them. All
addresses are relative, so the folder works below any address and from a USB stick, and no page asks
the network for anything. Figures take their alternative text from the caption below them; links
between lessons lead from page to page, and files of the repository that are linked come along.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bs4 import BeautifulSoup
from fontTools import subset
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from pygments.formatters import HtmlFormatter

from course_lib.plots import hangul_font_path
from tools import page_content, page_search
from tools.editions import twin
from tools.notebooks import EDITIONS, lesson_paths, read_notebook
from tools.page_content import Site, github_anchor, relative, rewrite_links

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OUTPUT = Site().output
FONTS = ("NanumGothic.ttf", "NanumGothicBold.ttf")
TEMPLATES = Path(__file__).parent / "page_templates"
CODE_STYLES = {"light": "friendly", "dark": "github-dark"}
_ONLY_LINKS = re.compile(r"(?:!?\[(?:[^\[\]]|!?\[[^\]]*\]\([^)]*\))*\]\([^)]*\)[\s·|]*)+")


@dataclass(frozen=True)
class LessonEntry:
    """What the list of lessons says about one."""

    path: Path
    title: str
    question: str
    minutes: str

    @classmethod
    def read(cls, path: Path) -> LessonEntry:
        """Read it from the lesson itself."""
        notebook = read_notebook(path)
        facts = (page_content.lesson_title, page_content.question, page_content.minutes)
        return cls(path, *(fact(notebook) for fact in facts))

    @property
    def address(self) -> str:
        """File name of its page."""
        return f"{self.path.stem}.html"


def build(site: Site) -> list[Path]:
    """Write all pages and what they need; return the pages."""
    if any(site.output.glob("*")) and not (site.output / "style.css").is_file():
        raise FileExistsError(f"{site.output} holds something else. Choose an empty --output.")
    shutil.rmtree(site.output, ignore_errors=True)
    site.files.clear()
    pages, scripts = {"index.html": render_start(site)}, {}
    for edition in EDITIONS:
        lessons = [LessonEntry.read(path) for path in lesson_paths(edition, site.notebooks)]
        pages[f"{edition}/index.html"] = render_index(edition, lessons, site)
        found = []
        for n, lesson in enumerate(lessons):
            page, sections = render_lesson(n, lessons, site)
            pages[f"{edition}/{lesson.address}"] = page
            found += sections
        scripts[f"{edition}/search-index.js"] = page_search.script(found)
    pages |= render_files(site)
    scripts["site.js"] = (TEMPLATES / "site.js").read_text(encoding="utf-8")
    characters = "".join(sorted(set().union(*pages.values(), *scripts.values())))
    for place, text in (pages | scripts | {"style.css": style(characters)}).items():
        _write(site.output / place, text)
    for place in site.files.keys() - pages.keys():
        (site.output / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site.files[place], site.output / place)
    return [site.output / place for place in pages]


def render_lesson(
    n: int, lessons: list[LessonEntry], site: Site
) -> tuple[str, list[page_search.Section]]:
    """The page of lesson `n` of an edition, and its sections for the search."""
    lesson = lessons[n]
    edition = lesson.path.parent.name
    place = f"{edition}/{lesson.address}"
    soup = page_content.rendered(read_notebook(lesson.path), words(edition))
    sections = page_search.sections(soup, lesson.address, lesson.title)
    rewrite_links(soup, lesson.path, place, site)
    other = twin(lesson.path)
    name = lesson.address if other.exists() else "index.html"
    page = _page(
        site,
        place,
        edition,
        title=f"{lesson.title} · {words(edition)['course']}",
        description=lesson.question,
        body=Markup(soup),
        languages=[other.parent.name],
        language_place=name,
        contents=list(page_content.headings(soup)),
        previous=lessons[n - 1] if n else None,
        next=lessons[n + 1] if n + 1 < len(lessons) else None,
    )
    return page, sections


def render_index(edition: str, lessons: list[LessonEntry], site: Site) -> str:
    """What the course is, and the list of an edition's lessons."""
    place = f"{edition}/index.html"
    introduction = read_introduction(edition, place, site)
    readme = readme_path(edition, site)
    body = _fill(
        "index.html.j2",
        words=words(edition),
        introduction=Markup(introduction),
        readme=site.address(readme.name, readme, place),
        lessons=lessons,
    )
    return _page(
        site,
        place,
        edition,
        title=words(edition)["course"],
        description=_first_paragraph(introduction),
        body=Markup(body),
        languages=[e for e in EDITIONS if e != edition],
    )


def render_start(site: Site) -> str:
    """The page on which a reader chooses a language."""
    editions = [
        {
            "language": edition,
            "words": words(edition),
            "introduction": _first_paragraph(read_introduction(edition, "index.html", site)),
        }
        for edition in EDITIONS
    ]
    return _page(
        site,
        "index.html",
        EDITIONS[0],
        title=words(EDITIONS[0])["course"],
        description=editions[0]["introduction"],
        body=Markup(_fill("start.html.j2", editions=editions)),
        languages=EDITIONS,
    )


def render_files(site: Site) -> dict[str, str]:
    """Pages of linked files that can be read as text, and of those that they link to."""
    pages: dict[str, str] = {}
    while waiting := [p for p in site.files if p.endswith(".html") and p not in pages]:
        for place in waiting:
            pages[place] = render_file(site.files[place], place, site)
    return pages


def render_file(file: Path, place: str, site: Site) -> str:
    """A text of the repository as a page."""
    language = "ko" if ".ko." in file.name else EDITIONS[0]
    source = file.read_text(encoding="utf-8")
    title = file.relative_to(site.root).as_posix()
    name = Markup("/<wbr>").join(title.split("/"))
    if file.suffix == ".md":
        soup = _markdown(source, words(language))
        rewrite_links(soup, file, place, site)
        for heading in soup.select("h2, h3"):
            heading["id"] = github_anchor(heading.get_text())
        body = Markup(soup)
    elif file.suffix == ".py":
        cell = new_code_cell(source, id="code")
        code = page_content.rendered(new_notebook(cells=[cell]), words(language))
        body = Markup("<h1>{}</h1>\n{}").format(name, Markup(code))
    else:
        body = Markup("<h1>{}</h1>\n<pre>{}</pre>").format(name, source)
    return _page(
        site, place, language, title=title, description=title, body=body, languages=EDITIONS
    )


def readme_path(edition: str, site: Site) -> Path:
    """The README of an edition."""
    return site.root / ("README.md" if edition == EDITIONS[0] else f"README.{edition}.md")


def read_introduction(edition: str, place: str, site: Site) -> str:
    """What a README says above its first section, as HTML; "" if there is none."""
    readme = readme_path(edition, site)
    if not readme.is_file():
        return ""
    source = readme.read_text(encoding="utf-8").partition("\n## ")[0]
    paragraphs = [p.strip() for p in source.split("\n\n")]
    kept = [p for p in paragraphs if not p.startswith("# ") and not _ONLY_LINKS.fullmatch(p)]
    soup = _markdown("\n\n".join(kept), words(edition))
    rewrite_links(soup, readme, place, site)
    return soup.select_one(".text_cell_render").decode_contents()


@cache
def words(language: str) -> Mapping[str, str]:
    """What the pages themselves say in a language."""
    text = (TEMPLATES / "words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)[language]


def style(characters: str) -> str:
    """Return the style sheet, with the colours of code and a font that has `characters`."""
    own = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    for name in FONTS:
        own = own.replace(f"fonts/{name}", font_address(name, characters))
    for scheme, name in CODE_STYLES.items():
        colours = HtmlFormatter(style=name).get_style_defs(".highlight")
        own += f"@media (prefers-color-scheme: {scheme}) {{\n{colours}\n}}\n"
    return own


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


def _markdown(source: str, own_words: Mapping[str, str]) -> BeautifulSoup:
    cell = new_markdown_cell(source, id="text")
    return page_content.rendered(new_notebook(cells=[cell]), own_words)


def _first_paragraph(introduction: str) -> str:
    paragraph = BeautifulSoup(introduction, "html.parser").find("p")
    return page_content.words_of(paragraph) if paragraph else ""


def _page(
    site: Site,
    place: str,
    language: str,
    *,
    languages: Iterable[str] = (),
    language_place: str = "index.html",
    **values: object,
) -> str:
    """Fill in what all pages have: links to languages, lessons, README and licence."""
    is_start = "/" not in place
    documents = {"readme": readme_path(language, site), "license": site.root / "LICENSE"}
    return _fill(
        "page.html.j2",
        language=language,
        words=words(language),
        root=relative(".", place) + "/",
        home=None if is_start else relative(f"{language}/index.html", place),
        folder=relative(language, place) + "/",
        languages=[
            (relative(f"{other}/{language_place}", place), other, words(other)["language"])
            for other in languages
        ],
        documents=[]
        if is_start
        else [
            (words(language)[name], site.address(file.name, file, place))
            for name, file in documents.items()
            if file.is_file()
        ],
        **values,
    )


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)


def _fill(template: str, **values: object) -> str:
    return _templates().get_template(template).render(**values)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    site = Site(output=parser.parse_args(arguments).output)
    pages = build(site)
    print(f"{len(pages)} pages. Open {site.output / 'index.html'}")


if __name__ == "__main__":
    main()
