"""Exercises whose results are compared with expected ones, case by case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from course_lib.exercises.base_problem import Problem
from course_lib.exercises.cards import Status
from course_lib.exercises.compare import compare
from course_lib.exercises.judgement import Judgement, judged, judged_right
from course_lib.exercises.messages import Remark, has_prose
from course_lib.exercises.values import is_blank, show
from course_lib.exercises.verdict import Tolerance, Verdict, wrong


class ComparedProblem(Problem):
    """An exercise whose results are compared with expected ones.

    Parameters
    ----------
    comparator : Callable[[answer, expected], bool | Verdict] | None
        Used instead of `compare` where several answers are right.
    rtol, atol, same_dtype
        See `verdict.Tolerance`.
    **problem
        See `base_problem.Problem`.
    """

    def __init__(
        self,
        *,
        comparator: Callable[[Any, Any], bool | Verdict] | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        same_dtype: bool = False,
        **problem: Any,
    ) -> None:
        super().__init__(**problem)
        self._comparator = comparator
        self._tolerance = Tolerance(rtol, atol, same_dtype)

    def _results(self, answer: Any) -> list[Any]:
        """What the answer gives, one result a case."""
        raise NotImplementedError

    def _expected(self) -> list[Any]:
        raise NotImplementedError

    def _explain(self, case: int, verdict: Verdict) -> tuple[Remark, ...]:
        """What to say of the first case that went wrong."""
        raise NotImplementedError

    def _judge(self, answer: Any) -> Judgement:
        if answer is None or is_blank(answer):
            return judged(Status.NOT_ATTEMPTED, "starter")
        results, expected = self._results(answer), self._expected()
        if any(map(is_blank, results)):
            return judged(Status.NOT_ATTEMPTED, "blank_left")
        if _all_none(results) and not _all_none(expected):
            return judged(Status.NOT_ATTEMPTED, "returns_nothing")
        verdicts = [self._compare(*pair) for pair in zip(results, expected)]
        wrong_cases = [case for case, verdict in enumerate(verdicts) if not verdict.right]
        if not wrong_cases:
            return judged_right(verdicts)
        return self._judge_wrong(results, wrong_cases[0], verdicts[wrong_cases[0]])

    def _judge_wrong(self, results: list[Any], case: int, verdict: Verdict) -> Judgement:
        for name, mistake in self.mistake_answers().items():
            if self._gives(mistake, results):
                return self._mistake_judgement(name)
        remarks = tuple(map(self._with_unit, self._explain(case, verdict)))
        return Judgement(Status.INCORRECT, remarks, reason=verdict.remarks[0].name)

    def _gives(self, mistake: Any, results: list[Any]) -> bool:
        """Tell whether a known mistake comes to the same results."""
        try:
            pairs = zip(results, self._results(mistake))
        except Exception:  # it may fail where the learner's code does not
            return False
        return all(self._compare(*pair).right for pair in pairs)

    def _compare(self, answer: Any, expected: Any) -> Verdict:
        if self._comparator is None:
            return compare(answer, expected, self._tolerance)
        verdict = self._comparator(answer, expected)
        if isinstance(verdict, Verdict):
            return verdict
        return Verdict(True) if verdict else wrong("differs", yours=show(answer))

    def _with_unit(self, remark: Remark) -> Remark:
        unit = f"{self.key}.unit"
        if not has_prose(unit):
            return remark
        details = {
            name: Remark("engine.labels.with_unit", {"value": value, "unit": Remark(unit)})
            if name in ("yours", "expected")
            else value
            for name, value in remark.details.items()
        }
        return Remark(remark.path, details)


def _all_none(values: list[Any]) -> bool:
    return all(value is None for value in values)
