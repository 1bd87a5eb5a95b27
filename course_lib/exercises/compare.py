"""Compare an answer with what was expected, and say what differs, where and by how much."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from course_lib.exercises.compare_numbers import compare_arrays, compare_numbers
from course_lib.exercises.messages import Remark
from course_lib.exercises.values import show
from course_lib.exercises.verdict import Tolerance, Verdict, expected_remark, wrong, wrong_type

_DEFAULT = Tolerance()

_SHORT_TEXT = 12  # characters that one sees at a glance


def compare(answer: Any, expected: Any, tolerance: Tolerance = _DEFAULT) -> Verdict:
    """Compare `answer` with `expected`, as strictly as the type of `expected` asks for.

    Python and NumPy numbers are interchangeable, and so are lists, tuples and arrays of one shape;
    `True` is not 1, and a string is not a list.

    Examples
    --------
    >>> compare([1, 2, 3], np.array([1.0, 2.0, 3.0])).right
    True
    >>> for remark in compare([1, 5, 3], np.array([1.0, 2.0, 3.0])).remarks:
    ...     print(remark.text("en"))
    1 of 3 entries differ. The largest difference is 3, at [1], where yours is 5.
    Expected: 2.0.
    """
    answer, expected = _unwrap(answer), _unwrap(expected)
    for types, comparison in _COMPARISONS:
        if isinstance(expected, types):
            return comparison(answer, expected, tolerance)
    return _compare_others(answer, expected)


def _unwrap(value: Any) -> Any:
    """Python's own number, text or truth value for a NumPy scalar."""
    scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0)
    return value.item() if scalar else value


def _compare_others(answer: Any, expected: Any, _: Tolerance | None = None) -> Verdict:
    if type(answer) is not type(expected):
        return wrong_type(answer, expected)
    if answer == expected:
        return Verdict(True)
    return wrong("differs", expected_remark(expected), yours=show(answer))


def _compare_text(answer: Any, expected: str | bytes, _: Tolerance) -> Verdict:
    if not isinstance(answer, type(expected)):
        return wrong_type(answer, expected)
    if answer == expected:
        return Verdict(True)
    if isinstance(expected, str) and _composed(answer) == _composed(expected):
        return wrong("text_composition", **_lengths(answer, expected))
    if max(len(answer), len(expected)) <= _SHORT_TEXT:
        return wrong("differs", expected_remark(expected), yours=show(answer))
    at = next((i for i, (a, e) in enumerate(zip(answer, expected)) if a != e), None)
    if at is None:
        return _wrong_length("text", answer, expected)
    more = expected_remark(expected[at : at + 1])
    details = {"index": at, "yours": show(answer[at : at + 1])}
    return wrong("text_differs", more, **details, **_lengths(answer, expected))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _lengths(answer: Any, expected: Any) -> dict[str, int]:
    return {"yours_length": len(answer), "expected_length": len(expected)}


def _wrong_length(kind: str, answer: Any, expected: Any) -> Verdict:
    """One of the two is the beginning of the other."""
    size = "short" if len(answer) < len(expected) else "long"
    return wrong(f"{kind}_too_{size}", expected_remark(expected), **_lengths(answer, expected))


def _compare_items(answer: Any, expected: list | tuple, tolerance: Tolerance) -> Verdict:
    if not isinstance(answer, (list, tuple, np.ndarray)):
        return wrong_type(answer, expected)
    largest = 0.0
    for index, (mine, right) in enumerate(zip(answer, expected)):
        verdict = compare(mine, right, tolerance)
        if not verdict.right:
            return _report_item(index, answer, expected, verdict)
        largest = max(largest, verdict.largest)
    if len(answer) != len(expected):
        return _wrong_length("list", answer, expected)
    return Verdict(True, largest=largest)


def _report_item(index: int, answer: Any, expected: list | tuple, verdict: Verdict) -> Verdict:
    details = {"index": index, "yours": show(answer[index])}
    same_type = type(_unwrap(answer[index])) is type(expected[index])
    if same_type and isinstance(expected[index], (str, bytes)):
        # which item is wrong matters more than which of its characters
        remarks = wrong("item_differs", expected_remark(expected[index]), **details).remarks
    else:
        remarks = wrong("at_index", *verdict.remarks, index=index).remarks
    if len(answer) != len(expected):
        lengths = Remark("engine.remarks.list_lengths", _lengths(answer, expected))
        remarks = (*remarks, lengths)
    return Verdict(False, remarks)


def _compare_mappings(answer: Any, expected: Mapping, tolerance: Tolerance) -> Verdict:
    if not isinstance(answer, Mapping):
        return wrong_type(answer, expected)
    for key in expected:
        if key not in answer:
            return wrong("missing_key", key=show(key))
    for key in answer:
        if key not in expected:
            return wrong("extra_key", key=show(key))
    for key, right in expected.items():
        verdict = compare(answer[key], right, tolerance)
        if not verdict.right:
            return wrong("at_key", *verdict.remarks, key=show(key))
    return Verdict(True)


def _compare_sets(answer: Any, expected: Set, _: Tolerance) -> Verdict:
    if not isinstance(answer, Set):
        return wrong_type(answer, expected)
    if answer == expected:
        return Verdict(True)
    missing, extra = len(expected - answer), len(answer - expected)
    return wrong("sets_differ", expected_remark(expected), missing=missing, extra=extra)


_COMPARISONS = (
    (np.ndarray, compare_arrays),
    (bool, _compare_others),  # before numbers: True is an int to Python
    ((int, float, complex), compare_numbers),
    ((str, bytes), _compare_text),
    ((list, tuple), _compare_items),
    (Mapping, _compare_mappings),
    (Set, _compare_sets),
)
