"""Values that a learner hands in: shown in few words, made finite, copied."""

from __future__ import annotations

import copy
import reprlib
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from itertools import islice
from typing import Any

import numpy as np


class EndlessAnswerError(Exception):
    """The learner's generator was still producing values at the limit."""


class _ShortRepr(reprlib.Repr):
    """`repr` with limits, and without the memory addresses that change from run to run."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 60
        self.maxlong = 40

    def repr_float(self, value: float, level: int) -> str:
        return repr(float(f"{value:.8g}"))

    def repr_ndarray(self, value: np.ndarray, level: int) -> str:
        if value.size > 16:
            return f"array{value.shape}"
        return np.array2string(value, precision=6, separator=", ").replace("\n", "")

    def repr_instance(self, value: Any, level: int) -> str:
        if isinstance(value, np.generic):
            return self.repr1(value.item(), level)
        if value is None or value is ... or isinstance(value, (bool, complex, bytes, range)):
            return repr(value)[: self.maxother]
        return getattr(value, "__name__", None) or f"<{type(value).__name__}>"


def show(value: Any) -> str:
    """Describe `value` in few characters, the same in every run.

    Examples
    --------
    >>> show(0.1 + 0.2), show(["text", "tokens"]), show(np.float32(1.5))
    ('0.3', "['text', 'tokens']", '1.5')
    >>> show(np.eye(2)), show(np.zeros((32, 64))), show(object())
    ('[[1., 0.], [0., 1.]]', 'array(32, 64)', '<object>')
    """
    return _ShortRepr().repr(value)


def show_difference(difference: float) -> str:
    """Describe the size of a difference with three digits.

    Examples
    --------
    >>> show_difference(0.123456), show_difference(1_000_000)
    ('0.123', '1e+06')
    """
    return f"{difference:.3g}"


def type_name(value: Any) -> str:
    """Name of the type of `value`.

    Examples
    --------
    >>> type_name("a"), type_name(np.zeros(2))
    ('str', 'ndarray')
    """
    return type(value).__name__


def is_blank(value: Any) -> bool:
    """Whether `value` still is, or holds, the `...` of a starter cell.

    Examples
    --------
    >>> is_blank(...), is_blank(["text", ...]), is_blank(["text"])
    (True, True, False)
    """
    items = value.values() if type(value) is dict else value
    return items is ... or (
        isinstance(items, (list, tuple, ValuesView)) and any(item is ... for item in items)
    )


def materialise(value: Any, max_items: int = 10_000) -> Any:
    """Turn an iterator, range or dictionary view into a list; leave all else alone.

    Raises
    ------
    EndlessAnswerError
        After `max_items` values.

    Examples
    --------
    >>> materialise(character for character in "ab")
    ['a', 'b']
    """
    if not isinstance(value, (Iterator, range, KeysView, ValuesView, ItemsView)):
        return value
    items = list(islice(value, max_items + 1))
    if len(items) > max_items:
        raise EndlessAnswerError(str(max_items))
    return items


def fresh_copy(value: Any) -> Any:
    """Copy the containers and arrays in `value`, so that nobody can change the original.

    Examples
    --------
    >>> original = [1, [2]]
    >>> fresh_copy(original)[1].append(3)
    >>> original
    [1, [2]]
    """
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, np.random.Generator):
        return copy.deepcopy(value)
    if type(value) in (list, tuple, set):
        return type(value)(fresh_copy(item) for item in value)
    if type(value) is dict:
        return {key: fresh_copy(item) for key, item in value.items()}
    return value
