"""What every kind of exercise does: check, hint, solution, and the means to test it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from course_lib.exercises.cards import Card, Outcome, Status
from course_lib.exercises.judgement import Judgement, judged, judged_error
from course_lib.exercises.learner_error import describe_error, learner_line
from course_lib.exercises.messages import Remark, find_prose, language
from course_lib.exercises.runner import Run, run_limited
from course_lib.exercises.source import answer_name, evaluate, starter_source
from course_lib.exercises.values import EndlessAnswerError
from course_lib.exercises.verification import verify


class Problem:
    """An exercise; its kinds in `problem` say how to judge an answer.

    Parameters
    ----------
    key : str
        `"lesson.problem"`: where the prose is in `messages/*.toml`.
    solution : str
        Source text of the reference answer; its last statement defines the answer.
    mistakes : Mapping[str, Any]
        Known mistakes by name. A string is source text, anything else the wrong value itself.
    starter : str | None
        What the learner's cell holds at first; by default the solution's head and `...`.
    time_limit_s : float
        How long a learner's code may run.
    """

    def __init__(
        self,
        *,
        key: str,
        solution: str,
        mistakes: Mapping[str, Any] | None = None,
        starter: str | None = None,
        time_limit_s: float = 4.0,
    ) -> None:
        self.key = key
        self.solution_source = solution
        self.answer_name = answer_name(solution)
        self.starter = starter_source(solution) if starter is None else starter
        self.mistakes = dict(mistakes or {})
        self.time_limit_s = time_limit_s
        self.state = Status.NOT_ATTEMPTED
        self._hints_shown = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r})"

    # What a learner calls

    def check(self, answer: Any = ...) -> Outcome:
        """Judge `answer`: the function, value or array itself, as the exercise asks.

        Never raises, and answers within five seconds.
        """
        self._prepare()
        run = run_limited(lambda: self._judge(answer), self.time_limit_s)
        judgement = self._conclude(run, answer)
        if self.state is not Status.CORRECT:
            self.state = judgement.status
        return self._outcome(judgement)

    def hint(self) -> Card:
        """Show the hints so far, and one more at each call."""
        n_hints = len(find_prose(f"{self.key}.hints", language()))
        self._hints_shown = min(self._hints_shown + 1, n_hints)
        label = Remark("engine.labels.hint", {"shown": self._hints_shown, "total": n_hints})
        last = (Remark("engine.labels.last_hint"),) if self._hints_shown == n_hints else ()
        items = tuple(
            (f"{n + 1}.", Remark(f"{self.key}.hints.{n}")) for n in range(self._hints_shown)
        )
        return Card("hint", language(), self._headline(label), last, items=items)

    def solution(self) -> Card:
        """Show the reference solution and why it is right."""
        headline = self._headline(Remark("engine.labels.solution"))
        explanation = (Remark(f"{self.key}.explanation"),)
        return Card("solution", language(), headline, explanation, self.solution_source)

    # What tests and tools call

    def reference(self) -> Any:
        """The reference answer itself."""
        return evaluate(self.solution_source)

    def starter_answer(self) -> Any:
        """What a learner hands in who has not begun."""
        return evaluate(self.starter)

    def mistake_sources(self) -> dict[str, str]:
        """Source text of each known mistake, as a learner would have typed it."""
        return {
            name: mistake if isinstance(mistake, str) else f"{self.answer_name} = {mistake!r}"
            for name, mistake in self.mistakes.items()
        }

    def mistake_answers(self) -> dict[str, Any]:
        """Each known mistake's answer, by the mistake's name."""
        return {name: evaluate(source) for name, source in self.mistake_sources().items()}

    def verify(self) -> None:
        """Check the problem itself: starter, reference and each mistake get their own outcome.

        Raises
        ------
        AssertionError
            With the outcome that was not as it should be.
        """
        verify(self)

    # How an answer becomes an outcome

    def _prepare(self) -> None:
        """Make what is slow to make, before the learner's time begins to count."""

    def _judge(self, answer: Any) -> Judgement:
        raise NotImplementedError

    def _conclude(self, run: Run, answer: Any) -> Judgement:
        if run.timed_out:
            return judged(Status.ERROR, "time_limit")
        if run.error is None:
            return run.value
        if isinstance(run.error, EndlessAnswerError):
            return judged(Status.INCORRECT, "endless", limit=int(str(run.error)))
        error = describe_error(run.error)
        if "'ellipsis'" in error or error == "NotImplementedError":
            return judged(Status.NOT_ATTEMPTED, "blank_left")
        return judged_error(error, learner_line(run.error, answer))

    def _outcome(self, judgement: Judgement) -> Outcome:
        remarks = judgement.remarks
        if judgement.status is Status.CORRECT:
            remarks = (*remarks, Remark(f"{self.key}.explanation"))
        return Outcome(
            judgement.status.value,
            language(),
            self._headline(judgement.status.remark()),
            remarks,
            judgement.code,
            status=judgement.status,
            reason=judgement.reason,
        )

    def _headline(self, label: Remark) -> Remark:
        details = {"label": label, "title": Remark(f"{self.key}.title")}
        return Remark("engine.labels.headline", details)

    def _mistake_judgement(self, name: str) -> Judgement:
        return Judgement(Status.INCORRECT, (Remark(f"{self.key}.mistakes.{name}"),), reason=name)
