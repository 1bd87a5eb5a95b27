"""Check an exercise itself: every answer that the course foresees gets its own outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from course_lib.exercises.cards import Status
from course_lib.exercises.messages import LANGUAGES, find_prose

if TYPE_CHECKING:
    from course_lib.exercises.base_problem import Problem


def verify(problem: Problem) -> None:
    """Assert starter → not attempted, reference → correct, each mistake → its own sentence.

    Raises
    ------
    AssertionError
        With the outcome that was not as it should be.
    MissingProseError
        When a language lacks one of the problem's sentences.
    """
    state = problem.state
    try:
        _expect(problem, problem.starter_answer(), Status.NOT_ATTEMPTED)
        _expect(problem, problem.reference(), Status.CORRECT)
        for name, answer in problem.mistake_answers().items():
            _expect(problem, answer, Status.INCORRECT, reason=name)
    finally:
        problem.state = state
    for language in LANGUAGES:
        _expect_prose(problem, language)


def _expect(problem: Problem, answer: Any, status: Status, reason: str | None = None) -> None:
    outcome = problem.check(answer)
    judged = (outcome.status, reason and outcome.reason)
    assert judged == (status, reason), f"{problem}: wanted {(status, reason)}, got\n{outcome}"


def _expect_prose(problem: Problem, language: str) -> None:
    prose = find_prose(problem.key, language)
    assert prose["title"] and prose["explanation"], f"{problem}: empty prose in {language}"
    assert len(prose["hints"]) >= 2, f"{problem}: one hint or none in {language}"
    named = set(prose.get("mistakes", {}))
    assert named == set(problem.mistakes), f"{problem}: prose in {language} names {named}"
