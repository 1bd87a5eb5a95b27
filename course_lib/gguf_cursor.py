"""A place in a file that believes nothing the file says about lengths."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

U32, U64 = struct.Struct("<I"), struct.Struct("<Q")

_MAX_ITEMS = 1 << 30  # llama.cpp refuses longer strings and arrays


class InvalidGGUFError(ValueError):
    """A file that is not a whole, well-formed GGUF.

    Attributes
    ----------
    reason : str
        What is wrong with it.
    offset : int
        The byte of the file where that shows.
    path : str or None

    Examples
    --------
    >>> print(InvalidGGUFError("its first four bytes are b'RIFF'", 0, "a.gguf"))
    a.gguf is not a usable GGUF file: its first four bytes are b'RIFF' (at byte 0). \
Download or export it again, and compare its size with the original's.
    """

    def __init__(self, reason: str, offset: int, path: str | None = None) -> None:
        super().__init__(reason, offset, path)
        self.reason, self.offset, self.path = reason, offset, path

    def __str__(self) -> str:
        name = printable(self.path or "this file")
        return (
            f"{name} is not a usable GGUF file: {self.reason} (at byte {self.offset:,}). "
            "Download or export it again, and compare its size with the original's."
        )


class Cursor:
    """A place in the file that never moves, or allocates, beyond its end."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self.file, self.size_bytes, self.offset = file, size_bytes, 0

    @property
    def n_left(self) -> int:
        """Bytes from here to the end of the file."""
        return self.size_bytes - self.offset

    def fail(self, reason: str, offset: int | None = None) -> InvalidGGUFError:
        """Make the error for what is wrong here, or at another `offset`."""
        return InvalidGGUFError(reason, self.offset if offset is None else offset)

    def need(self, n_bytes: int, what: str) -> None:
        """Raise InvalidGGUFError unless `n_bytes` more are there."""
        if n_bytes > self.n_left:
            raise self.fail(
                f"{what} takes {n_bytes:,} bytes, but only {self.n_left:,} are left in it, "
                "so it is truncated or damaged"
            )

    def read(self, n_bytes: int, what: str) -> bytes:
        """Read exactly `n_bytes`; `what` names them in an error."""
        self.need(n_bytes, what)
        data = self.file.read(n_bytes)
        if len(data) < n_bytes:
            raise self.fail(f"{what} cannot be read, because the file has just become shorter")
        self.offset += n_bytes
        return data

    def skip(self, n_bytes: int, what: str) -> None:
        """Move on by `n_bytes` without reading them."""
        self.need(n_bytes, what)
        self.file.seek(n_bytes, 1)
        self.offset += n_bytes

    def number(self, layout: struct.Struct, what: str) -> Any:
        """Read one number."""
        return layout.unpack(self.read(layout.size, what))[0]

    def count(self, what: str, min_item_bytes: int) -> int:
        """Read how many items follow, and refuse more than could still fit."""
        start = self.offset
        n_items = self.number(U64, f"the number of {what}")
        if n_items > _MAX_ITEMS or n_items * min_item_bytes > self.n_left:
            raise self.fail(
                f"it claims {n_items:,} {what}, but only {self.n_left:,} bytes are left in it, "
                "so it is truncated or damaged",
                start,
            )
        return n_items

    def string(self, what: str) -> str:
        """Read a length and as many bytes of UTF-8."""
        start = self.offset
        n_bytes = self.count(f"bytes in {what}", 1)
        try:
            return self.read(n_bytes, what).decode()
        except UnicodeDecodeError as error:
            raise self.fail(f"{what} is not UTF-8 text", start + 8 + error.start) from None

    def strings(self, n_items: int, what: str) -> Iterator[bytes]:
        """Yield the bytes of strings, checked, and quickly: a vocabulary has 100,000s of them."""
        read, length_of, n_left = self.file.read, U64.unpack, self.n_left
        for _ in range(n_items):
            try:
                n_bytes = length_of(read(8))[0]
                if n_bytes > n_left - 8 or n_bytes > _MAX_ITEMS:
                    break
                data = read(n_bytes)
                data.decode()
            except (struct.error, UnicodeDecodeError):
                break
            n_left -= 8 + n_bytes
            yield data
        else:
            self.offset = self.size_bytes - n_left
            return
        self.go_to(self.size_bytes - n_left)
        self.string(what)  # raises, and says why

    def go_to(self, offset: int) -> None:
        """Move to a byte that lies within the file."""
        self.file.seek(offset)
        self.offset = offset

    def name(self, what: str) -> str:
        """Read a string that C code may hold: not cut short by a zero byte."""
        start = self.offset
        text = self.string(what)
        if "\0" in text:
            raise self.fail(f"{what}, {text[:80]!r}, contains a zero byte", start)
        return text


def printable(text: str) -> str:
    r"""Escape what could steer a terminal or hide text: control and format characters.

    Examples
    --------
    >>> printable("서울 \x1b[31m")
    '서울 \\x1b[31m'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def padded(n_bytes: int, alignment: int) -> int:
    """Round up to a multiple of the alignment.

    Examples
    --------
    >>> padded(33, 32)
    64
    """
    return (n_bytes + alignment - 1) // alignment * alignment
