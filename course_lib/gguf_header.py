"""Read the header of a GGUF file, believing nothing that it says about lengths.

A GGUF is a header and a block of weights::

    magic, version, number of tensors, number of metadata entries
    metadata entries     key, type, value
    tensor descriptions  name, shape, type, offset
    padding to the alignment
    weights              one tensor after the other, each padded to the alignment

A damaged file says anything at all, so every length is compared with the bytes that are left
before it is used. Types and their sizes come from the `gguf` package; the rules are those of
llama.cpp's loader, and stricter about text, which must be UTF-8.

References
----------
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from math import prod
from typing import Any, BinaryIO, NamedTuple

from course_lib.gguf_cursor import U32, U64, Cursor, padded
from course_lib.gguf_package import constants

_MAX_DIMS = 4
_MAX_TENSOR_NAME_BYTES = 63
_MAX_INT64 = (1 << 63) - 1
_ITEMS_KEPT = 8  # of each array
_MIN_METADATA_BYTES = 8 + 1 + 4 + 1
_MIN_TENSOR_BYTES = 8 + 4 + 4 + 8

_SCALARS = {
    constants.GGUFValueType.UINT8: struct.Struct("<B"),
    constants.GGUFValueType.INT8: struct.Struct("<b"),
    constants.GGUFValueType.UINT16: struct.Struct("<H"),
    constants.GGUFValueType.INT16: struct.Struct("<h"),
    constants.GGUFValueType.UINT32: U32,
    constants.GGUFValueType.INT32: struct.Struct("<i"),
    constants.GGUFValueType.FLOAT32: struct.Struct("<f"),
    constants.GGUFValueType.BOOL: struct.Struct("<?"),
    constants.GGUFValueType.UINT64: U64,
    constants.GGUFValueType.INT64: struct.Struct("<q"),
    constants.GGUFValueType.FLOAT64: struct.Struct("<d"),
}
_OTHER_FILES = {
    b"vers": "it is a Git LFS pointer, not the model itself (git lfs pull fetches that)",
    b"<!DO": "it is a web page, saved in place of the model",
    b"<!do": "it is a web page, saved in place of the model",
    b"<htm": "it is a web page, saved in place of the model",
    b"PK\x03\x04": "it is a zip or PyTorch archive, which must be converted to GGUF first",
    b"lmgg": "it is in the GGML format of before August 2023, which llama.cpp no longer reads",
    b"tjgg": "it is in the GGML format of before August 2023, which llama.cpp no longer reads",
}


@dataclass(frozen=True)
class ArraySummary:
    """A metadata array: the type of its items, how many, and the first of them."""

    item_type: str
    n_items: int
    first_items: tuple[Any, ...]

    def __str__(self) -> str:
        items = ", ".join(repr(item) for item in self.first_items)
        dots = ", …" if self.n_items > len(self.first_items) else ""
        return f"{self.n_items:,} × {self.item_type}: [{items}{dots}]"


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies and how it is stored.

    Attributes
    ----------
    name : str
    shape : tuple of int
        As NumPy has it, rows first; the file stores the reverse.
    type_name : str
        Storage format, such as ``"F16"`` or ``"Q4_K"``.
    n_bytes : int
    offset : int
        Its first byte, counted from the beginning of the file.
    """

    name: str
    shape: tuple[int, ...]
    type_name: str
    n_bytes: int
    offset: int


class Place(NamedTuple):
    """What a metadata value is stored as, and at which byte of the file it begins."""

    value_type: constants.GGUFValueType
    offset: int


class Header(NamedTuple):
    """Everything before the weights, and where in the file it says so."""

    version: int
    alignment: int
    metadata: dict[str, Any]
    places: dict[str, Place]  # of the metadata
    tensors: list[TensorInfo]
    type_offsets: list[int]  # where the type of each tensor is given


def read_header(file: BinaryIO, size_bytes: int) -> Header:
    """Read the header from the start of `file`, which is `size_bytes` long.

    Raises
    ------
    InvalidGGUFError
        At the first thing that llama.cpp could not read, or that reaches beyond the file.
    """
    cursor = Cursor(file, size_bytes)
    version, n_tensors, n_metadata = _read_preamble(cursor)
    metadata, places = _read_metadata(cursor, n_metadata)
    alignment = metadata.get("general.alignment", constants.GGUF_DEFAULT_ALIGNMENT)
    tensors, type_offsets = _read_tensors(cursor, n_tensors, alignment)
    return Header(version, alignment, metadata, places, tensors, type_offsets)


def _read_preamble(cursor: Cursor) -> tuple[int, int, int]:
    magic = cursor.read(4, "the magic number")
    if magic != b"GGUF":
        found = _OTHER_FILES.get(magic, f"its first four bytes are {magic!r}, not b'GGUF'")
        raise cursor.fail(found, 0)
    version = cursor.number(U32, "the version")
    if version & 0xFFFF == 0:
        raise cursor.fail("it is meant for big-endian machines", 4)
    if version not in (2, 3):
        raise cursor.fail(f"its version is {version}, and llama.cpp reads versions 2 and 3", 4)
    n_tensors = cursor.count("tensors", _MIN_TENSOR_BYTES)
    n_metadata = cursor.count("metadata entries", _MIN_METADATA_BYTES)
    return version, n_tensors, n_metadata


def _read_metadata(cursor: Cursor, n_entries: int) -> tuple[dict[str, Any], dict[str, Place]]:
    metadata: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for _ in range(n_entries):
        start = cursor.offset
        key = cursor.name("a metadata key")
        if not key:
            raise cursor.fail("a metadata key is empty", start)
        if key in metadata:
            raise cursor.fail(f"the metadata key {key[:80]!r} comes twice", start)
        value_type = _read_value_type(cursor, key)
        places[key] = Place(value_type, cursor.offset)
        metadata[key] = _read_value(cursor, key, value_type)
        if key == "general.alignment":
            _require_power_of_two(cursor, metadata[key], places[key])
    return metadata, places


def _require_power_of_two(cursor: Cursor, alignment: Any, place: Place) -> None:
    if place.value_type != constants.GGUFValueType.UINT32 or alignment.bit_count() != 1:
        raise cursor.fail(
            f"general.alignment is {alignment!r:.80}, not a 32-bit power of two", place.offset
        )


def _read_value_type(cursor: Cursor, key: str) -> constants.GGUFValueType:
    start = cursor.offset
    number = cursor.number(U32, f"the type of {key[:80]!r}")
    try:
        return constants.GGUFValueType(number)
    except ValueError:
        raise cursor.fail(f"{key[:80]!r} has the unknown value type {number}", start) from None


def _read_value(cursor: Cursor, key: str, value_type: constants.GGUFValueType) -> Any:
    what = f"the value of {key[:80]!r}"
    if value_type == constants.GGUFValueType.ARRAY:
        return _read_array(cursor, key, what)
    if value_type == constants.GGUFValueType.STRING:
        return cursor.string(what)
    return cursor.number(_SCALARS[value_type], what)


def _read_array(cursor: Cursor, key: str, what: str) -> ArraySummary:
    start = cursor.offset
    item_type = _read_value_type(cursor, key)
    if item_type == constants.GGUFValueType.ARRAY:
        raise cursor.fail(f"{what} is an array of arrays, which llama.cpp cannot read", start)
    is_text = item_type == constants.GGUFValueType.STRING
    n_item_bytes = 8 if is_text else _SCALARS[item_type].size
    n_items = cursor.count(f"items in {what}", n_item_bytes)
    n_kept = min(n_items, _ITEMS_KEPT)
    first = tuple(_read_value(cursor, key, item_type) for _ in range(n_kept))
    if is_text:
        for _ in cursor.strings(n_items - n_kept, what):
            pass
    else:
        cursor.skip((n_items - n_kept) * n_item_bytes, what)
    return ArraySummary(item_type.name.lower(), n_items, first)


def _read_tensors(
    cursor: Cursor, n_tensors: int, alignment: int
) -> tuple[list[TensorInfo], list[int]]:
    tensors: list[TensorInfo] = []
    type_offsets: list[int] = []
    names, expected = set(), 0
    for _ in range(n_tensors):
        start = cursor.offset
        tensor = _read_tensor(cursor)
        if tensor.name in names:
            raise cursor.fail(f"the tensor {tensor.name!r} comes twice", start)
        if tensor.offset != expected:
            raise cursor.fail(
                f"the weights of {tensor.name!r} lie at {tensor.offset:,}, not at {expected:,} "
                "right behind those before them",
                cursor.offset - 8,
            )
        names.add(tensor.name)
        tensors.append(tensor)
        type_offsets.append(cursor.offset - 12)
        expected += padded(tensor.n_bytes, alignment)
    return _place(cursor, tensors, padded(cursor.offset, alignment)), type_offsets


def _read_tensor(cursor: Cursor) -> TensorInfo:
    """Read one description; its offset is still counted from the first weight."""
    start = cursor.offset
    name = cursor.name("a tensor name")
    if len(name.encode()) > _MAX_TENSOR_NAME_BYTES:
        raise cursor.fail(
            f"a tensor name, {name[:80]!r}, is longer than {_MAX_TENSOR_NAME_BYTES} bytes", start
        )
    shape = _read_shape(cursor, name)
    start = cursor.offset
    type_number = cursor.number(U32, f"the type of {name!r}")
    try:
        tensor_type = constants.GGMLQuantizationType(type_number)
    except ValueError:
        raise cursor.fail(f"{name!r} has the unknown type {type_number}", start) from None
    block_size, n_block_bytes = constants.GGML_QUANT_SIZES[tensor_type]
    n_columns = shape[-1] if shape else 1
    if n_columns % block_size:
        raise cursor.fail(
            f"{name!r} has rows of {n_columns:,}, which {tensor_type.name} cannot store "
            f"in blocks of {block_size}",
            start,
        )
    n_bytes = prod(shape) // block_size * n_block_bytes
    offset = cursor.number(U64, f"the offset of {name!r}")
    return TensorInfo(name, shape, tensor_type.name, n_bytes, offset)


def _read_shape(cursor: Cursor, name: str) -> tuple[int, ...]:
    start = cursor.offset
    n_dims = cursor.number(U32, f"the number of dimensions of {name!r}")
    if n_dims > _MAX_DIMS:
        raise cursor.fail(f"{name!r} has {n_dims:,} dimensions, and ggml knows four", start)
    innermost_first = [cursor.number(U64, f"the shape of {name!r}") for _ in range(n_dims)]
    shape = tuple(reversed(innermost_first))
    if 0 in shape or prod(shape) > _MAX_INT64:
        raise cursor.fail(f"{name!r} has the impossible shape {shape}", start)
    return shape


def _place(cursor: Cursor, tensors: list[TensorInfo], data_start: int) -> list[TensorInfo]:
    """Count offsets from the beginning of the file, and check that it holds all weights."""
    placed = [replace(tensor, offset=data_start + tensor.offset) for tensor in tensors]
    end = placed[-1].offset + placed[-1].n_bytes if placed else 0
    if end > cursor.size_bytes:
        raise cursor.fail(
            f"it is truncated: {end:,} bytes expected, {cursor.size_bytes:,} found",
            cursor.size_bytes,
        )
    return placed
