"""The front page: its links lead somewhere, and its pictures are those of the lessons."""

import re

import pytest

from tools.notebooks import ROOT, lesson_paths
from tools.pictures import PICTURES, SOURCES, picture_of
from tools.prose import links, pictures

READMES = {"en": ROOT / "README.md", "ko": ROOT / "README.ko.md"}


@pytest.mark.parametrize("name", SOURCES)
def test_a_picture_is_what_its_lesson_shows(name):
    stored = (PICTURES / f"{name}.png").read_bytes()
    assert stored == picture_of(*SOURCES[name]), "renew it: python -m tools.pictures"


@pytest.mark.parametrize("edition", READMES)
def test_links_and_pictures_are_there(edition):
    text = READMES[edition].read_text(encoding="utf-8")
    targets = [link.partition("#")[0] for link in links(text) if "://" not in link]
    assert [target for target in targets if target and not (ROOT / target).exists()] == []
    assert all(picture.described for picture in pictures(text))


@pytest.mark.parametrize("edition", READMES)
def test_every_lesson_has_its_row_with_minutes(edition):
    text = READMES[edition].read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d\d \| \[[^\]]+\]\((\S+)\).*\| \d+(?:–\d+)? \|$", text, re.MULTILINE)
    expected = [path.relative_to(ROOT).as_posix() for path in lesson_paths(edition)]
    assert rows == expected


def test_both_editions_have_the_same_sections():
    counts = {
        len(re.findall(r"^## ", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in READMES.values()
    }
    assert len(counts) == 1
