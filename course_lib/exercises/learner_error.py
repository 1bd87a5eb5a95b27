"""What to tell a learner about an exception: its words, and the line of theirs that raised it."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

_COURSE = Path(__file__).resolve().parents[1]
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
_MAX_CHARACTERS = 500


def describe_error(error: BaseException) -> str:
    """Type and message of an error, as the last line of a traceback has them.

    Examples
    --------
    >>> describe_error(ValueError("no tokens"))
    'ValueError: no tokens'
    """
    try:
        message = str(error)[:_MAX_CHARACTERS]
    except Exception:  # the learner's own __str__ may fail
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def learner_line(error: BaseException, answer: Any) -> tuple[int, str] | None:
    """Number and text of the learner's line at fault: the deepest one, else the `def` line.

    Returns
    -------
    tuple[int, str] | None
        None when no line of the learner took part.
    """
    lines = [(number, text) for number, text in _learner_lines(error.__traceback__) if text]
    code = getattr(answer, "__code__", None)
    if lines:
        return lines[-1]
    if code is None or _is_library(code.co_filename):
        return None
    text = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return (code.co_firstlineno, text) if text else None


def _learner_lines(trace: TracebackType | None) -> list[tuple[int, str]]:
    frames = traceback.extract_tb(trace)
    return [(f.lineno or 0, f.line or "") for f in frames if not _is_library(f.filename)]


@lru_cache(maxsize=256)  # a runaway recursion has a thousand frames of one file
def _is_library(filename: str) -> bool:
    path = Path(filename)
    if path.is_absolute():
        path = path.resolve()
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    inside = {_COURSE, _STANDARD_LIBRARY} & set(path.parents)
    return bool(installed or inside) or filename.startswith(("<frozen", "<__array_function__"))
