"""How an answer was judged, before it is put into words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from course_lib.exercises.cards import Status
from course_lib.exercises.messages import Remark
from course_lib.exercises.verdict import Verdict


@dataclass(frozen=True)
class Judgement:
    """Status, the sentences that explain it, and the learner's code where that helps.

    Parameters
    ----------
    status : Status
    remarks : tuple[Remark, ...]
    code : str
    reason : str
        Name of a known mistake, or of the first remark.
    """

    status: Status
    remarks: tuple[Remark, ...] = ()
    code: str = ""
    reason: str = ""


def judged(status: Status, name: str, **details: str | int) -> Judgement:
    """A judgement with the one remark `engine.remarks.<name>`.

    Examples
    --------
    >>> judged(Status.NOT_ATTEMPTED, "starter").reason
    'starter'
    """
    return Judgement(status, (Remark(f"engine.remarks.{name}", details),), reason=name)


def judged_error(error: str, line: tuple[int, str] | None) -> Judgement:
    """A judgement that shows the learner's own line, where there is one.

    Examples
    --------
    >>> judged_error("ZeroDivisionError: division by zero", (2, "return 1 / 0")).code
    'return 1 / 0'
    """
    remarks = [Remark("engine.remarks.exception", {"error": error})]
    if line is None:
        return Judgement(Status.ERROR, tuple(remarks), reason="exception")
    remarks.append(Remark("engine.remarks.line", {"number": line[0]}))
    return Judgement(Status.ERROR, tuple(remarks), line[1], "exception")


def judged_right(verdicts: Sequence[Verdict]) -> Judgement:
    """A judgement that says whether the answer is exact or equal up to rounding.

    Examples
    --------
    >>> judged_right([Verdict(True), Verdict(True, largest=3e-9)]).remarks[0].text("en")
    'Equal up to rounding: no difference above 1e-08.'
    """
    largest = max((verdict.largest for verdict in verdicts), default=0.0)
    if largest == 0.0:
        return judged(Status.CORRECT, "exact")
    # a power of ten: the last digits of a rounding error differ from machine to machine
    bound = f"{10.0 ** math.ceil(math.log10(largest)):.0e}"
    return judged(Status.CORRECT, "close_enough", difference=bound)
