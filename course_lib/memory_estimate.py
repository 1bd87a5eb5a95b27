"""How much memory llama.cpp takes for a model, told from its sizes or from its file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from course_lib.config import ModelConfig
from course_lib.cpu_features import cpu_features
from course_lib.gguf_cursor import padded
from course_lib.gguf_file import GGUFInfo, inspect_gguf
from course_lib.tensor_layout import (
    ALIGNMENT,
    BLOCK_SIZES,
    tensor_bytes,
    tensor_shapes,
    tensor_types,
)

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
"""Formats in which llama.cpp can keep keys and values."""

# Of which formats llama.cpp makes a copy that its processor reads faster, and by what the number
# of rows must be divisible: on x86 with the first set of features, on ARM with one of the second
_REPACKED_ON_X86 = {"Q4_0": ("AVX2", 8), "Q4_K": ("AVX2", 8), "Q2_K": ("AVX512F", 8)}
_REPACKED_ON_ARM = {"Q4_0": 4, "Q8_0": 4, "Q4_K": 8, "Q5_K": 8, "Q6_K": 8}
_CELLS_AT_ONCE = 256  # llama.cpp rounds the context up to a multiple of this
_TOKENS_AT_ONCE = 512  # of a prompt, in one pass through the layers


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that llama.cpp takes for a model when its context is full.

    Attributes
    ----------
    weights : int
        Those of the file, as a memory map or as a copy of it.
    repacked : int
        Second copies, in an order that this processor reads faster.
    kv_cache : int
        Keys and values of all positions of the context.
    compute : int
        Results in between.
    evictable : int
        The part of `weights` that is a memory map of the file: the system may drop it when memory
        runs short. What has a second copy is never missed; the rest must be read from the disk
        again for each token.
    total : int
    """

    weights: int
    repacked: int
    kv_cache: int
    compute: int
    evictable: int
    total: int


class _Sizes(NamedTuple):
    """The numbers of a model that memory depends on."""

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    key_dim: int
    value_dim: int
    hidden_dim: int
    vocab_size: int
    max_seq_len: int


class _Stored(NamedTuple):
    """One tensor of a file."""

    shape: tuple[int, ...]
    type_name: str
    offset: int
    n_bytes: int


def estimate_memory(
    config_or_path: ModelConfig | str | os.PathLike[str],
    quantization: str | None = None,
    n_ctx: int | None = 4096,
    kv_type: str = "f16",
    *,
    n_batch: int = _TOKENS_AT_ONCE,
    use_mmap: bool | None = None,
    flash_attn: bool = False,
    tied: bool = False,
    features: tuple[str, ...] | None = None,
) -> MemoryEstimate:
    """Return how much memory llama.cpp needs to run a model on the processor.

    Parameters
    ----------
    config_or_path : ModelConfig, or path to a GGUF
        A file may be of any architecture with attention; only its header is read.
    quantization : str, optional
        The level, for a configuration: ``"Q4_K_M"`` …
    n_ctx : int or None
        Tokens of context; None takes what the model was made for.
    kv_type : str
        Format of keys and values, of `KV_TYPES`.
    n_batch : int
        Tokens of a prompt that are computed together.
    use_mmap : bool, optional
        Whether the file is mapped; when left out, as `prefers_mmap` says.
    flash_attn : bool
        Whether attention never holds all scores at once.
    tied : bool
        For a configuration: whether the embedding serves as output, too.
    features : tuple of str, optional
        Of the processor, as in `Hardware.cpu_features`; those of this machine when left out.

    Returns
    -------
    MemoryEstimate

    Raises
    ------
    ValueError
        For a level, a cache type or a number that makes no sense.
    InvalidGGUFError, FileNotFoundError, IsADirectoryError, PermissionError
        As `inspect_gguf`.

    Examples
    --------
    >>> from course_lib.config import MISTRAL_7B_V03
    >>> estimate = estimate_memory(MISTRAL_7B_V03, "Q4_K_M", n_ctx=4096, features=("AVX2",))
    >>> round(estimate.kv_cache / 2**20), round(estimate.total / 1e9, 1)
    (512, 5.2)
    """
    if isinstance(config_or_path, ModelConfig):
        sizes = _config_sizes(config_or_path)
        tensors = _predicted_tensors(config_or_path, quantization or "F16", tied)
    else:
        info = inspect_gguf(config_or_path)
        sizes = _file_sizes(info)
        tensors = {x.name: _Stored(x.shape, x.type_name, x.offset, x.n_bytes) for x in info.tensors}
    n_ctx = sizes.max_seq_len if n_ctx is None else n_ctx
    if n_ctx < 1 or n_batch < 1:
        raise ValueError(f"n_ctx={n_ctx} and n_batch={n_batch} must be at least 1.")
    n_cells = padded(n_ctx, _CELLS_AT_ONCE)
    repacked = _repacked(tensors, cpu_features() if features is None else features)
    use_mmap = _is_worth_mapping(tensors, repacked) if use_mmap is None else use_mmap
    weights = _held_bytes([x for name, x in tensors.items() if name not in repacked], use_mmap)
    copies = sum(tensors[name].n_bytes for name in repacked)
    kv_cache = _kv_cache_bytes(sizes, n_cells, kv_type)
    n_tokens = min(n_batch, n_ctx, _TOKENS_AT_ONCE)
    compute = _compute_bytes(sizes, n_cells, n_tokens, flash_attn)
    return MemoryEstimate(
        weights=weights,
        repacked=copies,
        kv_cache=kv_cache,
        compute=compute,
        evictable=weights if use_mmap else 0,
        total=weights + copies + kv_cache + compute,
    )


def prefers_mmap(path: str | os.PathLike[str], features: tuple[str, ...] | None = None) -> bool:
    """Tell whether a file is better mapped than read.

    A map is shared by all programs that use the file, and needs no time to load. But when this
    processor wants most weights in another order, their originals would fill memory for nothing.

    Parameters
    ----------
    path : path to a GGUF
    features : tuple of str, optional
        As for `estimate_memory`; raises what that raises.

    Examples
    --------
    >>> from course_lib import TINY_MODEL_PATH
    >>> prefers_mmap(TINY_MODEL_PATH)
    True
    """
    tensors = _stored_tensors(inspect_gguf(path))
    return _is_worth_mapping(
        tensors, _repacked(tensors, cpu_features() if features is None else features)
    )


def _is_worth_mapping(tensors: Mapping[str, _Stored], repacked: set[str]) -> bool:
    n_bytes = sum(x.n_bytes for x in tensors.values())
    return 2 * sum(tensors[name].n_bytes for name in repacked) < max(n_bytes, 1)


def _held_bytes(tensors: Sequence[_Stored], use_mmap: bool) -> int:
    """Bytes of the tensors; a map also covers what lies between them."""
    if not use_mmap or not tensors:
        return sum(x.n_bytes for x in tensors)
    return max(x.offset + x.n_bytes for x in tensors) - min(x.offset for x in tensors)


def _repacked(tensors: Mapping[str, _Stored], features: tuple[str, ...]) -> set[str]:
    return {name for name, x in tensors.items() if _is_repacked(name, x, features)}


def _is_repacked(name: str, tensor: _Stored, features: tuple[str, ...]) -> bool:
    """Tell whether llama.cpp copies a tensor into another order: only matrices that multiply."""
    if len(tensor.shape) != 2 or name.startswith("token_embd"):
        return False
    n_rows = tensor.shape[0]
    if "DOTPROD" in features or "I8MM" in features:
        return n_rows % _REPACKED_ON_ARM.get(tensor.type_name, n_rows + 1) == 0
    feature, divisor = _REPACKED_ON_X86.get(tensor.type_name, ("", 1))
    return feature in features and n_rows % divisor == 0


def _kv_cache_bytes(sizes: _Sizes, n_cells: int, kv_type: str) -> int:
    if kv_type not in KV_TYPES:
        raise ValueError(f"no cache type {kv_type!r}. Choose one of: {', '.join(KV_TYPES)}.")
    n_weights, n_bytes = BLOCK_SIZES[kv_type.upper()]
    return sizes.n_layers * n_cells * (sizes.key_dim + sizes.value_dim) * n_bytes // n_weights


def _compute_bytes(sizes: _Sizes, n_cells: int, n_tokens: int, flash_attn: bool) -> int:
    """Bytes of the largest step: attention, the feed-forward layer, or the logits.

    What is alive at the same time was read off llama.cpp's own figures for models of many shapes.
    """
    query_dim = sizes.n_heads * sizes.key_dim // sizes.n_kv_heads
    mask = n_cells * (2 if flash_attn else 4)
    scores = 0 if flash_attn else n_cells * sizes.n_heads * 4
    vectors = 4 * (2 * query_dim + 3 * sizes.dim + 2 * sizes.key_dim)
    attention = scores + mask + vectors
    feed_forward = mask + 4 * (3 * sizes.hidden_dim + 4 * sizes.dim)
    logits = 4 * (sizes.vocab_size + 2 * sizes.dim)
    return n_tokens * max(attention, feed_forward, logits) + 4 * sizes.vocab_size


def _config_sizes(config: ModelConfig) -> _Sizes:
    kv_dim = config.n_kv_heads * config.head_dim
    return _Sizes(
        dim=config.dim,
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        n_kv_heads=config.n_kv_heads,
        key_dim=kv_dim,
        value_dim=kv_dim,
        hidden_dim=config.hidden_dim,
        vocab_size=config.vocab_size,
        max_seq_len=config.max_seq_len,
    )


def _file_sizes(info: GGUFInfo) -> _Sizes:
    def number(name: str, default: int | None = None) -> int:
        value = info.metadata.get(f"{info.architecture}.{name}", default)
        if not isinstance(value, int) or value < 1:
            raise ValueError(
                f"{info.path} does not say its {name} as one positive number, so its memory "
                "cannot be estimated."
            )
        return value

    dim, n_heads = number("embedding_length"), number("attention.head_count")
    n_kv_heads = number("attention.head_count_kv", n_heads)
    head_dim = max(dim // n_heads, 1)
    embedding = next((x.shape for x in info.tensors if x.name == "token_embd.weight"), (1, dim))
    return _Sizes(
        dim=dim,
        n_layers=number("block_count"),
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        key_dim=n_kv_heads * number("attention.key_length", head_dim),
        value_dim=n_kv_heads * number("attention.value_length", head_dim),
        hidden_dim=number("feed_forward_length"),
        vocab_size=embedding[0],
        max_seq_len=number("context_length"),
    )


def _stored_tensors(info: GGUFInfo) -> dict[str, _Stored]:
    return {x.name: _Stored(x.shape, x.type_name, x.offset, x.n_bytes) for x in info.tensors}


def _predicted_tensors(config: ModelConfig, level: str, tied: bool) -> dict[str, _Stored]:
    """Lay the tensors out as a file would, one behind the other."""
    types, tensors, offset = tensor_types(config, level, tied), {}, 0
    for name, shape in tensor_shapes(config, tied).items():
        n_bytes = tensor_bytes(shape, types[name])
        tensors[name] = _Stored(shape, types[name], offset, n_bytes)
        offset += padded(n_bytes, ALIGNMENT)
    return tensors
