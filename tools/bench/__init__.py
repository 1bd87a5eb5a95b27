"""Benchmarks with bars: ours against the textbook loop, in one run on one machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """One comparison.

    Attributes
    ----------
    name : str
    reference, ours : float
        What the textbook loop and our code took for the same work.
    bar : float or None
        How many times faster ours has to be; None for a row that only informs.
    note : str
        What was measured, or how fast ours is in absolute terms.
    unit : str
        Of `reference` and `ours`; less is better.
    """

    name: str
    reference: float
    ours: float
    bar: float | None = None
    note: str = ""
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """How many times less ours takes."""
        return self.reference / self.ours

    @property
    def verdict(self) -> str:
        """Whether the bar is met."""
        if self.bar is None:
            return "–"
        return "pass" if self.ratio >= self.bar else "MISSED"


def timed(function: Callable[[], T], repeats: int = 1) -> tuple[float, T]:
    """Call `function` and return the seconds of its fastest call, and its result."""
    fastest_s = float("inf")
    for _ in range(repeats):
        started_s = time.perf_counter()
        result = function()
        fastest_s = min(fastest_s, time.perf_counter() - started_s)
    return fastest_s, result
