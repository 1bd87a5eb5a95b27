"""The Korean edition is in step with the English one; and every way of losing step shows."""

from __future__ import annotations

import doctest

import lesson_factory as factory
import pytest
from nbformat.v4 import new_output

from tools import editions
from tools.editions import (
    CANONICAL,
    DIGEST_KEY,
    KINDS,
    differences,
    digest,
    dropped,
    lesson_differences,
    orphans,
    stamp,
    sync,
    synchronise,
    translated,
    twin,
)
from tools.notebooks import lesson_paths, read_notebook, write_notebook


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", lesson_paths(CANONICAL), ids=lambda path: path.stem)
def test_korean_edition_is_in_step(path, kind):
    found = [str(one) for one in lesson_differences(path) if one.kind == kind]
    assert not found, "\n".join(["", *found])


def test_every_korean_lesson_translates_one():
    assert orphans() == []


def test_english_prose_carries_no_digest():
    cells = [cell for path in lesson_paths(CANONICAL) for cell in read_notebook(path).cells]
    assert not [cell.id for cell in cells if DIGEST_KEY in cell.metadata]


@pytest.fixture
def english():
    return factory.english()


@pytest.fixture
def korean():
    return factory.korean()


def kinds(english, korean):
    return [(one.kind, one.cell) for one in differences(english, korean)]


def test_docstring_examples_hold():
    assert doctest.testmod(editions).failed == 0


def test_twins_in_step_do_not_differ(english, korean):
    assert kinds(english, korean) == []


# Every way of losing step


def test_english_prose_edited_without_korean_is_stale(english, korean):
    factory.cell(english, "payoff").source += " And to llama.cpp's."
    assert kinds(english, korean) == [("stale", "payoff")]


def test_code_edited_in_korean_only_is_noticed(english, korean):
    factory.cell(korean, "sum").source = "1 + 2"
    assert kinds(english, korean) == [("code", "sum")]


def test_changed_id_is_noticed(english, korean):
    factory.cell(korean, "sum").id = "addition"
    assert kinds(english, korean) == [("missing", "sum"), ("ids", "addition")]


def test_changed_output_is_noticed(english, korean):
    factory.cell(korean, "sum").outputs = [new_output("stream", text="3")]
    assert kinds(english, korean) == [("outputs", "sum")]


def test_changed_tag_is_noticed(english, korean):
    factory.cell(korean, "sum").metadata["tags"] = ["nbval-ignore-output"]
    assert kinds(english, korean) == [("tags", "sum")]


def test_other_order_is_noticed(english, korean):
    korean.cells[-1], korean.cells[-2] = korean.cells[-2], korean.cells[-1]
    assert kinds(english, korean) == [("ids", "next")]


def test_missing_cell_is_noticed(english, korean):
    korean.cells.remove(factory.cell(korean, "recap"))
    assert kinds(english, korean) == [("missing", "recap")]


def test_prose_that_became_code_is_noticed(english, korean):
    position = english.cells.index(factory.cell(english, "recap"))
    english.cells[position] = factory.code("recap", "1 + 1")
    assert kinds(english, korean) == [("code", "recap")]


def test_stamped_prose_without_hangul_is_untranslated(english, korean):
    factory.cell(korean, "payoff").source = factory.cell(english, "payoff").source
    assert kinds(english, korean) == [("untranslated", "payoff")]


def test_prose_without_a_digest_is_untranslated(english, korean):
    del factory.cell(korean, "payoff").metadata[DIGEST_KEY]
    assert kinds(english, korean) == [("untranslated", "payoff")]


def test_missing_korean_file_is_noticed(tmp_path):
    notebooks = factory.write_course(tmp_path)
    path = notebooks / "en" / factory.NAME
    twin(path).unlink()
    assert [one.kind for one in lesson_differences(path)] == ["missing"]


def test_korean_lesson_without_an_english_one_is_an_orphan(tmp_path):
    notebooks = factory.write_course(tmp_path)
    (notebooks / "en" / factory.NAME).unlink()
    assert orphans(notebooks) == [notebooks / "ko" / factory.NAME]


# Synchronising


def test_first_synchronisation_leaves_only_prose_to_translate(english):
    korean = synchronise(english, None)
    found = differences(english, korean)
    assert {one.kind for one in found} == {"untranslated"}
    n_prose = sum(cell.cell_type == "markdown" for cell in english.cells)
    assert len(found) == n_prose - 1  # the formula needs no translation


def test_synchronising_twins_in_step_changes_nothing(english, korean):
    assert synchronise(english, korean) == korean


def test_synchronising_brings_code_and_outputs_and_tags(english, korean):
    cell = factory.cell(english, "sum")
    cell.source, cell.outputs = "2 + 2", [new_output("stream", text="4")]
    cell.metadata["tags"] = ["nbval-ignore-output"]
    assert kinds(english, synchronise(english, korean)) == []


def test_synchronising_keeps_korean_prose_and_its_old_digest(english, korean):
    factory.cell(english, "payoff").source += " And to llama.cpp's."
    updated = synchronise(english, korean)
    assert factory.cell(updated, "payoff") == factory.cell(korean, "payoff")
    assert kinds(english, updated) == [("stale", "payoff")]


def test_synchronising_adds_new_prose_as_untranslated_in_its_place(english, korean):
    english.cells.insert(3, factory.prose("new-idea", "A new idea."))
    updated = synchronise(english, korean)
    assert updated.cells[3].source == "A new idea."
    assert kinds(english, updated) == [("untranslated", "new-idea")]


def test_synchronising_renews_english_text_that_waits_for_translation(english):
    korean = synchronise(english, None)
    factory.cell(english, "payoff").source = "Other words."
    assert factory.cell(synchronise(english, korean), "payoff").source == "Other words."


def test_synchronising_drops_what_english_dropped_and_says_so(english, korean):
    english.cells.remove(factory.cell(english, "payoff"))
    assert dropped(english, korean) == ["payoff"]
    assert kinds(english, synchronise(english, korean)) == []


def test_synchronising_files_makes_the_korean_one(tmp_path):
    path = factory.write_course(tmp_path) / "en" / factory.NAME
    twin(path).unlink()
    twin(path).parent.rmdir()
    assert sync(path) == "updated"
    assert {one.kind for one in lesson_differences(path)} == {"untranslated"}
    assert sync(path) == "in step"


# Stamping


def test_stamping_calls_revised_prose_current(english, korean):
    factory.cell(english, "payoff").source += " And to llama.cpp's."
    assert stamp(english, korean) == (["payoff"], [])
    assert kinds(english, korean) == []


def test_stamping_refuses_prose_without_hangul(english):
    korean = synchronise(english, None)
    factory.cell(korean, "payoff").source = "파이썬과 같아요."
    stamped, refused = stamp(english, korean)
    assert stamped == ["payoff"]
    assert "recap" in refused and "formula" not in refused


def test_stamping_a_file_names_what_it_stamped_and_refused(tmp_path, capsys):
    notebooks = factory.write_course(tmp_path)
    original = read_notebook(notebooks / "en" / factory.NAME)
    factory.cell(original, "recap").source += "!"
    factory.cell(original, "payoff").source += "!"
    write_notebook(notebooks / "en" / factory.NAME, original)
    path = notebooks / "ko" / factory.NAME
    own = read_notebook(path)
    factory.cell(own, "payoff").source = "English"
    write_notebook(path, own)
    assert translated(path) == ["payoff"]
    assert "1 newly called a translation: recap" in capsys.readouterr().out


def test_stamping_an_english_file_is_refused(tmp_path):
    path = factory.write_course(tmp_path) / "en" / factory.NAME
    with pytest.raises(SystemExit, match="is not a Korean lesson"):
        translated(path)


def test_digest_ignores_spaces_around_the_text():
    assert digest(" text\n") == digest("text")
