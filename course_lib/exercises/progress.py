"""What a learner has solved in a lesson, for as long as the notebook runs."""

from __future__ import annotations

from collections.abc import Sequence

from course_lib.exercises.base_problem import Problem
from course_lib.exercises.cards import Card, Status, icon
from course_lib.exercises.messages import Remark, language


class Progress:
    """Show which of a lesson's problems are solved. Kept in memory only.

    Parameters
    ----------
    problems : Sequence[Problem]
        In the order of the lesson.

    Examples
    --------
    >>> from course_lib.exercises.problem import ValueProblem
    >>> q1 = ValueProblem(key="start_here.utf8_bytes", expected=6, solution="n_bytes = 6")
    >>> progress = Progress([q1])
    >>> _ = q1.check(6)
    >>> progress.n_solved
    1
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)

    @property
    def n_solved(self) -> int:
        """How many problems have been answered correctly in this session."""
        return sum(problem.state is Status.CORRECT for problem in self.problems)

    def __call__(self) -> Card:
        """Show counts and the state of each problem."""
        counts = {"solved": self.n_solved, "total": len(self.problems)}
        items = tuple((icon(problem.state.value), _line(problem)) for problem in self.problems)
        headline = Remark("engine.labels.progress", counts)
        return Card("progress", language(), headline, items=items)


def _line(problem: Problem) -> Remark:
    state = Remark(f"engine.progress.{problem.state.value}")
    return Remark("engine.labels.progress_line", {"title": _title(problem), "state": state})


def _title(problem: Problem) -> Remark:
    return Remark(f"{problem.key}.title")
