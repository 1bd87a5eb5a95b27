"""Keep llama.cpp's own chatter out of the notebook, and find its error message in it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR
_ERROR_LINE = re.compile(r"error|failed|invalid|unknown|unsupported|missing", re.IGNORECASE)
_capturing = threading.RLock()  # the log and file descriptor 2 belong to the whole process


class Chatter:
    """What llama.cpp said meanwhile.

    Attributes
    ----------
    errors : list of str
        The lines that it logged as errors.
    stderr : str
        What was written to file descriptor 2, known when the capture has ended.
    """

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.stderr = ""

    def first_error(self) -> str:
        """Return the first line that tells the cause of a failure, or nothing."""
        lines = self.errors + [x for x in self.stderr.splitlines() if _ERROR_LINE.search(x)]
        return lines[0].strip() if lines else ""


@contextmanager
def captured_log(on_line: Callable[[str], object] = lambda line: None) -> Iterator[Chatter]:
    """Catch what llama.cpp logs, and nothing else: what Python writes meanwhile is seen.

    Other threads wait for their turn to capture.

    Parameters
    ----------
    on_line : callable
        Gets whatever is logged, as soon as it is.
    """
    import llama_cpp
    from llama_cpp._logger import llama_log_callback

    chatter = Chatter()

    @llama_cpp.llama_log_callback
    def keep(level: int, text: bytes, _: object) -> None:
        line = text.decode(errors="replace")
        if level == _ERROR_LEVEL:
            chatter.errors.append(line)
        on_line(line)

    with _capturing:
        llama_cpp.llama_log_set(keep, None)
        try:
            yield chatter
        finally:
            llama_cpp.llama_log_set(llama_log_callback, None)


@contextmanager
def captured_chatter() -> Iterator[Chatter]:
    """Catch what llama.cpp logs, and what C code writes to file descriptor 2.

    Python's ``sys.stderr`` sees neither, or only after llama-cpp-python has dropped the errors.
    Other threads wait for their turn to capture.

    Examples
    --------
    >>> with captured_chatter() as chatter:
    ...     _ = os.write(2, b"llama_model_load: error: no such tensor")
    >>> chatter.first_error()
    'llama_model_load: error: no such tensor'
    """
    with captured_log() as chatter, _scratch_file() as file:
        try:
            with _stderr_into(file):
                yield chatter
        finally:
            file.seek(0)
            chatter.stderr = file.read().decode(errors="replace")


@contextmanager
def _stderr_into(file: BinaryIO) -> Iterator[None]:
    if sys.stderr is not None:  # as it is under pythonw
        with suppress(OSError, ValueError):
            sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # closed: then nothing can be written to it
        yield
        return
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _scratch_file() -> BinaryIO:
    try:
        return tempfile.TemporaryFile()
    except OSError:  # no folder on this machine can be written to
        return open(os.devnull, "r+b", buffering=0)  # noqa: PTH123
