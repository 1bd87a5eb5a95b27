"""A report card: what was wanted before measuring, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MARKS = {True: "✓", False: "✗", None: "?"}


@dataclass(frozen=True)
class Requirement:
    """What is wanted of one measure: a line that is drawn before anything is measured.

    Attributes
    ----------
    what : str
        Name of the measure.
    unit : str
        May be empty.
    at_least, at_most : float or None
        Exactly one of them is given; the line itself is good enough.

    Raises
    ------
    ValueError
        When none or both are given.

    Examples
    --------
    >>> print(Requirement("memory", "GB", at_most=6))
    memory ≤ 6 GB
    """

    what: str
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.what!r} needs either at_least=… or at_most=…, and not both.")

    def __str__(self) -> str:
        return f"{self.what} {self.wanted_text}"

    @property
    def wanted(self) -> float:
        """The number on the line."""
        return self.at_most if self.at_least is None else self.at_least

    @property
    def wanted_text(self) -> str:
        """The line as it is written: ``≤ 6 GB``."""
        sign = "≤" if self.at_least is None else "≥"
        return f"{sign} {_with_unit(self.wanted, self.unit)}"

    def is_met_by(self, value: float) -> bool:
        """Tell on which side of the line a value lies; NaN is on the wrong one."""
        is_met = value <= self.wanted if self.at_least is None else value >= self.wanted
        return bool(is_met)


@dataclass(frozen=True)
class CardRow:
    """A requirement with what was measured, or None as long as nothing was."""

    requirement: Requirement
    value: float | None = None

    @property
    def what(self) -> str:
        """Name of the measure."""
        return self.requirement.what

    @property
    def passed(self) -> bool | None:
        """Whether the requirement is met; None before it was measured."""
        return None if self.value is None else self.requirement.is_met_by(self.value)

    @property
    def state(self) -> str:
        """`"yes"`, `"no"`, or `"open"` when it was not measured."""
        return {True: "yes", False: "no", None: "open"}[self.passed]

    @property
    def mark(self) -> str:
        """A sign for it: ``✓``, ``✗``, or ``?`` before it was measured."""
        return _MARKS[self.passed]

    @property
    def value_text(self) -> str:
        """The value as it is written: ``3.4 GB``."""
        return "–" if self.value is None else _with_unit(self.value, self.requirement.unit)

    @property
    def margin(self) -> float:
        """How many times as good as wanted: above 1 is passed, 1 is just so, below is not.

        Examples
        --------
        >>> CardRow(Requirement("memory", "GB", at_most=6), 3.0).margin
        2.0
        """
        if self.value is None:
            return float("nan")
        wanted = self.requirement.wanted
        is_floor = self.requirement.at_least is not None
        good, bad = (self.value, wanted) if is_floor else (wanted, self.value)
        if good == bad:
            return 1.0
        return good / bad if bad > 0 else float("inf")


class ReportCard:
    """Requirements, and what is measured against them; ``print(card)`` shows a table.

    The requirements are given first, and stay as they are. A measure may be recorded again.

    Parameters
    ----------
    title : str
    requirements : iterable of Requirement

    Raises
    ------
    ValueError
        When there is no requirement, or two have the same name.

    Examples
    --------
    >>> card = ReportCard("Desk", [Requirement("memory", "GB", at_most=6)])
    >>> card.record("memory", 3.4)
    True
    >>> print(card)
    Desk
    ✓  memory  ≤ 6 GB  3.4 GB
    """

    def __init__(self, title: str, requirements: Iterable[Requirement]) -> None:
        requirements = list(requirements)
        names = [requirement.what for requirement in requirements]
        if not names or len(names) != len(set(names)):
            raise ValueError(f"a card needs requirements with different names, not {names}.")
        self.title = title
        self._requirements = {requirement.what: requirement for requirement in requirements}
        self._values: dict[str, float] = {}

    def record(self, what: str, value: float) -> bool:
        """Write a measured value down, and tell whether it is good enough.

        Raises
        ------
        KeyError
            When nothing of this name is wanted.
        TypeError
            When the value is no number.
        """
        if what not in self._requirements:
            names = ", ".join(self._requirements)
            raise KeyError(f"{what!r} is not on the card. It has: {names}")
        try:
            self._values[what] = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"{what!r} should be a number, not {value!r}.") from None
        return self._requirements[what].is_met_by(self._values[what])

    @property
    def rows(self) -> list[CardRow]:
        """All rows, in the order of the requirements."""
        return [CardRow(x, self._values.get(name)) for name, x in self._requirements.items()]

    @property
    def passed(self) -> bool:
        """Whether everything was measured, and is good enough."""
        return all(row.passed for row in self.rows)

    def verdicts(self) -> dict[str, bool | None]:
        """Return for each measure whether it passed; None if it was not measured."""
        return {row.what: row.passed for row in self.rows}

    def __str__(self) -> str:
        table = [(x.mark, x.what, x.requirement.wanted_text, x.value_text) for x in self.rows]
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)
        return "\n".join([self.title, *lines])


def _with_unit(value: float, unit: str) -> str:
    """Write a number with three digits that count, and its unit.

    Examples
    --------
    >>> _with_unit(2345.6, "tokens/s"), _with_unit(0.97, "")
    ('2,346 tokens/s', '0.97')
    """
    text = f"{value:,.0f}" if 100 <= abs(value) < float("inf") else f"{value:.3g}"
    return f"{text} {unit}".rstrip()
