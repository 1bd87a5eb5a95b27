"""Refuse a well-formed GGUF whose values would make llama.cpp end the whole process.

llama.cpp answers much nonsense with an error that Python can catch: a tensor or a key that is
missing, an architecture that it does not know. That is left to it. Other values it trusts, and
takes Python down with it when they make no sense. The rules here are those of its loader and of
the computation behind it, as of llama-cpp-python 0.3.36; most are for the architecture ``llama``,
the others for all.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from course_lib.gguf_cursor import Cursor, InvalidGGUFError
from course_lib.gguf_header import ArraySummary, Header, TensorInfo
from course_lib.gguf_values import Values, check_values
from course_lib.gguf_vocabulary import check_vocabulary

_MAPPED_AT = 32  # bytes
_SIZES = (
    *("*.embedding_length", "*.feed_forward_length", "*.attention.key_length"),
    *("*.attention.value_length", "*.attention.head_count", "*.attention.head_count_kv"),
)
_VECTOR = re.compile(r"norm\.weight$|\.bias$|scale$|^rope_")
_NOT_MULTIPLIED = ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K")
_IN_BLOCK = re.compile(r"blk\.([0-9]+)\.(.+)")


def check_model(file: BinaryIO, size_bytes: int, header: Header) -> None:
    """Raise InvalidGGUFError at the first value that llama.cpp would not survive.

    Parameters
    ----------
    file : binary file
        Where `header` was read from; the vocabulary is read once more.
    size_bytes : int
    header : Header
    """
    values = Values(header)
    is_llama = values.architecture == "llama"
    check_values(values)
    _check_alignment(header)
    if is_llama:
        _check_sizes(values)
        _check_experts(values)
        _check_tensors(values)
    check_vocabulary(Cursor(file, size_bytes), header, is_llama)


def _check_alignment(header: Header) -> None:
    for tensor in header.tensors:
        if tensor.offset % _MAPPED_AT:
            raise InvalidGGUFError(
                f"'general.alignment' is {header.alignment}, which lets {tensor.name!r} begin at "
                f"byte {tensor.offset:,}, and llama.cpp maps weights at multiples of {_MAPPED_AT}",
                header.places["general.alignment"].offset,
            )


def _check_sizes(values: Values) -> None:
    """Refuse heads that do not fit together."""
    for name in (*_SIZES, "*.expert_used_count"):
        value = values.get(name, 1)
        if isinstance(value, ArraySummary):
            raise values.wrong(name, "is an array, not one number for all blocks")
        if value == 0 and name in _SIZES:
            raise values.wrong(name, "is 0")
    n_blocks = values.get("*.block_count")
    if values.get("*.nextn_predict_layers", 0) == n_blocks:
        raise values.wrong("*.nextn_predict_layers", f"is {n_blocks:,}, which leaves no block")
    n_heads = values.get("*.attention.head_count")
    dim = values.get("*.embedding_length")
    if n_heads is None or dim is None:
        return
    n_kv_heads = values.get("*.attention.head_count_kv", n_heads)
    if n_heads % n_kv_heads:
        why = f"is {n_kv_heads:,}, which does not divide the {n_heads:,} heads"
        raise values.wrong("*.attention.head_count_kv", why)
    key_length = values.get("*.attention.key_length", dim // n_heads)
    for name, default in (
        ("*.attention.value_length", dim // n_heads),
        ("*.rope.dimension_count", key_length),
    ):
        width = values.get(name, default)
        if width != key_length:
            given = "*.attention.key_length" if values.get(name) is None else name
            why = f"makes a head {key_length:,} wide for keys and {width:,} for the rest"
            raise values.wrong(given, why)
    if key_length % 2 or not key_length:
        given = values.get("*.attention.key_length")
        name = "*.attention.head_count" if given is None else "*.attention.key_length"
        raise values.wrong(name, f"makes a head {key_length:,} wide, and RoPE rotates pairs")


def _check_experts(values: Values) -> None:
    n_experts = values.get("*.expert_count", 0)
    n_used = values.get("*.expert_used_count", 0)
    if n_used > n_experts:
        raise values.wrong("*.expert_used_count", f"is {n_used:,} of {n_experts:,} experts")
    if n_experts and not n_used:
        raise values.wrong("*.expert_count", f"is {n_experts:,}, and no expert is ever used")
    n_groups = values.get("*.expert_group_count", 0)
    n_groups_used = values.get("*.expert_group_used_count", 0)
    if n_groups and n_groups >= n_experts:
        why = f"is {n_groups:,}, and there are {n_experts:,} experts"
        raise values.wrong("*.expert_group_count", why)
    if n_groups > 1 and (n_experts % n_groups or not 0 < n_groups_used < n_groups):
        why = f"is {n_groups:,}, with {n_groups_used:,} groups used and {n_experts:,} experts"
        raise values.wrong("*.expert_group_count", why)


def _check_tensors(values: Values) -> None:
    """Refuse formats that llama.cpp cannot compute with, and shapes that differ from the sizes."""
    header, shapes = values.header, _expected_shapes(values)
    n_blocks = values.get("*.block_count")
    for tensor, type_offset in zip(header.tensors, header.type_offsets):
        if reason := _wrong_type(tensor):
            raise InvalidGGUFError(f"{tensor.name!r} is stored as {reason}", type_offset)
        block = _IN_BLOCK.fullmatch(tensor.name)
        if block and n_blocks is not None and int(block[1]) >= n_blocks:
            raise values.wrong("*.block_count", f"is {n_blocks:,}, and there is {tensor.name!r}")
        shape = shapes.get(block[2] if block else tensor.name, tensor.shape)
        if None not in shape and _without_ones(tensor.shape) != _without_ones(shape):
            raise InvalidGGUFError(
                f"{tensor.name!r} has the shape {tensor.shape}, and the sizes of the model ask "
                f"for {shape}",
                type_offset - 8 * len(tensor.shape),
            )


def _wrong_type(tensor: TensorInfo) -> str | None:
    if _VECTOR.search(tensor.name) and tensor.type_name != "F32":
        return f"{tensor.type_name}, and llama.cpp computes with vectors of F32 only"
    if tensor.type_name in _NOT_MULTIPLIED:
        return f"{tensor.type_name}, with which llama.cpp does not multiply"
    return None


def _expected_shapes(values: Values) -> dict[str, tuple[int | None, ...]]:
    """Shapes that the metadata ask for, as far as they say; None is any number."""
    dim, hidden_dim = values.get("*.embedding_length"), values.get("*.feed_forward_length")
    n_heads = values.get("*.attention.head_count")
    if dim is None or n_heads is None:
        return {}
    head_dim = values.get("*.attention.key_length", dim // n_heads)
    kv_dim = values.get("*.attention.head_count_kv", n_heads) * head_dim
    tokens = values.get("tokenizer.ggml.tokens")
    embedding = (tokens.n_items if tokens else None, dim)
    shapes = {
        "token_embd.weight": embedding,
        "output.weight": embedding,
        "attn_q.weight": (n_heads * head_dim, dim),
        "attn_k.weight": (kv_dim, dim),
        "attn_v.weight": (kv_dim, dim),
        "attn_output.weight": (dim, n_heads * head_dim),
        "ffn_gate.weight": (hidden_dim, dim),
        "ffn_up.weight": (hidden_dim, dim),
        "ffn_down.weight": (dim, hidden_dim),
    }
    norms = ("attn_norm.weight", "ffn_norm.weight", "output_norm.weight")
    return shapes | dict.fromkeys(norms, (dim,))


def _without_ones(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Drop leading axes of length 1, which llama.cpp does not count."""
    n_ones = next((i for i, n in enumerate(shape) if n != 1), len(shape))
    return shape[n_ones:]
