"""Run a learner's code so that it can neither hang nor end the notebook."""

from __future__ import annotations

import contextvars
import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_POLL_S = 0.05
_GRACE_S = 0.4


class _Stop(SystemExit):
    """Raised inside a worker to end it; a thread may die of `SystemExit` silently."""


@dataclass(frozen=True)
class Run:
    """What became of a call: its value, or its error, or neither when time ran out."""

    value: Any = None
    error: BaseException | None = None
    timed_out: bool = False


class _Worker(threading.Thread):
    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self._context = contextvars.copy_context()  # keeps np.errstate and the notebook's output
        # Not `join` and `is_alive`: before Python 3.13 an interrupted `join` marks a running thread
        # as stopped.
        self.finished = threading.Event()
        self.result = Run()

    def run(self) -> None:
        try:
            self.result = Run(value=self._context.run(self._function))
        except BaseException as error:  # SystemExit, too: an answer must not end the notebook
            self.result = Run(error=error)
        finally:
            self.finished.set()

    def stop(self) -> None:
        """Raise `_Stop` in the thread until it ends; code that swallows it is left behind."""
        give_up_at = time.monotonic() + _GRACE_S
        while not self.finished.is_set() and time.monotonic() < give_up_at:
            ident, error = ctypes.c_ulong(self.ident), ctypes.py_object(_Stop)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)
            self.finished.wait(_POLL_S)


def run_limited(function: Callable[[], Any], limit_s: float) -> Run:
    """Call `function` in a thread of its own and wait at most `limit_s` seconds.

    A thread works alike on Linux, macOS and Windows and off the main thread, where signals do not.
    Interrupting the kernel stops the thread and raises `KeyboardInterrupt` as usual.

    Examples
    --------
    >>> run_limited(lambda: 6 * 7, limit_s=1.0).value
    42
    >>> run_limited(lambda: 1 / 0, limit_s=1.0).error
    ZeroDivisionError('division by zero')
    """
    worker = _Worker(function)
    deadline = time.monotonic() + limit_s
    worker.start()
    try:
        while not worker.finished.is_set() and time.monotonic() < deadline:
            worker.finished.wait(_POLL_S)  # Windows delivers an interrupt only between waits
        timed_out = not worker.finished.is_set()
    finally:
        worker.stop()
    return Run(timed_out=True) if timed_out else worker.result
