"""Keep llama.cpp's own chatter out of the notebook, and find its error message in it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

_ERROR_LINE = re.compile(r"error|failed|invalid|unknown|unsupported|missing", re.IGNORECASE)


class Chatter:
    """What was written to the C-level stderr meanwhile."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @property
    def text(self) -> str:
        """All of it."""
        self._file.seek(0)
        return self._file.read().decode(errors="replace")

    def last_error(self) -> str:
        """Return the first line that sounds like the cause of a failure, or nothing."""
        lines = [line.strip() for line in self.text.splitlines()]
        return next((line for line in lines if _ERROR_LINE.search(line)), "")


@contextmanager
def captured_stderr() -> Iterator[Chatter]:
    """Catch what C code writes to file descriptor 2, which Python's ``sys.stderr`` never sees.

    Examples
    --------
    >>> with captured_stderr() as chatter:
    ...     _ = os.write(2, b"llama_model_load: error: no such tensor")
    >>> chatter.last_error()
    'llama_model_load: error: no such tensor'
    """
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield Chatter(file)
        finally:
            os.dup2(saved, 2)
            os.close(saved)
