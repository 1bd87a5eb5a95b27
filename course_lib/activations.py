"""How llama.cpp rounds activations before it multiplies them by weights of a smaller format.

A product of two short formats is much faster than one of float32, so the vector that meets a
quantized matrix is rounded too: to half precision, or to 8-bit integers with a scale a block.
"""

from __future__ import annotations

import numpy as np

from course_lib.quantization import dequantize, quantize

_BLOCK_OF_32 = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")


def round_activations(x: np.ndarray, weight_type: str) -> np.ndarray:
    """Round `x` as llama.cpp does for a matrix stored as `weight_type`.

    Parameters
    ----------
    x : np.ndarray of float32, shape (..., n_in)
    weight_type : str
        Such as ``"F16"`` or ``"Q4_K"``.

    Returns
    -------
    np.ndarray of float32, same shape

    References
    ----------
    https://github.com/ggml-org/llama.cpp, ggml/src/ggml-cpu: the `vec_dot_type` of each format.

    Examples
    --------
    >>> round_activations(np.float32([1.0, 0.1]), "F16").tolist()
    [1.0, 0.0999755859375]
    """
    if weight_type == "F32":
        return x
    if weight_type in ("F16", "BF16"):
        rows = x.reshape(-1, x.shape[-1])
        return dequantize(quantize(rows, weight_type), weight_type).reshape(x.shape)
    if weight_type in _BLOCK_OF_32:
        return _to_8_bits_by_32(x)
    return _to_8_bits_by_256(x)


def _to_8_bits_by_32(x: np.ndarray) -> np.ndarray:
    """Blocks of 32 numbers share a half-precision scale.

    That is Q8_0, but halves go to the even number, as in the processors' own instructions.
    """
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    largest = np.abs(blocks).max(axis=-1, keepdims=True)
    scale = (largest / 127).astype(np.float16).astype(np.float32)
    with np.errstate(divide="ignore"):  # of a block of zeros, whose scale is 0 as well
        inverse = np.where(largest > 0, 127 / largest, np.float32(0))
    return (np.rint(blocks * inverse) * scale).reshape(x.shape)


def _to_8_bits_by_256(x: np.ndarray) -> np.ndarray:
    """Blocks of 256 numbers share a float32 scale that makes the largest -127 (Q8_K)."""
    blocks = x.reshape(*x.shape[:-1], -1, 256)
    where = np.abs(blocks).argmax(axis=-1, keepdims=True)
    largest = np.take_along_axis(blocks, where, axis=-1)
    with np.errstate(divide="ignore"):
        inverse = np.where(largest != 0, -127 / largest, np.float32(0))
    return (np.minimum(np.rint(blocks * inverse), 127) * (largest / -127)).reshape(x.shape)
