"""The search index of an edition: one small script that a page loads when a reader searches.

`page_templates/site.js` searches it. A section is a list: its address in the folder of the edition,
the title of its lesson, its heading, its prose, its code. Outputs are left out.
"""

from __future__ import annotations

import copy
import json
import unicodedata

from bs4 import BeautifulSoup, Tag

from tools.page_content import anchor, words_of

ADDRESS, LESSON, HEADING, PROSE, CODE = range(5)
Section = list[str]


def sections(soup: BeautifulSoup, page: str, title: str) -> list[Section]:
    """The sections of one page, the first one being all above the first heading.

    Parameters
    ----------
    soup : BeautifulSoup
        As `tools.page_content.rendered` makes it.
    page : str
        File name of the page.
    title : str
        Title of the lesson.
    """
    found = [[page, title, title, "", ""]]
    for cell in soup.select("div.cell"):
        if "code_cell" in cell["class"]:
            found[-1][CODE] += f"{cell.select_one('.input_area').get_text()}\n"
            continue
        for element in cell.select_one(".text_cell_render").find_all(True, recursive=False):
            if element.name == "h2":
                address = f"{page}#{anchor(element)}"
                found.append([address, title, words_of(element), "", ""])
            elif element.name != "h1" and not _is_only_links(element):
                found[-1][PROSE] += f"{_prose(element)} "
    return [[_tidy(text) for text in section] for section in found]


def script(all_sections: list[Section]) -> str:
    """The index of an edition as a script."""
    packed = json.dumps(all_sections, ensure_ascii=False, separators=(",", ":"))
    return f"window.courseSections = {packed};\n"


def _prose(element: Tag) -> str:
    """Text of an element; cells of a table, items and answers in it do not run together."""
    element = copy.copy(element)
    for block in element.find_all(["td", "th", "li", "p", "summary"]):
        block.append(" ")
    return element.get_text()


def _is_only_links(element: Tag) -> bool:
    """Whether it is a row of launch badges, say."""
    return words_of(element) == " ".join(words_of(a) for a in element.find_all("a"))


def _tidy(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))
