"""Every lesson of both editions keeps the conventions; and each convention notices a breach."""

from __future__ import annotations

import doctest
import subprocess
import sys

import lesson_factory as factory
import nbformat
import pytest
from nbformat.v4 import new_output

from tools import notebooks, prose
from tools.conventions import CONVENTIONS
from tools.notebooks import EDITIONS, ROOT, Lesson, execute, lesson_paths, read_notebook

LESSONS = [path for edition in EDITIONS for path in lesson_paths(edition)]
NBVAL = ("--nbval", "--nbval-current-env", "--nbval-sanitize-with", "notebooks/sanitize.cfg")


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_lesson_keeps_the_convention(path, name):
    complaints = CONVENTIONS[name](Lesson.read(path))
    assert not complaints, "\n".join(["", *complaints])


@pytest.fixture
def course(tmp_path):
    """The folder of a small course that keeps every convention."""
    return factory.write_course(tmp_path)


@pytest.fixture
def lesson(course):
    return factory.read(course)


@pytest.mark.parametrize("module", [notebooks, prose], ids=lambda module: module.__name__)
def test_docstring_examples_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("edition", EDITIONS)
def test_lesson_without_a_defect_draws_no_complaint(course, edition):
    lesson = factory.read(course, edition)
    assert {name: check(lesson) for name, check in CONVENTIONS.items() if check(lesson)} == {}


# One way to break each convention: the cell to change, and the change

BREACHES = {
    "format_is_valid": ("sum", lambda cell: cell.pop("outputs")),
    "ids_are_slugs": ("sum", lambda cell: cell.update(id="Sum_1")),
    "counts_run_from_one": ("sum", lambda cell: cell.update(execution_count=7)),
    "opening_is_complete": ("what", lambda cell: cell.update(source="What you'll do?")),
    "closing_is_complete": ("quiz", lambda cell: cell.update(source="## Quiz")),
    "size_suits_one_sitting": ("payoff", lambda cell: cell.update(source="too many " * 900)),
    "code_cells_are_short": ("sum", lambda cell: cell.update(source="1\n" * 26)),
    "code_is_portable": ("sum", lambda cell: cell.update(source='open("/home/kim/x.txt")')),
    "outputs_hold_no_path_of_a_machine": ("sum", lambda cell: print_path(cell)),
    "outputs_hold_no_error": ("sum", lambda cell: fail(cell)),
    "tags_are_known_and_few_cells_go_uncompared": (
        "sum",
        lambda cell: cell.metadata.update(tags=["excercise"]),
    ),
    "exercises_are_those_of_the_lesson": ("q2", lambda cell: cell.update(source="1 + 1")),
    "figures_have_a_caption_and_a_number": (
        "picture-caption",
        lambda cell: cell.update(source="!"),
    ),
    "links_lead_somewhere": ("payoff", lambda cell: cell.update(source="[a](nowhere.md)")),
}


def print_path(cell):
    cell.outputs = [new_output("stream", text="/Users/kim/model.gguf")]


def fail(cell):
    cell.outputs = [new_output("error", ename="NameError", evalue="x")]


@pytest.mark.parametrize("name", BREACHES)
def test_convention_notices_a_breach(lesson, name):
    cell_id, change = BREACHES[name]
    change(factory.cell(lesson.notebook, cell_id))
    assert CONVENTIONS[name](lesson)


def test_every_convention_but_two_has_its_breach_above():
    assert CONVENTIONS.keys() - BREACHES.keys() == {
        "name_has_a_number_and_a_slug",
        "no_widget_state_is_stored",
    }


def test_name_without_a_number_is_noticed(lesson):
    renamed = Lesson(lesson.path.with_name("Untitled.ipynb"), lesson.notebook)
    assert CONVENTIONS["name_has_a_number_and_a_slug"](renamed)


def test_widget_state_is_noticed(lesson):
    lesson.notebook.metadata["widgets"] = {}
    assert CONVENTIONS["no_widget_state_is_stored"](lesson)


@pytest.mark.parametrize("cell_id", ["d99cb5b7", "payoff", "payoff_2", "Payoff"])
def test_random_double_and_other_ids_are_noticed(lesson, cell_id):
    factory.cell(lesson.notebook, "sum").id = cell_id
    assert CONVENTIONS["ids_are_slugs"](lesson)


@pytest.mark.parametrize("source", ["from numpy import *", "import sys\nsys.path.append('..')"])
def test_star_imports_and_path_edits_are_noticed(lesson, source):
    factory.cell(lesson.notebook, "sum").source = source
    assert CONVENTIONS["code_is_portable"](lesson)


@pytest.mark.parametrize("source", ["post('/v1/chat/completions')", "a = b/home/c", "'C: 1'"])
def test_addresses_and_divisions_are_no_paths(lesson, source):
    factory.cell(lesson.notebook, "sum").source = source
    assert not CONVENTIONS["code_is_portable"](lesson)


def test_closing_in_another_order_is_noticed(lesson):
    lesson.cells[-2], lesson.cells[-3] = lesson.cells[-3], lesson.cells[-2]
    assert CONVENTIONS["closing_is_complete"](lesson)


def test_figure_without_a_number_is_noticed(lesson):
    del factory.cell(lesson.notebook, "picture").outputs[1]
    assert CONVENTIONS["figures_have_a_caption_and_a_number"](lesson)


def test_picture_without_alternative_text_is_noticed(lesson):
    factory.cell(lesson.notebook, "payoff").source = "![](https://example.org/a.png)"
    assert CONVENTIONS["figures_have_a_caption_and_a_number"](lesson)


def test_exercises_in_another_order_are_noticed(lesson):
    ids = [cell.id for cell in lesson.cells]
    first, second = ids.index("q1"), ids.index("q2")
    lesson.cells[first], lesson.cells[second] = lesson.cells[second], lesson.cells[first]
    assert CONVENTIONS["exercises_are_those_of_the_lesson"](lesson)


def test_exercise_with_another_starter_is_noticed(lesson):
    factory.cell(lesson.notebook, "q1").source = "n_bytes = 0\n\nq1.check(n_bytes)"
    assert CONVENTIONS["exercises_are_those_of_the_lesson"](lesson)


def test_progress_may_be_asked_for_in_an_exercise_cell(lesson):
    asking = factory.exercise("q1")
    asking.id, asking.source = "progress", "progress()"
    lesson.cells.insert(-6, asking)
    assert not CONVENTIONS["exercises_are_those_of_the_lesson"](lesson)


def test_link_to_a_lesson_under_a_taken_number_is_noticed(lesson):
    factory.cell(lesson.notebook, "payoff").source = "[a](00_other.ipynb)"
    assert CONVENTIONS["links_lead_somewhere"](lesson)


# Running


def validate(path):
    """Exit status of nbval, run as `make test` runs it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *NBVAL, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode


@pytest.mark.slow
def test_falsified_output_is_noticed(course):
    path = factory.read(course).path
    assert validate(path) == 0
    path.write_text(path.read_text(encoding="utf-8").replace('"2"', '"3"'), encoding="utf-8")
    assert validate(path) == 1


@pytest.mark.slow
def test_execute_stores_what_a_learner_should_find(course):
    path = factory.read(course).path
    expected = read_notebook(path)
    blank = read_notebook(path)
    for cell in blank.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    path.write_text(nbformat.writes(blank), encoding="utf-8")
    execute(path)
    assert without_pictures(read_notebook(path)) == without_pictures(expected)


def without_pictures(notebook):
    """Cells as they are compared: IPython adds the picture's size to its output."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.pop("metadata", None)
            output.get("data", {}).pop("image/png", None)
    return notebook.cells
