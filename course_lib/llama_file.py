"""A GGUF of the ``llama`` architecture, Mistral's too: its sizes and its weights, by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from course_lib.config import ModelConfig
from course_lib.gguf_cursor import printable
from course_lib.gguf_file import inspect_gguf
from course_lib.gguf_header import ArraySummary, TensorInfo
from course_lib.gguf_package import gguf
from course_lib.quantization import dequantize
from course_lib.quantization_blocks import BLOCKS
from course_lib.rope import RopeScaling
from course_lib.tensor_layout import tensor_bytes

_READABLE = (
    *("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"),
    *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
)
BLOCK_TENSORS = {
    "attention_norm": "attn_norm",
    "wq": "attn_q",
    "wk": "attn_k",
    "wv": "attn_v",
    "wo": "attn_output",
    "ffn_norm": "ffn_norm",
    "w_gate": "ffn_gate",
    "w_up": "ffn_up",
    "w_down": "ffn_down",
}
"""What the nine tensors of a block are called in a GGUF, behind ``blk.0.``."""
_TOP_TENSORS = ("token_embd", "output_norm", "output", "rope_freqs")


class UnsupportedModelError(ValueError):
    """A sound GGUF that holds no model of the Llama family, or one with parts unknown here."""


class LlamaFile:
    """The description of a model, and its tensors as float32 when they are asked for.

    Parameters
    ----------
    path : str or path-like

    Attributes
    ----------
    path : Path
    config : ModelConfig
    rope_scaling : RopeScaling
    eos_id : int or None
        The token that ends a text, if the file names one.

    Raises
    ------
    UnsupportedModelError
        For another architecture, a size that is missing or makes no sense, or a part that the
        NumPy model does not have, such as experts.
    InvalidGGUFError, FileNotFoundError, IsADirectoryError, PermissionError
        As `inspect_gguf`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        info = inspect_gguf(path)
        if info.architecture != "llama":
            raise UnsupportedModelError(
                f"{path} holds a model of the architecture {info.architecture!r}. "
                "The NumPy model runs 'llama' files only; LocalLLM runs the others too."
            )
        try:
            self.config = _config(info.metadata)
            self.rope_scaling = _rope_scaling(info.metadata)
            _require_known_parts(info.metadata, self.config)
        except (TypeError, ValueError, OverflowError) as error:
            raise UnsupportedModelError(
                f"{path} does not describe a Mistral-style model: {error}"
            ) from None
        eos_id = info.metadata.get("tokenizer.ggml.eos_token_id")
        self.eos_id = eos_id if isinstance(eos_id, int) else None
        self._tensors = {tensor.name: tensor for tensor in info.tensors}
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r")

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def require(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise UnsupportedModelError unless a tensor is there, of this shape, and readable."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise UnsupportedModelError(f"{self.path} has no tensor {name!r}, and needs one.")
        if tensor.shape != shape:
            raise UnsupportedModelError(
                f"the tensor {name!r} of {self.path} has the shape {tensor.shape}, "
                f"and the sizes of the model ask for {shape}."
            )
        if tensor.type_name not in _READABLE:
            raise UnsupportedModelError(
                f"the tensor {name!r} of {self.path} is stored as {tensor.type_name}. "
                f"The NumPy model reads {', '.join(_READABLE)}."
            )

    def require_no_others(self) -> None:
        """Raise UnsupportedModelError when there are tensors that the NumPy model would ignore."""
        for name in self._tensors:
            kind = name.split(".", maxsplit=2)[-1] if name.startswith("blk.") else name
            if kind.removesuffix(".weight") not in (*BLOCK_TENSORS.values(), *_TOP_TENSORS):
                raise UnsupportedModelError(
                    f"{self.path} has the tensor {printable(name)!r}, which is no part of Mistral "
                    "or Llama 2. LocalLLM may run this model."
                )

    def type_name(self, name: str) -> str:
        """Return the format that a tensor is stored in."""
        return self._tensors[name].type_name

    def tensor(self, name: str) -> np.ndarray:
        """Read one tensor.

        Returns
        -------
        np.ndarray of float32
            In the shape of the file: (n_out, n_in) for a matrix.
        """
        tensor = self._tensors[name]
        return _dequantize(self._rows(tensor), tensor).reshape(tensor.shape)

    def rows(self, name: str, indices: np.ndarray) -> np.ndarray:
        """Read some rows of a matrix, such as the embeddings of a few tokens."""
        tensor = self._tensors[name]
        return _dequantize(self._rows(tensor)[indices], tensor)

    def _rows(self, tensor: TensorInfo) -> np.ndarray:
        """Bytes of a tensor, shape (n_rows, bytes_per_row), still on disk."""
        n_rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
        raw = self._bytes[tensor.offset : tensor.offset + tensor.n_bytes]
        return raw.reshape(n_rows, -1)


def write_sizes(writer: gguf.GGUFWriter, config: ModelConfig) -> None:
    """Write the numbers of a configuration as `read_config` reads them."""
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_seq_len)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.hidden_dim)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    if config.sliding_window:
        writer.add_sliding_window(config.sliding_window)


def announce_tensor(
    writer: gguf.GGUFWriter, name: str, shape: tuple[int, ...], type_name: str
) -> None:
    """Put a tensor into the header whose weights are written later."""
    stored = gguf.GGMLQuantizationType[type_name]
    n_bytes = tensor_bytes(shape, type_name)
    writer.add_tensor_info(name, shape, np.dtype(np.float32), n_bytes, raw_dtype=stored)


def write_rope_scaling(writer: gguf.GGUFWriter, scaling: RopeScaling) -> None:
    """Write how RoPE was stretched, if it was."""
    if scaling.kind == "none":
        return
    writer.add_rope_scaling_type(gguf.RopeScalingType(scaling.kind))
    writer.add_rope_scaling_factor(scaling.factor)
    writer.add_rope_scaling_orig_ctx_len(scaling.original_seq_len)


def read_config(path: str | os.PathLike[str]) -> ModelConfig:
    """Read the sizes of a model; raises as `LlamaFile` does.

    Examples
    --------
    >>> from course_lib import TINY_MODEL_PATH
    >>> read_config(TINY_MODEL_PATH).n_kv_heads
    2
    """
    return LlamaFile(path).config


def _dequantize(rows: np.ndarray, tensor: TensorInfo) -> np.ndarray:
    """Turn bytes (n_rows, bytes_per_row) into float32 that no longer depends on the file."""
    if tensor.type_name in BLOCKS:
        return dequantize(rows, tensor.type_name)
    tensor_type = gguf.GGMLQuantizationType[tensor.type_name]
    return gguf.quants.dequantize(np.array(rows), tensor_type).astype(np.float32, copy=False)


def _config(metadata: dict[str, Any]) -> ModelConfig:
    dim = _number(metadata, "embedding_length")
    n_heads = _number(metadata, "attention.head_count")
    tokens = metadata.get("tokenizer.ggml.tokens")
    has_tokens = isinstance(tokens, ArraySummary)
    return ModelConfig(
        dim=dim,
        n_layers=_number(metadata, "block_count"),
        n_heads=n_heads,
        n_kv_heads=_number(metadata, "attention.head_count_kv", n_heads),
        head_dim=_number(metadata, "attention.key_length", dim // max(n_heads, 1)),
        hidden_dim=_number(metadata, "feed_forward_length"),
        vocab_size=tokens.n_items if has_tokens else _number(metadata, "vocab_size"),
        norm_eps=_shortest_float(_number(metadata, "attention.layer_norm_rms_epsilon")),
        rope_theta=_shortest_float(_number(metadata, "rope.freq_base", 10_000.0)),
        sliding_window=metadata.get("llama.attention.sliding_window") or None,
        max_seq_len=_number(metadata, "context_length"),
    )


def _rope_scaling(metadata: dict[str, Any]) -> RopeScaling:
    """Read how RoPE was stretched; the older key ``rope.scale_linear`` counts too."""
    older_factor = _number(metadata, "rope.scale_linear", 0)
    factor = _number(metadata, "rope.scaling.factor", 0) or older_factor
    kind = metadata.get("llama.rope.scaling.type", "linear")
    if kind not in ("none", "linear", "yarn"):
        raise ValueError(f"llama.rope.scaling.type is {printable(str(kind)[:80])!r}.")
    context = _number(metadata, "context_length")
    return RopeScaling(
        kind=kind,
        factor=factor or 1.0,
        original_seq_len=_number(metadata, "rope.scaling.original_context_length", 0) or context,
        beta_fast=_number(metadata, "rope.scaling.yarn_beta_fast", 32.0),
        beta_slow=_number(metadata, "rope.scaling.yarn_beta_slow", 1.0),
        magnitude=_number(metadata, "rope.scaling.attn_factor", 1.0),
    )


def _require_known_parts(metadata: dict[str, Any], config: ModelConfig) -> None:
    """Raise ValueError for what llama.cpp has and the NumPy model has not."""
    if _number(metadata, "expert_count", 0):
        raise ValueError("it is a mixture of experts.")
    for name in ("attention.value_length", "rope.dimension_count"):
        if _number(metadata, name, config.head_dim) != config.head_dim:
            raise ValueError(
                f"llama.{name} is {_number(metadata, name)}, and its heads are {config.head_dim} "
                "wide: these must be the same."
            )


def _number(metadata: dict[str, Any], name: str, default: Any = None) -> Any:
    value = metadata.get(f"llama.{name}", default)
    if not isinstance(value, int | float):
        raise TypeError(f"llama.{name} is {printable(str(value)[:72])}, not a number.")
    return value


def _shortest_float(value: float) -> float:
    """Find the decimal number that a float32 stands for: 1e-05, not 9.999999747378752e-06."""
    with np.errstate(over="ignore"):
        return float(str(np.float32(value)))
