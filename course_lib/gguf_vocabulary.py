"""Refuse a vocabulary in a GGUF that would make llama.cpp end the whole process."""

from __future__ import annotations

import re
import struct

from course_lib.gguf_cursor import Cursor
from course_lib.gguf_header import Header

_TOKENS = "tokenizer.ggml.tokens"
_TYPES = "tokenizer.ggml.token_type"
_SCORES = "tokenizer.ggml.scores"
_MODEL = "tokenizer.ggml.model"
_NO_TEXT = ("none", "no_vocab", "bert")
_BYTE = 6  # the type of tokens that stand for one byte
_BYTE_PIECE = re.compile(rb"<0x[0-9A-F]{2}>")
_ROOM_FOR_BYTES = 256 + 3  # beside <unk>, <s> and </s>; smaller vocabularies are toys
_ARRAY_HEAD_BYTES = 12  # type and number of the items


def check_vocabulary(cursor: Cursor, header: Header, is_llama: bool) -> None:
    """Raise InvalidGGUFError at the first thing that llama.cpp could not use.

    Parameters
    ----------
    cursor : Cursor
        Anywhere in the file that `header` was read from.
    header : Header
        Its values already have the types that llama.cpp reads.
    is_llama : bool
        Whether the model has the architecture ``llama``.
    """
    model = header.metadata.get(_MODEL)
    if is_llama and model in _NO_TEXT:
        raise cursor.fail(
            f"{_MODEL!r} is {model!r}, which cannot write text", header.places[_MODEL].offset
        )
    if _TOKENS not in header.metadata:
        return
    n_tokens = header.metadata[_TOKENS].n_items
    for key in (_SCORES, _TYPES):
        if key in header.metadata and header.metadata[key].n_items != n_tokens:
            raise cursor.fail(
                f"{key!r} has {header.metadata[key].n_items:,} items for {n_tokens:,} tokens",
                header.places[key].offset + 4,
            )
    start = header.places[_TOKENS].offset + _ARRAY_HEAD_BYTES
    cursor.go_to(start)
    pieces = list(cursor.strings(n_tokens, "a token"))
    _check_differences(cursor, pieces, start)
    if model == "llama":
        _check_bytes(cursor, header, pieces, start)


def _check_differences(cursor: Cursor, pieces: list[bytes], start: int) -> None:
    """Refuse two tokens that are one for llama.cpp, which asserts that there are none."""
    different = set(pieces)
    if len(different) == len(pieces) and b"" not in different and b"\0" not in b"".join(pieces):
        return
    first_with: dict[bytes, int] = {}
    for i, piece in enumerate(pieces):
        text = piece.partition(b"\0")[0] or b"[EMPTY_%d]" % i  # as llama.cpp reads it
        if (first := first_with.setdefault(text, i)) != i:
            raise cursor.fail(
                f"the tokens {first:,} and {i:,} are both {_shown(text)}", _offset(pieces, i, start)
            )


def _check_bytes(cursor: Cursor, header: Header, pieces: list[bytes], start: int) -> None:
    """Refuse a vocabulary that has lost a byte: llama.cpp aborts at the first text that needs it.

    One without any such tokens may be meant so.
    """
    if _TYPES in header.metadata:
        cursor.go_to(header.places[_TYPES].offset + _ARRAY_HEAD_BYTES)
        types = struct.unpack(f"<{len(pieces)}i", cursor.read(4 * len(pieces), "the token types"))
        for i in (i for i, token_type in enumerate(types) if token_type == _BYTE):
            if not _BYTE_PIECE.fullmatch(pieces[i]):
                raise cursor.fail(
                    f"token {i:,} stands for a byte, but is {_shown(pieces[i])}",
                    _offset(pieces, i, start),
                )
    known = set(pieces)
    spelled = [b"<0x%02X>" % byte in known for byte in range(256)]
    lost = [b for b in range(256) if not spelled[b] and bytes([b]) not in known]
    if lost and any(spelled) and len(pieces) >= _ROOM_FOR_BYTES:
        raise cursor.fail(f"no token stands for the byte 0x{lost[0]:02X}", start)


def _offset(pieces: list[bytes], i: int, start: int) -> int:
    """Return where in the file piece `i` lies, when the first one lies at `start`."""
    return start + sum(8 + len(piece) for piece in pieces[:i])


def _shown(text: bytes) -> str:
    return repr(text[:80].decode(errors="replace"))
