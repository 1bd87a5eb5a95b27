"""Carry the bytes of one file over from a hub, and go on where an earlier attempt has stopped."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

_N_ATTEMPTS = 3  # in a row without a single new byte
_WAIT_S = 0.5  # before the second attempt; twice as long before each further one
_LONGEST_WAIT_S = 10.0  # however long a server asks for
_CONNECT_TIMEOUT_S = 4.0
_READ_TIMEOUT_S = 30.0
_TRY_AGAIN = (429, 500, 502, 503, 504)
_MESSAGES = {
    401: "the hub wants to know who you are. Put an access token of your account into HF_TOKEN.",
    403: "the hub does not let you have it: its makers ask you to accept their conditions on the "
    "model's page first, and to send an access token in HF_TOKEN.",
    404: "the hub has no such file any more. Look for a newer version of the course.",
    429: "the hub has had too many requests from here. Try again in some minutes.",
}


class DownloadError(RuntimeError):
    """A file could not be downloaded; the message says why, and what to do."""


class _PassingError(Exception):
    """Something that may go better at the next attempt."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def fetch(
    url: str,
    path: Path,
    n_bytes: int,
    *,
    revision: str,
    headers: Mapping[str, str],
    on_bytes: Callable[[int], object],
) -> None:
    """Write the bytes of `url` to `path`; those that are there already are not asked for again.

    Parameters
    ----------
    url : str
    path : Path
        Grows up to `n_bytes`, and keeps what came when something fails.
    n_bytes : int
        What the file must have in the end.
    revision : str
        The commit that the hub must answer from, if it says one.
    headers : mapping of str
        With the access token, if there is one; another host never sees it.
    on_bytes : callable
        Gets the number of new bytes; a negative number when some were dropped.

    Raises
    ------
    DownloadError
        When the hub refuses, or several attempts brought nothing.
    OSError
        When the file cannot be written.
    """
    session, http = _session()
    n_failed = 0
    while (n_before := _size(path)) < n_bytes:
        try:
            with _open(session, http, url, headers, n_before) as response:
                _require_right_file(response, n_bytes, revision)
                _append(response, path, n_bytes, on_bytes)
            if _size(path) < n_bytes:
                raise _PassingError("the connection ended too early")
        except (_PassingError, http.TransportError) as error:
            n_failed = 1 if _size(path) > n_before else n_failed + 1
            if n_failed >= _N_ATTEMPTS:
                raise DownloadError(_give_up(url, error)) from None
            pause_s = max(_WAIT_S * 2 ** (n_failed - 1), getattr(error, "wait_s", 0.0))
            time.sleep(min(pause_s, _LONGEST_WAIT_S))


def _session() -> tuple[Any, ModuleType]:
    """Return huggingface_hub's own session, and the package it is of: httpx, or what follows it."""
    from huggingface_hub import get_session

    session = get_session()
    return session, importlib.import_module(type(session).__module__.partition(".")[0])


def _open(session: Any, http: ModuleType, url: str, headers: Mapping[str, str], n_done: int) -> Any:
    asked = dict(headers) | {"Accept-Encoding": "identity"}
    if n_done:
        asked["Range"] = f"bytes={n_done}-"
    timeout = http.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
    return session.stream("GET", url, headers=asked, timeout=timeout, follow_redirects=True)


def _require_right_file(response: Any, n_bytes: int, revision: str) -> None:
    """Raise unless the answer is the file that was asked for, or some later part of it."""
    status = response.status_code
    if status in _TRY_AGAIN:
        raise _PassingError(
            _MESSAGES.get(status, f"the hub answered {status}"),
            wait_s=_seconds(response.headers.get("Retry-After")),
        )
    if status not in (200, 206, 416):
        raise DownloadError(
            f"{response.url.host} answered {status}: "
            + _MESSAGES.get(status, "that is not the file. Try again later.")
        )
    for answer in (*response.history, response):
        found = answer.headers.get("X-Repo-Commit", revision)
        if found != revision:
            raise DownloadError(
                f"the hub answered from the revision {found[:40]!r} instead of {revision!r}. "
                "The file may have changed; look for a newer version of the course."
            )
    total = _total_bytes(response)
    if total not in (None, n_bytes):
        raise DownloadError(
            f"the hub's file has {total:,} bytes, and {n_bytes:,} are recorded. It is another "
            "file; look for a newer version of the course."
        )


def _total_bytes(response: Any) -> int | None:
    """Return how long the whole file is, as far as the answer says it."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
    else:
        length = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(length) if length.isdecimal() else None


def _append(response: Any, path: Path, n_bytes: int, on_bytes: Callable[[int], object]) -> None:
    n_done = _size(path)
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if response.status_code == 416 or (response.status_code == 206 and start != str(n_done)):
        path.unlink(missing_ok=True)
        on_bytes(-n_done)
        raise _PassingError("the hub sent another part than was asked for")
    if response.status_code == 200 and n_done:  # it cannot send parts: all over again
        path.unlink()
        on_bytes(-n_done)
        n_done = 0
    with path.open("ab", buffering=0) as file:
        for chunk in response.iter_raw():
            n_done += len(chunk)
            if n_done > n_bytes:
                raise DownloadError(f"the hub sent more than the {n_bytes:,} bytes recorded.")
            file.write(chunk)
            on_bytes(len(chunk))


def _give_up(url: str, error: Exception) -> str:
    host = url.partition("://")[2].partition("/")[0]
    return (
        f"{host} cannot be reached or breaks off: {error}. Check your connection and call again: "
        "what has come so far is kept."
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdecimal() else 0.0
