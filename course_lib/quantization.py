"""Block formats of GGUF files in NumPy: quantize, dequantize, bits per weight.

A format stores a row of weights in blocks. The fields of a block, in the order of its bytes, are
written down in `BLOCKS`; how they become numbers is in the functions ``_from_…``, and how numbers
become them in ``_to_…``. Bytes are those of ggml's own quantizer.

References
----------
https://github.com/ggml-org/ggml, ggml-common.h and ggml-quants.c
"""

from __future__ import annotations

import numpy as np

from course_lib import k_quants
from course_lib.quantization_blocks import (
    BLOCKS,
    N_WEIGHTS,
    QuantizationError,
    require_format,
    require_weights,
    unpack_nibbles,
)

_WEIGHTS_AT_ONCE = 1 << 14  # they stay in the processor's cache


def bits_per_weight(name: str) -> float:
    """Return how many bits of a file a weight takes, scales included.

    Examples
    --------
    >>> bits_per_weight("Q4_0"), bits_per_weight("Q6_K")
    (4.5, 6.5625)
    """
    require_format(name)
    return 8 * BLOCKS[name].itemsize / N_WEIGHTS[name]


def quantize(x: np.ndarray, name: str) -> np.ndarray:
    """Store rows of weights in a format.

    Parameters
    ----------
    x : np.ndarray of float32, shape (n_rows, n_cols)
    name : str
        ``"F32"``, ``"F16"``, ``"BF16"``, ``"Q8_0"``, ``"Q4_0"``, ``"Q4_1"``, ``"Q5_0"``,
        ``"Q5_1"``, ``"Q4_K"``, ``"Q5_K"`` or ``"Q6_K"``.

    Returns
    -------
    np.ndarray of uint8, shape (n_rows, bytes_per_row)

    Raises
    ------
    QuantizationError
        For an unknown format, another type or shape, NaN or infinity, or rows that cannot be cut
        into blocks.

    Examples
    --------
    >>> quantize(np.ones((1, 32), np.float32), "Q8_0").shape
    (1, 34)
    """
    require_weights(x, name)
    blocks = np.zeros(x.size // N_WEIGHTS[name], BLOCKS[name])
    numbers = np.ascontiguousarray(x).reshape(-1, N_WEIGHTS[name])
    n_at_once = max(1, _WEIGHTS_AT_ONCE // N_WEIGHTS[name])
    for start in range(0, len(blocks), n_at_once):
        some = slice(start, start + n_at_once)
        with np.errstate(all="ignore"):  # tiny and huge scales become 0 and infinity, as in ggml
            _TO[name](numbers[some], blocks[some])
    return blocks.view(np.uint8).reshape(len(x), -1)


def dequantize(blocks: np.ndarray, name: str) -> np.ndarray:
    """Turn stored rows back into numbers.

    Parameters
    ----------
    blocks : np.ndarray of uint8, shape (n_rows, bytes_per_row)
    name : str
        As for `quantize`.

    Returns
    -------
    np.ndarray of float32, shape (n_rows, n_cols)

    Raises
    ------
    QuantizationError
        For an unknown format, another type or shape, or a row that ends within a block.

    Examples
    --------
    >>> dequantize(quantize(np.float32([[1.0, -0.5]]), "F16"), "F16")
    array([[ 1. , -0.5]], dtype=float32)
    """
    require_format(name)
    n_block_bytes = BLOCKS[name].itemsize
    if blocks.dtype != np.uint8 or blocks.ndim != 2 or blocks.shape[1] % n_block_bytes:
        raise QuantizationError(
            f"blocks of {name} are rows of uint8 whose length is a multiple of {n_block_bytes}; "
            f"these are {blocks.dtype} of shape {blocks.shape}."
        )
    stored = np.ascontiguousarray(blocks).view(BLOCKS[name]).reshape(-1)
    numbers = np.empty((len(stored), N_WEIGHTS[name]), dtype=np.float32)
    n_at_once = max(1, _WEIGHTS_AT_ONCE // N_WEIGHTS[name])
    for start in range(0, len(stored), n_at_once):
        some = slice(start, start + n_at_once)
        with np.errstate(all="ignore"):
            numbers[some] = _FROM[name](stored[some])
    return numbers.reshape(len(blocks), -1)


# --- one number a block ------------------------------------------------------------------


def _to_f32(x: np.ndarray, blocks: np.ndarray) -> None:
    blocks["x"] = x[:, 0]


def _from_f32(blocks: np.ndarray) -> np.ndarray:
    return blocks["x"][:, None].astype(np.float32)


def _to_bf16(x: np.ndarray, blocks: np.ndarray) -> None:
    """Keep the upper half of the bits, rounded to even."""
    bits = np.ascontiguousarray(x[:, 0]).view(np.uint32)
    blocks["x"] = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16


def _from_bf16(blocks: np.ndarray) -> np.ndarray:
    return (blocks["x"].astype(np.uint32) << 16).view(np.float32)[:, None]


# --- blocks of 32 with a scale, and perhaps a minimum --------------------------------------
# Weights stand along the first axis, (32, n_blocks), so that NumPy works on long rows.


def _inverse(d: np.ndarray) -> np.ndarray:
    """Return 1 / d, and 0 where there is none: where d is 0, or so small that 1 / d overflows."""
    inverse = np.float32(1) / d
    return np.where(np.isfinite(inverse), inverse, np.float32(0))


def _largest(x: np.ndarray) -> np.ndarray:
    """Return the number of each block that is farthest from 0, with its sign; the first of two."""
    low, high = x.min(axis=0), x.max(axis=0)
    largest = np.where(high >= -low, high, low)
    tied = np.flatnonzero(high == -low)
    if tied.size:
        largest[tied] = x[np.abs(x[:, tied]).argmax(axis=0), tied]
    return largest + np.float32(0)  # makes 0 of -0


def _least(x: np.ndarray) -> np.ndarray:
    """Return the smallest number of each block; of 0 and -0 the first."""
    least = x.min(axis=0)
    zero = np.flatnonzero(least == 0)
    if zero.size:
        least[zero] = x[x[:, zero].argmin(axis=0), zero]
    return least


def _truncated(x: np.ndarray, inverse: np.ndarray, shift: float, most: int) -> np.ndarray:
    """Return x * inverse + shift, cut to whole numbers.

    Product and sum are rounded one after the other. A ggml that was built to do both in one step
    puts one weight in a hundred thousand, which lies half way, on the other side.
    """
    q = x * inverse
    q += np.float32(shift)
    whole = q.astype(np.uint8)
    return np.minimum(whole, most, out=whole)


def _to_q8_0(numbers: np.ndarray, blocks: np.ndarray) -> None:
    x = np.ascontiguousarray(numbers.T)
    d = np.abs(x).max(axis=0) / np.float32(127)
    scaled = x * _inverse(d)
    whole = np.trunc(scaled)
    scaled -= whole
    scaled += scaled
    whole += np.trunc(scaled, out=scaled)  # halves away from 0
    blocks["d"], blocks["qs"] = d, whole.astype(np.int8).T


def _from_q8_0(blocks: np.ndarray) -> np.ndarray:
    return blocks["qs"].astype(np.float32) * _column(blocks["d"])


def _to_symmetric(numbers: np.ndarray, blocks: np.ndarray, half: int) -> np.ndarray:
    """Scale so that the number farthest from 0 becomes -half; returns 0 … 2 * half - 1."""
    x = np.ascontiguousarray(numbers.T)
    d = _largest(x) / np.float32(-half)
    blocks["d"] = d
    q = _truncated(x, _inverse(d), half + 0.5, 2 * half - 1)
    q[:, (d != 0) & ~np.isfinite(np.float32(1) / d)] = 0  # ggml's whole number of infinity
    return q


def _to_affine(numbers: np.ndarray, blocks: np.ndarray, most: int) -> np.ndarray:
    """Scale so that the smallest number becomes 0 and the largest `most`."""
    x = np.ascontiguousarray(numbers.T)
    least = _least(x)
    d = (x.max(axis=0) - least) / np.float32(most) + np.float32(0)  # makes 0 of -0
    blocks["d"], blocks["m"] = d, least
    return _truncated(x - least, _inverse(d), 0.5, most)


def _pack_low(q: np.ndarray) -> np.ndarray:
    """Put two numbers into a byte: the first half of a block low, the second half high."""
    return ((q[:16] & 15) | (q[16:] << 4)).T


def _pack_high(q: np.ndarray) -> np.ndarray:
    """Collect the fifth bits of a block in 32 bits."""
    places = np.arange(8, dtype=np.uint8)[:, None]
    four_bytes = np.bitwise_or.reduce((q >> 4).reshape(4, 8, -1) << places, axis=1)
    return np.ascontiguousarray(four_bytes.T).view("<u4")[:, 0]


def _unpack_high(qh: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(qh).view(np.uint8).reshape(-1, 4)
    return np.unpackbits(bits, axis=-1, bitorder="little") << 4


def _column(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32)[:, None]


def _to_q4_0(x: np.ndarray, blocks: np.ndarray) -> None:
    blocks["qs"] = _pack_low(_to_symmetric(x, blocks, 8))


def _from_q4_0(blocks: np.ndarray) -> np.ndarray:
    return (unpack_nibbles(blocks["qs"]).astype(np.int8) - 8) * _column(blocks["d"])


def _to_q4_1(x: np.ndarray, blocks: np.ndarray) -> None:
    blocks["qs"] = _pack_low(_to_affine(x, blocks, 15))


def _from_q4_1(blocks: np.ndarray) -> np.ndarray:
    return unpack_nibbles(blocks["qs"]) * _column(blocks["d"]) + _column(blocks["m"])


def _to_q5_0(x: np.ndarray, blocks: np.ndarray) -> None:
    q = _to_symmetric(x, blocks, 16)
    blocks["qs"], blocks["qh"] = _pack_low(q), _pack_high(q)


def _from_q5_0(blocks: np.ndarray) -> np.ndarray:
    q = unpack_nibbles(blocks["qs"]) | _unpack_high(blocks["qh"])
    return (q.astype(np.int8) - 16) * _column(blocks["d"])


def _to_q5_1(x: np.ndarray, blocks: np.ndarray) -> None:
    q = _to_affine(x, blocks, 31)
    blocks["qs"], blocks["qh"] = _pack_low(q), _pack_high(q)


def _from_q5_1(blocks: np.ndarray) -> np.ndarray:
    q = unpack_nibbles(blocks["qs"]) | _unpack_high(blocks["qh"])
    return q * _column(blocks["d"]) + _column(blocks["m"])


_TO = {
    "F32": _to_f32,
    "F16": _to_f32,
    "BF16": _to_bf16,
    "Q8_0": _to_q8_0,
    "Q4_0": _to_q4_0,
    "Q4_1": _to_q4_1,
    "Q5_0": _to_q5_0,
    "Q5_1": _to_q5_1,
    "Q4_K": k_quants.to_q4_k,
    "Q5_K": k_quants.to_q5_k,
    "Q6_K": k_quants.to_q6_k,
}
_FROM = {
    "F32": _from_f32,
    "F16": _from_f32,
    "BF16": _from_bf16,
    "Q8_0": _from_q8_0,
    "Q4_0": _from_q4_0,
    "Q4_1": _from_q4_1,
    "Q5_0": _from_q5_0,
    "Q5_1": _from_q5_1,
    "Q4_K": k_quants.from_q4_k,
    "Q5_K": k_quants.from_q5_k,
    "Q6_K": k_quants.from_q6_k,
}
