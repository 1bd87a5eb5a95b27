"""The kinds of exercise: a function, a value, an array, and code of any kind.

A problem is data: cases, a reference solution and known mistakes. Its prose is in
`messages/en.toml` and `messages/ko.toml` under the problem's key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from course_lib.exercises.base_problem import Problem
from course_lib.exercises.cards import Status
from course_lib.exercises.compared_problem import ComparedProblem
from course_lib.exercises.judgement import Judgement, judged, judged_right
from course_lib.exercises.messages import Remark
from course_lib.exercises.runner import Run
from course_lib.exercises.values import fresh_copy, is_blank, materialise, show, type_name
from course_lib.exercises.verdict import Verdict

Case = tuple[tuple[Any, ...], Any]


class FunctionProblem(ComparedProblem):
    r"""Write a function; it is called with each case's arguments.

    Parameters
    ----------
    cases : Sequence[tuple[args, expected]] | Callable returning such
        A callable is called at the first check: for cases that are slow to make.
    **problem
        See `compared_problem.ComparedProblem`.

    Examples
    --------
    >>> problem = FunctionProblem(
    ...     key="start_here.pick_greedy",
    ...     cases=[(([0.1, 2.0],), 1)],
    ...     solution="def pick_greedy(logits):\n    return int(np.argmax(logits))",
    ... )
    >>> problem.check(lambda logits: 1).status.value
    'correct'
    >>> problem.check(lambda logits: 0).status.value
    'incorrect'
    """

    def __init__(
        self, *, cases: Sequence[Case] | Callable[[], Sequence[Case]], **problem: Any
    ) -> None:
        super().__init__(**problem)
        self._cases = cases
        self._arguments: tuple[Any, ...] | None = None  # of the call that is running

    @property
    def cases(self) -> Sequence[Case]:
        """Arguments and expected result of each case."""
        if callable(self._cases):
            self._cases = self._cases()
        return self._cases

    def _prepare(self) -> None:
        _ = self.cases

    def _judge(self, answer: Any) -> Judgement:
        if answer is None or is_blank(answer) or callable(answer):
            return super()._judge(answer)
        return judged(Status.INCORRECT, "not_a_function", yours_type=type_name(answer))

    def _results(self, answer: Any) -> list[Any]:
        results = []
        for arguments, _ in self.cases:
            self._arguments = arguments
            results.append(materialise(answer(*fresh_copy(arguments))))
        self._arguments = None
        return results

    def _expected(self) -> list[Any]:
        return [expected for _, expected in self.cases]

    def _explain(self, case: int, verdict: Verdict) -> tuple[Remark, ...]:
        return (self._call(self.cases[case][0]), *verdict.remarks)

    def _conclude(self, run: Run, answer: Any) -> Judgement:
        judgement = super()._conclude(run, answer)
        if judgement.reason != "exception" or self._arguments is None:
            return judgement
        error, *line = judgement.remarks
        return replace(judgement, remarks=(error, self._call(self._arguments), *line))

    def _call(self, arguments: tuple[Any, ...]) -> Remark:
        shown = ", ".join(map(show, arguments))
        return Remark("engine.remarks.call", {"call": f"{self.answer_name}({shown})"})


class ValueProblem(ComparedProblem):
    """Find a value. Feedback says what is wrong and how far off, and keeps the right value back.

    Parameters
    ----------
    expected : Any
        The value, or a callable that makes it at the first check.
    **problem
        See `compared_problem.ComparedProblem`.

    Examples
    --------
    >>> problem = ValueProblem(key="start_here.utf8_bytes", expected=6, solution="n_bytes = 6")
    >>> problem.check(6).status.value, problem.check(...).status.value
    ('correct', 'not_attempted')
    """

    def __init__(self, *, expected: Any, **problem: Any) -> None:
        super().__init__(**problem)
        self._value = expected

    def _prepare(self) -> None:
        self._expected()

    def _results(self, answer: Any) -> list[Any]:
        return [materialise(answer)]

    def _expected(self) -> list[Any]:
        if callable(self._value):
            self._value = self._value()
        return [self._value]

    def _explain(self, case: int, verdict: Verdict) -> tuple[Remark, ...]:
        return tuple(remark for remark in verdict.remarks if remark.name != "expected")


class ArrayProblem(ValueProblem):
    """Make an array. A list of the same shape will do; mistakes are given as source text.

    Examples
    --------
    >>> problem = ArrayProblem(
    ...     key="start_here.utf8_bytes", expected=[1.0, 2.0], solution="answer = np.arange(1, 3)"
    ... )
    >>> problem.check([1, 2]).status.value, problem.check([1, 2, 3]).reason
    ('correct', 'wrong_shape')
    """

    def _expected(self) -> list[Any]:
        return [np.asarray(value) for value in super()._expected()]


class CodeProblem(Problem):
    """Write code of any kind; a function of the course's judges it.

    Parameters
    ----------
    judge : Callable[[answer], str | Verdict | Status | None]
        Returns None for a right answer, the name of a known mistake, a `Verdict` of `compare`, or
        `Status.NOT_ATTEMPTED`.
    **problem
        See `base_problem.Problem`.

    Examples
    --------
    >>> problem = CodeProblem(
    ...     key="start_here.utf8_bytes",
    ...     judge=lambda text: "characters" if text.isascii() else None,
    ...     solution="text = '서울'",
    ... )
    >>> problem.check("서울").status.value, problem.check("Seoul").reason
    ('correct', 'characters')
    """

    def __init__(
        self, *, judge: Callable[[Any], str | Verdict | Status | None], **problem: Any
    ) -> None:
        super().__init__(**problem)
        self._finding = judge

    def _judge(self, answer: Any) -> Judgement:
        if answer is None or is_blank(answer):
            return judged(Status.NOT_ATTEMPTED, "starter")
        finding = self._finding(answer)
        if finding is None:
            return Judgement(Status.CORRECT)
        if finding is Status.NOT_ATTEMPTED:
            return judged(Status.NOT_ATTEMPTED, "starter")
        if isinstance(finding, Verdict):
            return _judge_verdict(finding)
        return self._mistake_judgement(finding)


def _judge_verdict(verdict: Verdict) -> Judgement:
    if verdict.right:
        return judged_right([verdict])
    return Judgement(Status.INCORRECT, verdict.remarks, reason=verdict.remarks[0].name)
