"""How large a model is, in a file and in memory: told before there is a file."""

from __future__ import annotations

from course_lib.config import ModelConfig
from course_lib.gguf_cursor import padded
from course_lib.memory_estimate import KV_TYPES, MemoryEstimate, estimate_memory, prefers_mmap
from course_lib.tensor_layout import ALIGNMENT, LEVELS, tensor_bytes, tensor_shapes, tensor_types

__all__ = [
    "KV_TYPES",
    "LEVELS",
    "MemoryEstimate",
    "estimate_memory",
    "gguf_bytes",
    "prefers_mmap",
    "tensor_shapes",
    "tensor_types",
]

_BYTES_PER_TOKEN = 22.5  # text, score and type; the vocabularies of v0.1 and v0.3 have 22.4, 22.6
_BYTES_PER_TENSOR = 60
_OTHER_METADATA_BYTES = 4096


def gguf_bytes(
    config: ModelConfig, quantization: str, *, tied: bool = False, header_bytes: int | None = None
) -> int:
    """Return the size of a GGUF file.

    Parameters
    ----------
    config : ModelConfig
    quantization : str
        A level, such as ``"Q4_K_M"``. ``_S``, ``_M`` and ``_L`` are mixtures: some tensors keep
        more bits.
    tied : bool
        Whether the embedding serves as output, too.
    header_bytes : int, optional
        Bytes before the first weight: metadata, vocabulary and names. Estimated when left out;
        that costs less than a thousandth of a percent of Mistral 7B's published files.

    Returns
    -------
    int

    Raises
    ------
    QuantizationError
        For an unknown level.

    Examples
    --------
    >>> from course_lib.config import MISTRAL_7B_V03
    >>> round(gguf_bytes(MISTRAL_7B_V03, "Q4_K_M") / 1e9, 2)
    4.37
    """
    shapes = tensor_shapes(config, tied)
    if header_bytes is None:
        names = _BYTES_PER_TENSOR * len(shapes)
        header_bytes = int(_BYTES_PER_TOKEN * config.vocab_size) + names + _OTHER_METADATA_BYTES
    types = tensor_types(config, quantization, tied)
    sizes = (header_bytes, *(tensor_bytes(shapes[name], types[name]) for name in shapes))
    return sum(padded(n_bytes, ALIGNMENT) for n_bytes in sizes)
