"""Launch badges: right addresses everywhere, and no trace when they are taken out."""

import re
import shutil
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tools import badges
from tools.badges import BadgeError, Fork, stamp
from tools.conventions import CONVENTIONS
from tools.editions import differences
from tools.notebooks import EDITIONS, ROOT, Lesson, lesson_paths, read_notebook

FORK = Fork("kim-min/llm.course", "release/2026")
N_READMES = 2


@pytest.fixture
def copy(tmp_path):
    """The lessons and READMEs, without addresses."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    for name in ("README.md", "README.ko.md"):
        shutil.copy(ROOT / name, tmp_path)
    stamp(None, tmp_path)
    return tmp_path


def texts(root):
    """Every file by its name."""
    paths = [*root.glob("README*.md"), *root.glob("notebooks/*/*.ipynb")]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_every_lesson_and_readme_is_stamped_and_every_address_leads_home(copy):
    n_lessons = sum(len(lesson_paths(edition, copy / "notebooks")) for edition in EDITIONS)
    assert len(stamp(FORK, copy)) == n_lessons + N_READMES
    for name, text in texts(copy).items():
        addresses = re.findall(r"https://(?:colab|mybinder)[^\s)\"\\]+", text)
        notebooks = [opened for opened in map(notebook_opened, addresses) if opened]
        assert len(notebooks) >= 2, name
        assert all((copy / notebook).is_file() for notebook in notebooks)
        if name.endswith(".ipynb"):
            assert set(notebooks) == {name}
            assert f'COURSE_SOURCE = \\"{FORK.source}\\"' in text


def notebook_opened(address):
    """The file of the repository that an address opens; None for a badge's picture."""
    parts = urlsplit(address)
    if parts.path.endswith(".svg"):
        return None
    if parts.hostname == "mybinder.org":
        assert unquote(parts.path) == f"/v2/gh/{FORK.repo}/{FORK.branch}"
        return parse_qs(parts.query)["urlpath"][0].removeprefix("lab/tree/")
    head = f"/github/{FORK.repo}/blob/{FORK.branch}/"
    assert parts.path.startswith(head)
    return parts.path.removeprefix(head)


def test_the_table_of_lessons_links_each_of_them(copy):
    stamp(FORK, copy)
    for edition, name in (("en", "README.md"), ("ko", "README.ko.md")):
        rows = re.findall(r"^\| \d\d \|.*\[Colab\]\((\S+)\).*\|$", (copy / name).read_text(), re.M)
        names = [notebook_opened(address) for address in rows]
        assert names == [f"notebooks/{edition}/{p.name}" for p in lesson_paths(edition)]


def test_stamped_lessons_keep_the_conventions_and_their_twins(copy):
    stamp(FORK, copy)
    for path in lesson_paths("en", copy / "notebooks"):
        lesson = Lesson.read(path)
        names = ("opening_is_complete", "format_is_valid", "ids_are_slugs")
        assert not [complaint for name in names for complaint in CONVENTIONS[name](lesson)]
        korean = copy / "notebooks" / "ko" / path.name
        assert differences(lesson.notebook, read_notebook(korean)) == []


def test_taking_badges_out_leaves_no_trace(copy):
    before = texts(copy)
    stamp(FORK, copy)
    stamp(Fork("someone/else"), copy)  # a fork of the fork
    assert "kim-min" not in "".join(texts(copy).values())
    stamp(None, copy)
    assert texts(copy) == before
    assert stamp(None, copy) == []


@pytest.mark.parametrize(
    ("repo", "branch"),
    [
        ("course", "main"),
        ("https://github.com/kim/course", "main"),
        ("kim/course'; rm -rf x", "main"),
        ("kim/course", "../main"),
        ("kim/course", "a b"),
        ("kim/course", 'main"'),
        ("", "main"),
    ],
)
def test_what_cannot_be_a_fork_is_refused(repo, branch):
    with pytest.raises(BadgeError):
        Fork(repo, branch)


def test_the_command_stamps_and_says_what_it_did(copy, monkeypatch, capsys):
    monkeypatch.setattr(badges, "stamp", lambda fork: stamp(fork, copy))
    badges.main(["kim/course"])
    assert "git+https://github.com/kim/course@main" in capsys.readouterr().out
    badges.main([""])
    assert "they now open" not in capsys.readouterr().out
    with pytest.raises(SystemExit):
        badges.main(["no repository"])
    assert "owner/name" in capsys.readouterr().err
