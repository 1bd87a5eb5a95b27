"""Models of any size with random weights: for measuring what does not depend on the weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from course_lib.config import ModelConfig
from course_lib.gguf_cursor import padded
from course_lib.gguf_package import gguf
from course_lib.llama_file import announce_tensor, write_sizes
from course_lib.quantization import dequantize, quantize
from course_lib.tensor_layout import (
    ALIGNMENT,
    BLOCK_SIZES,
    tensor_bytes,
    tensor_shapes,
    tensor_types,
)

# Where a block keeps its half-precision scales, and their ratio that makes its mean zero. All
# other bytes may have any value.
_SCALES = {
    "Q8_0": {0: 1.0},
    "Q4_0": {0: 1.0},
    "Q4_1": {0: 1.0, 2: -7.5},
    "Q5_0": {0: 1.0},
    "Q5_1": {0: 1.0, 2: -15.5},
    "Q4_K": {0: 1.0, 2: 7.5},
    "Q5_K": {0: 1.0, 2: 15.5},
    "Q6_K": {208: 1.0},
}


def write_random_model(
    path: str | os.PathLike[str],
    config: ModelConfig,
    type_name: str | Mapping[str, str] = "F16",
    *,
    rng: np.random.Generator,
    tied: bool = False,
    describe: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
    extra_tensors: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Write a GGUF of the ``llama`` architecture whose weights are random.

    Parameters
    ----------
    path : str or path-like
    config : ModelConfig
    type_name : str, or mapping from the name of a tensor
        Format of all matrices, or of each: ``"F32"``, ``"F16"``, ``"Q8_0"``, ``"Q4_0"`` …
    rng : np.random.Generator
    tied : bool
        Let the embedding serve as output too.
    describe : callable, optional
        Gets the writer, to add metadata.
    extra_tensors : mapping from name to np.ndarray, optional

    Returns
    -------
    Path
    """
    shapes = tensor_shapes(config, tied)
    types = {
        name: "F32" if len(shape) == 1 else _of(type_name, name) for name, shape in shapes.items()
    }
    extra_tensors = extra_tensors or {}
    writer = gguf.GGUFWriter(path, "llama")
    try:
        _describe(writer, config)
        describe(writer)
        for name, shape in shapes.items():
            announce_tensor(writer, name, shape, types[name])
        for name, tensor in extra_tensors.items():
            writer.add_tensor_info(name, tensor.shape, tensor.dtype, tensor.nbytes)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, shape in shapes.items():
            writer.write_tensor_data(_random_tensor(rng, shape, types[name]))
        for tensor in extra_tensors.values():
            writer.write_tensor_data(tensor)
    finally:
        writer.close()
    return Path(path)


def write_hollow_model(
    path: str | os.PathLike[str], config: ModelConfig, level: str = "Q4_K_M"
) -> Path:
    """Write a GGUF whose weights are all zero, for what looks at its header and its length alone.

    It is as long as the real model, but on most disks the zeros take no room. There is no
    vocabulary, so it cannot be run.

    Parameters
    ----------
    path : str or path-like
    config : ModelConfig
    level : str
        As for `gguf_bytes`.

    Returns
    -------
    Path

    Examples
    --------
    >>> import tempfile
    >>> from course_lib.config import TINY_MISTRAL
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_hollow_model(Path(folder) / "hollow.gguf", TINY_MISTRAL, "Q8_0")
    ...     round(path.stat().st_size / 1e6, 1)
    5.1
    """
    types, n_bytes = tensor_types(config, level), 0
    writer = gguf.GGUFWriter(path, "llama")
    try:
        writer.add_name("no weights")
        write_sizes(writer, config)
        for name, shape in tensor_shapes(config).items():
            announce_tensor(writer, name, shape, types[name])
            n_bytes += padded(tensor_bytes(shape, types[name]), ALIGNMENT)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()
    with Path(path).open("r+b") as file:
        header_bytes = file.seek(0, os.SEEK_END)
        file.truncate(padded(header_bytes, ALIGNMENT) + n_bytes)
    return Path(path)


def _of(type_name: str | Mapping[str, str], name: str) -> str:
    return type_name if isinstance(type_name, str) else type_name[name]


def _describe(writer: gguf.GGUFWriter, config: ModelConfig) -> None:
    """Write the sizes, and a vocabulary of as many invented pieces."""
    writer.add_name("random weights")
    write_sizes(writer, config)
    writer.add_tokenizer_model("llama")
    pieces = list(_pieces(config.vocab_size))
    writer.add_token_list([piece for piece, _ in pieces])
    writer.add_token_scores([-float(i) for i in range(config.vocab_size)])
    writer.add_token_types([token_type for _, token_type in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def _pieces(vocab_size: int) -> Iterator[tuple[str, gguf.TokenType]]:
    yield from (("<unk>", gguf.TokenType.UNKNOWN),)
    yield from ((piece, gguf.TokenType.CONTROL) for piece in ("<s>", "</s>"))
    n_bytes = min(256, vocab_size - 3)
    yield from ((f"<0x{byte:02X}>", gguf.TokenType.BYTE) for byte in range(n_bytes))
    yield from ((f"▁{i}", gguf.TokenType.NORMAL) for i in range(3 + n_bytes, vocab_size))


def _random_tensor(rng: np.random.Generator, shape: tuple[int, ...], type_name: str) -> np.ndarray:
    """Draw a norm near 1, or a matrix that keeps the size of the vectors it multiplies."""
    if len(shape) == 1:
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    std = shape[-1] ** -0.5
    if type_name in ("F32", "F16", "BF16"):
        drawn = rng.standard_normal(shape, dtype=np.float32)
        drawn *= std
        return quantize(drawn, type_name)
    block_size, n_block_bytes = BLOCK_SIZES[type_name]
    blocks = rng.integers(0, 256, (shape[0], shape[1] // block_size, n_block_bytes), dtype=np.uint8)
    _set_scales(blocks, type_name, 1.0)
    sample = dequantize(blocks[:8].reshape(-1, n_block_bytes), type_name)
    _set_scales(blocks, type_name, std / float(sample.std()))
    return blocks.reshape(shape[0], -1)


def _set_scales(blocks: np.ndarray, type_name: str, scale: float) -> None:
    for offset, ratio in _SCALES[type_name].items():
        blocks[..., offset : offset + 2] = np.array([scale * ratio], np.float16).view(np.uint8)
