"""Whose text is being written: a llama.cpp context serves one at a time."""

from __future__ import annotations

import threading


class EngineError(RuntimeError):
    """llama.cpp could not do what was asked."""


class EngineTurns:
    """Hand out the right to write a text with one model, to one text at a time.

    Another thread waits until the text is finished or dropped. The same thread cannot wait for
    itself, so when it begins a new text, the unfinished one ends with an error.

    Examples
    --------
    >>> turns = EngineTurns()
    >>> with turns.taken() as first, turns.taken() as second:
    ...     second.require()
    ...     first.require()
    Traceback (most recent call last):
    course_lib.engine_turns.EngineError: this text was ended, because the same thread began ...
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._holder: EngineTurn | None = None

    def taken(self) -> EngineTurn:
        """Return a turn that lasts as long as a ``with`` block."""
        return EngineTurn(self)


class EngineTurn:
    """The right to write one text."""

    def __init__(self, turns: EngineTurns) -> None:
        self._turns = turns

    def __enter__(self) -> EngineTurn:
        turns, thread = self._turns, threading.get_ident()
        if turns._thread != thread:
            turns._lock.acquire()
        turns._thread, turns._holder = thread, self
        return self

    def require(self) -> None:
        """Raise EngineError when another text of the same thread has taken over."""
        if self._turns._holder is not self:
            raise EngineError(
                "this text was ended, because the same thread began another with this model. "
                "Finish one stream before the next, or load the model twice."
            )

    def __exit__(self, *error: object) -> None:
        turns = self._turns
        if turns._holder is self:
            turns._thread = turns._holder = None
            turns._lock.release()
