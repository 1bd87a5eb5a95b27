"""Comparison of answers: which are equal, and what is said of those that are not."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from course_lib.exercises.compare import compare
from course_lib.exercises.verdict import Tolerance

INF, NAN = np.inf, np.nan


def reason(answer, expected, tolerance=None):
    verdict = compare(answer, expected, tolerance or Tolerance())
    return verdict.remarks[0].name if verdict.remarks else "right"


def text(answer, expected):
    return " ".join(remark.text("en") for remark in compare(answer, expected).remarks)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (6, 6),
        (6.0, 6),
        (np.int64(6), 6),
        (np.float32(0.5), 0.5),
        (np.array(6), 6),
        (0.1 + 0.2, 0.3),
        (-INF, -INF),
        (NAN, NAN),
        (True, True),
        (np.bool_(True), True),
        ("서울", "서울"),
        (np.str_("a"), "a"),
        (b"a", b"a"),
        ([1, 2], (1, 2)),
        (np.array([1, 2]), [1, 2]),
        ([1, 2], np.array([1.0, 2.0])),
        ([[0.0, -INF], [0.0, 0.0]], np.array([[0.0, -INF], [0.0, 0.0]])),
        (np.array([True]), np.array([True])),
        (["a"], np.array(["a"])),
        ([], []),
        (np.zeros((0, 2)), np.zeros((0, 2))),
        ({"a": 1.0}, {"a": 1}),
        ({1, 2}, {2, 1}),
        (None, None),
        ([np.zeros(2), 1], [np.zeros(2), 1]),
    ],
)
def test_equal_answers_are_right(answer, expected):
    assert compare(answer, expected).right


@pytest.mark.parametrize(
    ("answer", "expected", "name"),
    [
        (True, 1, "wrong_type"),
        (1, True, "wrong_type"),
        (False, True, "differs"),
        ("6", 6, "wrong_type"),
        (6, "6", "wrong_type"),
        ("ab", ["a", "b"], "wrong_type"),
        ({1}, [1], "wrong_type"),
        (None, 1, "wrong_type"),
        (1, None, "wrong_type"),
        (np.ones(1), 1, "wrong_type"),
        (1, np.ones(1), "wrong_type"),
        (len, 3, "wrong_type"),
        (5, 6, "too_small"),
        (7, 6, "too_large"),
        (6.001, 6, "close"),
        (INF, 6, "too_large"),
        (6.0, INF, "too_small"),
        (-INF, INF, "too_small"),
        (NAN, 6, "nan"),
        (1j, 1.0, "differs"),
        (np.ones((3, 2)), np.ones((2, 3)), "wrong_shape"),
        ([[1], [1, 2]], np.ones((2, 2)), "ragged"),
        (["a", "b"], np.ones(2), "wrong_dtype"),
        ([None, 1], np.ones(2), "wrong_dtype"),
        ([True, False], np.ones(2), "wrong_dtype"),
        (np.array([1, 0]), np.array([True, False]), "wrong_dtype"),
        (np.array([False]), np.array([True]), "entries_differ"),
        ([1.0, NAN], np.ones(2), "nan_at"),
        ([1.0, 1.0], np.array([1.0, NAN]), "array_differs"),
        ([1.0, 1.001], np.ones(2), "array_close"),
        ([1.0, 2.0], np.ones(2), "array_differs"),
        ([0.0, 0.0], np.array([0.0, -INF]), "array_differs"),
        ([0.0, -INF], np.array([0.0, 0.0]), "array_differs"),
        ("abx", "abc", "differs"),
        (13 * "a" + "x", 13 * "a" + "b", "text_differs"),
        (13 * "a", 14 * "a", "text_too_short"),
        (14 * "a", 13 * "a", "text_too_long"),
        (unicodedata.normalize("NFD", "한글"), "한글", "text_composition"),
        ([1, 3], [1, 2], "at_index"),
        (["a", "x"], ["a", "b"], "item_differs"),
        (["a", 1], ["a", "b"], "at_index"),
        ([1], [1, 2], "list_too_short"),
        ([1, 2, 3], [1, 2], "list_too_long"),
        ({}, {"a": 1}, "missing_key"),
        ({"a": 1, "b": 2}, {"a": 1}, "extra_key"),
        ({"a": 2}, {"a": 1}, "at_key"),
        ({1, 3}, {1, 2}, "sets_differ"),
    ],
)
def test_difference_is_named(answer, expected, name):
    assert reason(answer, expected) == name


def test_unsigned_integers_do_not_wrap_around():
    answer = np.array([0], np.uint8)
    assert "difference is 200" in text(answer, np.array([200], np.uint8))


def test_integers_are_exact_unless_a_tolerance_is_given():
    assert reason(1_000_001, 1_000_000) == "close"
    assert reason(1_000_001, 1_000_000, Tolerance(rtol=1e-5)) == "right"
    assert reason([1_000_001], np.array([1_000_000])) == "array_close"
    assert reason([1_000_001], np.array([1_000_000]), Tolerance(atol=1)) == "right"


def test_largest_difference_is_located():
    message = text([[0.0, 1.0], [5.0, 0.5]], np.array([[0.0, 0.0], [0.0, 0.5]]))
    assert "2 of 4 entries differ" in message
    assert "largest difference is 5, at [1, 0], where yours is 5.0" in message
    assert "Expected: 0.0." in message


def test_nan_is_located_and_counted():
    assert "2 of them, the first at [1]" in text([1.0, NAN, NAN], np.ones(3))


def test_list_difference_is_located_and_lengths_are_named():
    message = text(["text", "x", "y"], ["text", "tokens"])
    assert "index 1, where yours has 'x'" in message
    assert "yours 3, expected 2" in message


def test_nested_difference_is_followed_down():
    assert text([[1, 2], [3, 5]], [[1, 2], [3, 4]]).count("index 1") == 2


def test_types_are_both_named():
    message = text("3", [3])
    assert "str" in message
    assert "list" in message
