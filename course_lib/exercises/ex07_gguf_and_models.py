"""Exercises of lesson 07, GGUF and models."""

from __future__ import annotations

import struct

import numpy as np

from course_lib.exercises.problem import FunctionProblem
from course_lib.exercises.progress import Progress


def _header(version: int, n_tensors: int, n_metadata: int) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", version, n_tensors, n_metadata) + b"\x14 and so on"


q1 = FunctionProblem(
    key="gguf.read_header",
    cases=[
        ((_header(3, 291, 24),), (b"GGUF", 3, 291, 24)),
        ((_header(2, 2**33 + 1, 70_000),), (b"GGUF", 2, 2**33 + 1, 70_000)),
        ((_header(3, 48, 30)[:24],), (b"GGUF", 3, 48, 30)),
    ],
    solution="""\
import struct


def read_header(data):
    magic = data[:4]
    (version,) = struct.unpack_from("<I", data, 4)
    (n_tensors,) = struct.unpack_from("<Q", data, 8)
    (n_metadata,) = struct.unpack_from("<Q", data, 16)
    return magic, version, n_tensors, n_metadata""",
    mistakes={
        "big_endian": """\
import struct


def read_header(data):
    return struct.unpack_from(">4sIQQ", data)""",
        "counts_of_four_bytes": """\
import struct


def read_header(data):
    return struct.unpack_from("<4sIIxxxxI", data)""",
        "counts_exchanged": """\
import struct


def read_header(data):
    magic, version, n_metadata, n_tensors = struct.unpack_from("<4sIQQ", data)
    return magic, version, n_tensors, n_metadata""",
        "magic_left_out": """\
import struct


def read_header(data):
    return struct.unpack_from("<IQQ", data, 4)""",
        "tuples_inside": """\
import struct


def read_header(data):
    version = struct.unpack_from("<I", data, 4)
    n_tensors = struct.unpack_from("<Q", data, 8)
    n_metadata = struct.unpack_from("<Q", data, 16)
    return data[:4], version, n_tensors, n_metadata""",
    },
)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


_AHEAD = b"GGUF"
_BEHIND = b"\x08\0\0\0 and what follows"
_LONG = "a long description " * 20

q2 = FunctionProblem(
    key="gguf.read_string",
    cases=[
        ((_string("llama") + _BEHIND, 0), ("llama", 13)),
        ((_AHEAD + _string("서울!") + _BEHIND, 4), ("서울!", 19)),
        ((_string("general.name") + _string("tiny") + _BEHIND, 20), ("tiny", 32)),
        ((_string("") + _BEHIND, 0), ("", 8)),
        ((_string(_LONG) + _BEHIND, 0), (_LONG, 8 + len(_LONG))),
    ],
    solution="""\
import struct


def read_string(data, offset):
    (n_bytes,) = struct.unpack_from("<Q", data, offset)
    start = offset + 8
    end = start + n_bytes
    return data[start:end].decode("utf-8"), end""",
    mistakes={
        "length_of_four_bytes": """\
import struct


def read_string(data, offset):
    (n_bytes,) = struct.unpack_from("<I", data, offset)
    start = offset + 4
    return data[start : start + n_bytes].decode("utf-8"), start + n_bytes""",
        "length_forgotten": """\
import struct


def read_string(data, offset):
    (n_bytes,) = struct.unpack_from("<Q", data, offset)
    return data[offset + 8 : offset + 8 + n_bytes].decode("utf-8"), offset + n_bytes""",
        "not_decoded": """\
import struct


def read_string(data, offset):
    (n_bytes,) = struct.unpack_from("<Q", data, offset)
    return data[offset + 8 : offset + 8 + n_bytes], offset + 8 + n_bytes""",
        "counts_characters": """\
import struct


def read_string(data, offset):
    (n,) = struct.unpack_from("<Q", data, offset)
    return data[offset + 8 :].decode("utf-8")[:n], offset + 8 + n""",
        "one_byte_a_character": """\
import struct


def read_string(data, offset):
    (n_bytes,) = struct.unpack_from("<Q", data, offset)
    return data[offset + 8 : offset + 8 + n_bytes].decode("latin-1"), offset + 8 + n_bytes""",
        "from_the_beginning": """\
import struct


def read_string(data, offset):
    (n_bytes,) = struct.unpack_from("<Q", data)
    return data[8 : 8 + n_bytes].decode("utf-8"), 8 + n_bytes""",
        "number_of_bytes": """\
import struct


def read_string(data, offset):
    (n_bytes,) = struct.unpack_from("<Q", data, offset)
    return data[offset + 8 : offset + 8 + n_bytes].decode("utf-8"), 8 + n_bytes""",
    },
)

q3 = FunctionProblem(
    key="gguf.next_offset",
    cases=[
        ((0, (2048, 256), 1, 2, 32), 1_048_576),
        ((1_048_576, (256,), 1, 4, 32), 1_049_600),
        ((64, (3, 32), 32, 34, 32), 192),
        ((0, (4, 32), 32, 18, 64), 128),
        ((4096, (2, 256), 256, 144, 32), 4384),
    ],
    solution="""\
from math import prod


def next_offset(offset, shape, n_block_weights, n_block_bytes, alignment):
    n_bytes = prod(shape) // n_block_weights * n_block_bytes
    n_padding = -n_bytes % alignment
    return offset + n_bytes + n_padding""",
    mistakes={
        "not_padded": """\
from math import prod


def next_offset(offset, shape, n_block_weights, n_block_bytes, alignment):
    return offset + prod(shape) // n_block_weights * n_block_bytes""",
        "always_padded": """\
from math import prod


def next_offset(offset, shape, n_block_weights, n_block_bytes, alignment):
    n_bytes = prod(shape) // n_block_weights * n_block_bytes
    return offset + (n_bytes // alignment + 1) * alignment""",
        "rounded_down": """\
from math import prod


def next_offset(offset, shape, n_block_weights, n_block_bytes, alignment):
    n_bytes = prod(shape) // n_block_weights * n_block_bytes
    return offset + n_bytes // alignment * alignment""",
        "size_alone": """\
from math import prod


def next_offset(offset, shape, n_block_weights, n_block_bytes, alignment):
    n_bytes = prod(shape) // n_block_weights * n_block_bytes
    return n_bytes + -n_bytes % alignment""",
        "a_block_a_weight": """\
from math import prod


def next_offset(offset, shape, n_block_weights, n_block_bytes, alignment):
    n_bytes = prod(shape) * n_block_bytes
    return offset + n_bytes + -n_bytes % alignment""",
        "always_32": """\
from math import prod


def next_offset(offset, shape, n_block_weights, n_block_bytes, alignment):
    n_bytes = prod(shape) // n_block_weights * n_block_bytes
    return offset + n_bytes + -n_bytes % 32""",
    },
)


def _in_c(*numbers: int) -> tuple[np.uint64, ...]:
    return tuple(map(np.uint64, numbers))


q4 = FunctionProblem(
    key="gguf.is_safe_count",
    cases=[
        (_in_c(3, 8, 24), True),
        (_in_c(8, 4, 31), False),
        (_in_c(2**62, 4, 100), False),
        (_in_c(5, 2, 100), True),
        (_in_c(30, 4, 100), False),
        (_in_c(2**61, 8, 0), False),
        (_in_c(0, 8, 0), True),
        (_in_c(10, 1, 5), False),
    ],
    solution="""\
def is_safe_count(n_items, n_item_bytes, n_left):
    return n_items <= n_left // n_item_bytes""",
    mistakes={
        "multiplied": """\
import numpy as np


def is_safe_count(n_items, n_item_bytes, n_left):
    with np.errstate(over="ignore"):
        return n_items * n_item_bytes <= n_left""",
        "none_may_be_left": """\
def is_safe_count(n_items, n_item_bytes, n_left):
    return n_items < n_left // n_item_bytes""",
        "size_ignored": """\
def is_safe_count(n_items, n_item_bytes, n_left):
    return n_items <= n_left""",
        "rounded_up": """\
import numpy as np


def is_safe_count(n_items, n_item_bytes, n_left):
    return n_items <= np.ceil(n_left / n_item_bytes)""",
        "turned_over": """\
def is_safe_count(n_items, n_item_bytes, n_left):
    return n_items > n_left // n_item_bytes""",
    },
)

q5 = FunctionProblem(
    key="models.longest_context",
    cases=[
        ((536_870_912, 32, 8, 128, 2), 4096),
        ((1_000_000, 5, 2, 32, 2), 781),
        ((1_000_000, 5, 2, 32, 34 / 32), 1470),
        ((3_000_000_000, 36, 8, 128, 1), 40_690),
        ((100, 28, 8, 64, 4), 0),
    ],
    solution="""\
def longest_context(n_free_bytes, n_layers, n_kv_heads, head_dim, n_number_bytes):
    n_numbers = 2 * n_layers * n_kv_heads * head_dim
    return int(n_free_bytes // (n_numbers * n_number_bytes))""",
    mistakes={
        "keys_alone": """\
def longest_context(n_free_bytes, n_layers, n_kv_heads, head_dim, n_number_bytes):
    return int(n_free_bytes // (n_layers * n_kv_heads * head_dim * n_number_bytes))""",
        "one_layer": """\
def longest_context(n_free_bytes, n_layers, n_kv_heads, head_dim, n_number_bytes):
    return int(n_free_bytes // (2 * n_kv_heads * head_dim * n_number_bytes))""",
        "one_head": """\
def longest_context(n_free_bytes, n_layers, n_kv_heads, head_dim, n_number_bytes):
    return int(n_free_bytes // (2 * n_layers * head_dim * n_number_bytes))""",
        "rounded_up": """\
from math import ceil


def longest_context(n_free_bytes, n_layers, n_kv_heads, head_dim, n_number_bytes):
    return ceil(n_free_bytes / (2 * n_layers * n_kv_heads * head_dim * n_number_bytes))""",
        "not_whole": """\
def longest_context(n_free_bytes, n_layers, n_kv_heads, head_dim, n_number_bytes):
    return n_free_bytes / (2 * n_layers * n_kv_heads * head_dim * n_number_bytes)""",
        "always_two_bytes": """\
def longest_context(n_free_bytes, n_layers, n_kv_heads, head_dim, n_number_bytes):
    return n_free_bytes // (2 * n_layers * n_kv_heads * head_dim * 2)""",
        "whole_bytes_a_number": """\
def longest_context(n_free_bytes, n_layers, n_kv_heads, head_dim, n_number_bytes):
    return n_free_bytes // (2 * n_layers * n_kv_heads * head_dim * int(n_number_bytes))""",
        "bytes_of_a_token": """\
def longest_context(n_free_bytes, n_layers, n_kv_heads, head_dim, n_number_bytes):
    return 2 * n_layers * n_kv_heads * head_dim * n_number_bytes""",
    },
)


def _model(name: str, gb: float, rank: int, languages: str, commercial: bool) -> dict[str, object]:
    return {
        "name": name,
        "gb": gb,
        "rank": rank,
        "languages": languages.split(),
        "commercial": commercial,
    }


_MODELS = [
    _model("hare", 5.0, 4, "en", True),
    _model("camel", 6.0, 5, "ko fr", True),
    _model("mole", 1.5, 2, "en ko", True),
    _model("crane", 2.5, 6, "en ko", False),
    _model("tiger", 4.0, 7, "en ko", True),
    _model("whale", 9.5, 9, "en fr", True),
]

q6 = FunctionProblem(
    key="models.choose",
    cases=[
        ((_MODELS, 6.5, "ko", False), "tiger"),
        ((_MODELS, 3, "ko", False), "crane"),
        ((_MODELS, 3, "ko", True), "mole"),
        ((_MODELS, 4.0, "ko", True), "tiger"),
        ((_MODELS, 16, "en", True), "whale"),
        ((_MODELS, 8, "fr", True), "camel"),
        ((_MODELS, 16, "th", False), None),
        ((_MODELS[3:5], 3, "ko", True), None),
    ],
    solution="""\
def choose(models, memory_gb, language, commercial_use):
    fitting = [
        model
        for model in models
        if model["gb"] <= memory_gb
        and language in model["languages"]
        and (model["commercial"] or not commercial_use)
    ]
    if not fitting:
        return None
    return max(fitting, key=lambda model: model["rank"])["name"]""",
    mistakes={
        "first_one": """\
def choose(models, memory_gb, language, commercial_use):
    for model in models:
        fits = model["gb"] <= memory_gb and language in model["languages"]
        if fits and (model["commercial"] or not commercial_use):
            return model["name"]""",
        "largest": """\
def choose(models, memory_gb, language, commercial_use):
    fitting = [
        model
        for model in models
        if model["gb"] <= memory_gb
        and language in model["languages"]
        and (model["commercial"] or not commercial_use)
    ]
    if not fitting:
        return None
    return max(fitting, key=lambda model: model["gb"])["name"]""",
        "weakest": """\
def choose(models, memory_gb, language, commercial_use):
    fitting = [
        model
        for model in models
        if model["gb"] <= memory_gb
        and language in model["languages"]
        and (model["commercial"] or not commercial_use)
    ]
    if not fitting:
        return None
    return min(fitting, key=lambda model: model["rank"])["name"]""",
        "licence_ignored": """\
def choose(models, memory_gb, language, commercial_use):
    fitting = [m for m in models if m["gb"] <= memory_gb and language in m["languages"]]
    return max(fitting, key=lambda model: model["rank"])["name"] if fitting else None""",
        "commercial_alone": """\
def choose(models, memory_gb, language, commercial_use):
    fitting = [
        model
        for model in models
        if model["gb"] <= memory_gb and language in model["languages"] and model["commercial"]
    ]
    return max(fitting, key=lambda model: model["rank"])["name"] if fitting else None""",
        "licence_equal": """\
def choose(models, memory_gb, language, commercial_use):
    fitting = [
        model
        for model in models
        if model["gb"] <= memory_gb
        and language in model["languages"]
        and model["commercial"] == commercial_use
    ]
    return max(fitting, key=lambda model: model["rank"])["name"] if fitting else None""",
        "language_ignored": """\
def choose(models, memory_gb, language, commercial_use):
    fitting = [
        model
        for model in models
        if model["gb"] <= memory_gb and (model["commercial"] or not commercial_use)
    ]
    return max(fitting, key=lambda model: model["rank"])["name"] if fitting else None""",
        "memory_ignored": """\
def choose(models, memory_gb, language, commercial_use):
    fitting = [
        model
        for model in models
        if language in model["languages"] and (model["commercial"] or not commercial_use)
    ]
    return max(fitting, key=lambda model: model["rank"])["name"] if fitting else None""",
        "must_leave_some": """\
def choose(models, memory_gb, language, commercial_use):
    fitting = [
        model
        for model in models
        if model["gb"] < memory_gb
        and language in model["languages"]
        and (model["commercial"] or not commercial_use)
    ]
    return max(fitting, key=lambda model: model["rank"])["name"] if fitting else None""",
        "whole_model": """\
def choose(models, memory_gb, language, commercial_use):
    fitting = [
        model
        for model in models
        if model["gb"] <= memory_gb
        and language in model["languages"]
        and (model["commercial"] or not commercial_use)
    ]
    return max(fitting, key=lambda model: model["rank"]) if fitting else None""",
    },
)

progress = Progress([q1, q2, q3, q4, q5, q6])
