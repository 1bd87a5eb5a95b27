"""Read server-sent events, the form in which a server sends an answer piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_EVENT_BYTES = 1 << 20  # a token with all its particulars has some hundred


class EventStreamError(ValueError):
    """Bytes that are no server-sent events."""


def read_events(chunks: Iterable[bytes], max_bytes: int = MAX_EVENT_BYTES) -> Iterator[str]:
    r"""Yield the data of each event; comments and other fields are left out.

    Chunks may end anywhere, also inside a character. An event that does not end is dropped, as
    the standard asks: it may be cut off.

    Parameters
    ----------
    chunks : iterable of bytes
    max_bytes : int
        How long one event may be.

    Raises
    ------
    EventStreamError
        When an event is too long or is not UTF-8.

    References
    ----------
    WHATWG, HTML Living Standard, section "Server-sent events".

    Examples
    --------
    >>> list(read_events([b": hello\n\ndata: o", b"ne\r\n\r\ndata: two\ndata: lines\n\n"]))
    ['one', 'two\nlines']
    """
    data: list[bytes] = []
    n_bytes = 0
    for line in _lines(chunks, max_bytes):
        if line:
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
                n_bytes += len(value) + 1
                _require_length(n_bytes, max_bytes)
        elif data:
            yield _decoded(b"\n".join(data))
            data, n_bytes = [], 0


def _lines(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield whole lines: they end in LF, CR LF or CR."""
    held = bytearray()
    after_return = False
    for chunk in chunks:
        if after_return and chunk:  # an LF now belongs to the line that has ended already
            chunk, after_return = chunk.removeprefix(b"\n"), False
        after_return = chunk.endswith(b"\r") or (after_return and not chunk)
        *ended, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in ended:
            held += line
            _require_length(len(held), max_bytes)
            yield bytes(held)
            held.clear()
        held += rest
        _require_length(len(held), max_bytes)


def _require_length(n_bytes: int, max_bytes: int) -> None:
    if n_bytes > max_bytes:
        raise EventStreamError(f"an event has more than {max_bytes:,} bytes")


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise EventStreamError(f"an event is not UTF-8: {data[:40]!r}") from None
