"""Compare numbers and arrays: how far off, and where."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_lib.exercises.values import show, show_difference
from course_lib.exercises.verdict import Tolerance, Verdict, expected_remark, wrong, wrong_type

_CLOSE = 0.01  # a number within 1% of the truth is called close: the idea is right, a detail is not


def compare_numbers(answer: Any, expected: Any, tolerance: Tolerance) -> Verdict:
    """Compare one number with another."""
    if isinstance(answer, bool) or not isinstance(answer, (int, float, complex)):
        return wrong_type(answer, expected)
    if answer == expected or (_is_nan(answer) and _is_nan(expected)):
        return Verdict(True)
    if _is_nan(answer):
        return wrong("nan", expected_remark(expected))
    difference = abs(answer - expected)
    if difference <= tolerance.allowed(expected, exact=isinstance(expected, int)):
        return Verdict(True, largest=float(difference))
    name = _number_verdict(answer, expected, difference)
    return wrong(
        name, expected_remark(expected), yours=show(answer), difference=show_difference(difference)
    )


def _is_nan(value: Any) -> bool:
    return value != value  # NaN alone differs from itself


def _number_verdict(answer: Any, expected: Any, difference: float) -> str:
    if math.isfinite(difference) and difference <= _CLOSE * abs(expected):
        return "close"
    if isinstance(answer, complex) or isinstance(expected, complex):
        return "differs"
    return "too_small" if answer < expected else "too_large"


def compare_arrays(answer: Any, expected: np.ndarray, tolerance: Tolerance) -> Verdict:
    """Compare shape, dtype, then entries."""
    if not isinstance(answer, (np.ndarray, list, tuple)):
        return wrong_type(answer, expected)
    try:
        array = np.asarray(answer)
    except ValueError:
        return wrong("ragged", expected_shape=str(expected.shape))
    if array.shape != expected.shape:
        return wrong(
            "wrong_shape", yours_shape=str(array.shape), expected_shape=str(expected.shape)
        )
    if not _dtypes_agree(array.dtype, expected.dtype, tolerance.same_dtype):
        return wrong("wrong_dtype", yours_type=str(array.dtype), expected_type=str(expected.dtype))
    if expected.dtype.kind in "iufc":
        return _compare_entries(array, expected, tolerance)
    return _report_entries(array, expected, array != expected)


def _dtypes_agree(yours: np.dtype, expected: np.dtype, same: bool) -> bool:
    if same:
        return yours == expected
    return any(yours.kind in kinds and expected.kind in kinds for kinds in ("b", "iufc", "U", "S"))


def _compare_entries(array: np.ndarray, expected: np.ndarray, tolerance: Tolerance) -> Verdict:
    not_numbers = np.isnan(array) & ~np.isnan(expected)
    if not_numbers.any():
        index, count = _index(not_numbers), int(not_numbers.sum())
        more = expected_remark(expected[index])
        return wrong("nan_at", more, index=_show_index(index), count=count)
    difference = _differences(array, expected)
    off = ~(difference <= tolerance.allowed(expected, exact=expected.dtype.kind in "iu"))
    if off.any():
        return _report_entries(array, expected, off, difference)
    return Verdict(True, largest=float(difference.max(initial=0.0)))


def _differences(array: np.ndarray, expected: np.ndarray) -> np.ndarray:
    # float64 first: unsigned integers would wrap around below zero
    wide = np.result_type(array, expected, np.float64)
    equal = (array == expected) | (np.isnan(array) & np.isnan(expected))
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf, which `equal` covers
        return np.where(equal, 0.0, np.abs(array.astype(wide) - expected.astype(wide)))


def _report_entries(
    array: np.ndarray,
    expected: np.ndarray,
    off: np.ndarray,
    difference: np.ndarray | None = None,
) -> Verdict:
    if not off.any():
        return Verdict(True)
    index = _index(off if difference is None else np.where(off, difference, -1.0))
    details = {
        "count": int(off.sum()),
        "total": off.size,
        "index": _show_index(index),
        "yours": show(array[index]),
    }
    if difference is None:
        return wrong("entries_differ", expected_remark(expected[index]), **details)
    finite = np.isfinite(expected)
    close = bool((difference <= _CLOSE * np.abs(np.where(finite, expected, 0.0))).all())
    details["difference"] = show_difference(difference[index])
    name = "array_close" if close else "array_differs"
    return wrong(name, expected_remark(expected[index]), **details)


def _index(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(np.argmax(values), values.shape))


def _show_index(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]"
