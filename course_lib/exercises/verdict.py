"""What a comparison concludes, and how much it forgives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from course_lib.exercises.messages import Remark
from course_lib.exercises.values import show, type_name


@dataclass(frozen=True)
class Tolerance:
    """How far an answer may be off: `|answer - expected| <= atol + rtol * |expected|`.

    Parameters
    ----------
    rtol, atol : float | None
        None: 1e-5 and 1e-8 for floats, exact for integers. A number holds for both.
    same_dtype : bool
        Whether an array must also have the expected dtype.
    """

    rtol: float | None = None
    atol: float | None = None
    same_dtype: bool = False

    def allowed(self, expected: Any, *, exact: bool) -> Any:
        """Largest difference allowed at each entry of `expected`, none at infinities."""
        if exact and self.rtol is None and self.atol is None:
            return np.zeros(np.shape(expected))
        rtol = 1e-5 if self.rtol is None else self.rtol
        atol = 1e-8 if self.atol is None else self.atol
        return np.where(np.isfinite(expected), atol + rtol * np.abs(expected), 0.0)


@dataclass(frozen=True)
class Verdict:
    """Result of a comparison.

    Parameters
    ----------
    right : bool
    remarks : tuple[Remark, ...]
        What differs; empty when right.
    largest : float
        Largest difference between numbers that was forgiven.
    """

    right: bool
    remarks: tuple[Remark, ...] = ()
    largest: float = 0.0


def wrong(name: str, *more: Remark, **details: str | int) -> Verdict:
    """A verdict whose first remark is `engine.remarks.<name>`."""
    return Verdict(False, (Remark(f"engine.remarks.{name}", details), *more))


def wrong_type(answer: Any, expected: Any) -> Verdict:
    """A verdict that names both types."""
    return wrong("wrong_type", yours_type=type_name(answer), expected_type=type_name(expected))


def expected_remark(value: Any) -> Remark:
    """The remark that gives the right value away; problems may leave it out."""
    return Remark("engine.remarks.expected", {"expected": show(value)})
