"""The exercises inside the lessons, with the reference and with every known mistake typed in.

The stored starters run with the notebooks themselves.
"""

from __future__ import annotations

import lesson_factory as factory
import pytest

from course_lib.exercises.problem import ValueProblem
from tools.lesson_exercises import (
    answer_cells,
    cell_source,
    lesson_problems,
    mistakes,
    references,
    run_answers,
)
from tools.notebooks import Lesson, lesson_paths

ENGLISH = lesson_paths("en")


def complaints(lesson, problems, answers):
    notebook, placed = answer_cells(lesson.notebook, problems, answers)
    return run_answers(notebook, placed, lesson.path.parent)


@pytest.mark.slow
@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_reference_solutions_are_correct_and_the_lesson_goes_on(path):
    lesson = Lesson.read(path)
    found = complaints(lesson, lesson_problems(lesson), references)
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_each_known_mistake_is_told_apart(path):
    lesson = Lesson.read(path)
    found = complaints(lesson, lesson_problems(lesson), mistakes)
    assert not found, "\n".join(found)


# The checks themselves

SIX = {"key": "start_here.utf8_bytes", "expected": 6, "solution": "n_bytes = 6"}


@pytest.fixture
def lesson(tmp_path):
    lesson = factory.read(factory.write_course(tmp_path))
    kept = {"setup", "q1", "q2"}
    lesson.notebook.cells = [cell for cell in lesson.cells if cell.id in kept]
    return lesson


def test_answers_take_the_place_of_their_exercise(lesson):
    notebook, placed = answer_cells(lesson.notebook, factory.PROBLEMS, references)
    assert [cell.source for cell in notebook.cells[1:]] == [
        cell_source(name, factory.PROBLEMS[name], factory.PROBLEMS[name].solution_source)
        for name in ("q1", "q2")
    ]
    assert list(placed) == [cell.id for cell in notebook.cells[1:]]


def test_every_mistake_gets_a_cell(lesson):
    _, placed = answer_cells(lesson.notebook, factory.PROBLEMS, mistakes)
    assert [answer.name for answer in placed.values()] == [
        *factory.PROBLEMS["q1"].mistakes,
        *factory.PROBLEMS["q2"].mistakes,
    ]


def test_problem_that_accepts_a_wrong_answer_does_not_verify():
    with pytest.raises(AssertionError, match="incorrect"):
        ValueProblem(**SIX, mistakes={"characters": 6}).verify()


def test_problem_that_rejects_its_reference_does_not_verify():
    with pytest.raises(AssertionError, match="correct"):
        ValueProblem(**SIX | {"solution": "n_bytes = 2"}).verify()


@pytest.mark.slow
def test_check_that_accepts_a_wrong_answer_is_noticed_in_the_lesson(lesson):
    problems = {"q1": ValueProblem(**SIX, mistakes={"characters": 6})}
    found = complaints(lesson, problems, mistakes)
    assert len(found) == 1
    assert found[0].startswith("q1, characters: wanted '✗")


@pytest.mark.slow
def test_check_of_another_exercise_is_noticed_in_the_lesson(lesson):
    cell = factory.cell(lesson.notebook, "q1")
    cell.source = cell.source.replace("q1.check(n_bytes)", "q1.check(2)")
    assert len(complaints(lesson, factory.PROBLEMS, references)) == 1


@pytest.mark.slow
def test_mistakes_are_named_in_the_language_of_the_edition(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LANGUAGE", "en")  # the folder decides, whatever the shell says
    lesson = factory.read(factory.write_course(tmp_path), "ko")

    def in_korean(name, problem):
        return mistakes(name, problem, language="ko")

    assert complaints(lesson, factory.PROBLEMS, in_korean) == []
