"""K-quants: blocks of 256 weights whose scales are quantized themselves.

A block of 256 is cut into parts: 8 of 32 weights (Q4_K, Q5_K) or 16 of 16 (Q6_K). Each part has a
scale, and in Q4_K and Q5_K a minimum; these are whole numbers of 6 or 8 bits that share one or two
half-precision scales. Which scale suits a part best is searched for, as ggml does it: try a few,
solve for the best fit of each, and keep the one with the smallest error.

Arrays here have the weights of a part along the first axis, so that sums over a part are sums of
long rows.
"""

from __future__ import annotations

import numpy as np

from course_lib.quantization_blocks import unpack_nibbles

_F32 = np.float32
_TOO_SMALL = _F32(1e-15)  # parts below count as zeros


# --- Q4_K and Q5_K: a scale and a minimum for each 32 ---------------------------------------


def to_q4_k(x: np.ndarray, blocks: np.ndarray) -> None:
    """Fill `blocks` from x, shape (n_blocks, 256)."""
    q = _quantize_parts(x, blocks, most=15, first=-1.0, n_steps=20)
    pairs = q.reshape(-1, 4, 2, 32)  # two parts share 32 bytes
    blocks["qs"] = (pairs[:, :, 0] | (pairs[:, :, 1] << 4)).reshape(-1, 128)


def from_q4_k(blocks: np.ndarray) -> np.ndarray:
    """Return the weights of `blocks`, shape (n_blocks, 256)."""
    return _dequantize_parts(blocks, _low_bits(blocks["qs"]))


def to_q5_k(x: np.ndarray, blocks: np.ndarray) -> None:
    """Fill `blocks` from x, shape (n_blocks, 256)."""
    q = _quantize_parts(x, blocks, most=31, first=-0.5, n_steps=15)
    pairs = (q & 15).reshape(-1, 4, 2, 32)
    blocks["qs"] = (pairs[:, :, 0] | (pairs[:, :, 1] << 4)).reshape(-1, 128)
    blocks["qh"] = np.packbits(q >> 4, axis=1, bitorder="little")[:, 0]  # part i has bit i


def from_q5_k(blocks: np.ndarray) -> np.ndarray:
    """Return the weights of `blocks`, shape (n_blocks, 256)."""
    high = np.unpackbits(blocks["qh"][:, None], axis=1, bitorder="little")
    return _dequantize_parts(blocks, _low_bits(blocks["qs"]) | (high << 4))


def _low_bits(qs: np.ndarray) -> np.ndarray:
    """Return the low four bits of all weights, shape (n_blocks, 8, 32)."""
    return unpack_nibbles(qs.reshape(-1, 4, 32)).reshape(-1, 8, 32)


def _quantize_parts(
    x: np.ndarray, blocks: np.ndarray, most: int, first: float, n_steps: int
) -> np.ndarray:
    """Find and store the scales of all parts; returns the numbers, (n_blocks, 8, 32)."""
    parts = np.ascontiguousarray(x.reshape(-1, 32).T)  # (32, n_parts)
    scales, minimums, q = _search(parts, most, first, n_steps)
    scales, minimums = scales.reshape(-1, 8), minimums.reshape(-1, 8)
    blocks["d"], six_bit_scales = _six_bits(scales)
    blocks["dmin"], six_bit_minimums = _six_bits(minimums)
    blocks["scales"] = _pack_scales(six_bit_scales, six_bit_minimums)
    d, m = (part.reshape(-1) for part in _part_scales(blocks))
    again = np.clip(np.rint((parts + m) / d), 0, most)
    q = np.where(d != 0, again, q)
    return q.T.astype(np.uint8).reshape(-1, 8, 32)


def _search(
    x: np.ndarray, most: int, first: float, n_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find scale and minimum of each part, so that q * scale - minimum is near x.

    Large weights count more: an error is weighted by the root mean square of the part plus |x|.

    Returns
    -------
    scales, minimums : np.ndarray of float32, shape (n_parts,)
    q : np.ndarray of float32, shape (32, n_parts)
    """
    weights = np.sqrt((x * x).sum(axis=0) / _F32(32)) + np.abs(x)
    low, high = np.minimum(x.min(axis=0), _F32(0)), x.max(axis=0)
    is_flat = ~np.isfinite(_F32(most) / (high - low))  # one number, or none that matters
    sum_w, weighted = weights.sum(axis=0), weights * x
    sum_x = weighted.sum(axis=0)

    def rounded(steps_per_unit: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(steps_per_unit * (x - low)), 0, most)

    def error(scale: np.ndarray, minimum: np.ndarray, q: np.ndarray) -> np.ndarray:
        difference = scale * q + minimum - x
        return (weights * (difference * difference)).sum(axis=0)

    steps_per_unit = _F32(most) / (high - low)
    scale, best_q = 1 / steps_per_unit, rounded(steps_per_unit)
    best_error = error(scale, low, best_q)
    for step in range(n_steps + 1):
        q = rounded((_F32(first) + _F32(0.1) * _F32(step) + _F32(most)) / (high - low))
        weighted_q = weights * q
        sum_q, sum_qq = weighted_q.sum(axis=0), (weighted_q * q).sum(axis=0)
        sum_xq = (weighted_q * x).sum(axis=0)
        determinant = sum_w * sum_qq - sum_q * sum_q
        new_scale = (sum_w * sum_xq - sum_x * sum_q) / determinant
        new_low = (sum_qq * sum_x - sum_q * sum_xq) / determinant
        new_scale = np.where(new_low > 0, sum_xq / sum_qq, new_scale)
        new_low = np.minimum(new_low, _F32(0))
        new_error = error(new_scale, new_low, q)
        is_better = (determinant > 0) & (new_error < best_error)
        best_error = np.where(is_better, new_error, best_error)
        scale = np.where(is_better, new_scale, scale)
        low = np.where(is_better, new_low, low)
        best_q = np.where(is_better, q, best_q)
    scale = np.where(is_flat, _F32(0), scale)
    return scale, -low, np.where(is_flat, _F32(0), best_q)


def _six_bits(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write the 8 values of each block as multiples, 0 to 63, of one half-precision number."""
    largest = np.maximum(values.max(axis=-1), _F32(0))
    inverse = np.where(largest > 0, _F32(63) / largest, _F32(0))
    whole = np.nan_to_num(np.rint(inverse[:, None] * values), nan=0, posinf=0)
    return largest / _F32(63), np.minimum(whole, 63).astype(np.uint8)


def _pack_scales(scales: np.ndarray, minimums: np.ndarray) -> np.ndarray:
    """Pack 8 scales and 8 minimums of 6 bits into 12 bytes.

    Bytes 0 to 3 hold scales 0 to 3 and, in their upper two bits, those of scales 4 to 7; bytes 4
    to 7 the same of the minimums; bytes 8 to 11 the lower four bits of scales and minimums 4 to 7.
    """
    first = scales[:, :4] | (scales[:, 4:] >> 4 << 6)
    second = minimums[:, :4] | (minimums[:, 4:] >> 4 << 6)
    third = (scales[:, 4:] & 15) | (minimums[:, 4:] << 4)
    return np.concatenate([first, second, third], axis=-1)


def _unpack_scales(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undo `_pack_scales`."""
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, (third & 15) | (first >> 6 << 4)], axis=-1)
    minimums = np.concatenate([second & 63, (third >> 4) | (second >> 6 << 4)], axis=-1)
    return scales, minimums


def _part_scales(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and minimum of each part as they are stored, (n_blocks, 8) each."""
    scales, minimums = _unpack_scales(blocks["scales"])
    d, dmin = (blocks[name].astype(_F32)[:, None] for name in ("d", "dmin"))
    return d * scales.astype(_F32), dmin * minimums.astype(_F32)


def _dequantize_parts(blocks: np.ndarray, q: np.ndarray) -> np.ndarray:
    d, m = _part_scales(blocks)
    return (d[..., None] * q - m[..., None]).reshape(-1, 256)


# --- Q6_K: a scale for each 16 -------------------------------------------------------------


def to_q6_k(x: np.ndarray, blocks: np.ndarray) -> None:
    """Fill `blocks` from x, shape (n_blocks, 256)."""
    parts = np.ascontiguousarray(x.reshape(-1, 16).T)  # (16, n_parts)
    scales, q = _search_symmetric(parts)
    scales = np.nan_to_num(scales, nan=0).reshape(-1, 16)  # of parts whose squares overflow
    largest = scales[np.arange(len(scales)), np.abs(scales).argmax(axis=-1)]
    is_zero = np.abs(largest) < _TOO_SMALL
    inverse = np.where(is_zero, _F32(0), _F32(-128) / largest)
    blocks["d"] = np.where(is_zero, _F32(0), 1 / inverse)
    blocks["scales"] = np.minimum(np.rint(inverse[:, None] * scales), 127)
    d = (blocks["d"].astype(_F32)[:, None] * blocks["scales"].astype(_F32)).reshape(-1)
    again = np.nan_to_num(np.clip(np.rint(parts / d), -32, 31), nan=0)
    q = np.where(d != 0, again, q) + 32
    q = q.T.astype(np.uint8).reshape(-1, 256)
    q[is_zero] = 0
    _pack_six_bits(q, blocks)


def from_q6_k(blocks: np.ndarray) -> np.ndarray:
    """Return the weights of `blocks`, shape (n_blocks, 256)."""
    low = unpack_nibbles(blocks["ql"].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    high = (blocks["qh"].reshape(-1, 2, 1, 32) >> shifts) & 3
    q = (low | (high << 4)).astype(np.int8) - 32
    d = blocks["d"].astype(_F32)[:, None] * blocks["scales"].astype(_F32)
    return (d[..., None] * q.reshape(-1, 16, 16)).reshape(-1, 256)


def _pack_six_bits(q: np.ndarray, blocks: np.ndarray) -> None:
    """Store numbers of 6 bits: in each half block, four runs of 32 share their bytes."""
    runs = q.reshape(-1, 2, 4, 32)
    low = runs & 15
    blocks["ql"] = (low[:, :, :2] | (low[:, :, 2:] << 4)).reshape(-1, 128)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    blocks["qh"] = ((runs >> 4) << shifts).sum(axis=2, dtype=np.uint8).reshape(-1, 64)


def _search_symmetric(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the scale of each part, so that q * scale is near x; errors are weighted by x².

    Returns
    -------
    scales : np.ndarray of float32, shape (n_parts,)
    q : np.ndarray of float32, shape (16, n_parts)
        From -32 to 31.
    """
    largest = x[np.abs(x).argmax(axis=0), np.arange(x.shape[1])]
    is_zero = np.abs(largest) < _TOO_SMALL
    weights = x * x
    weighted = weights * x
    scale = best = best_q = None
    for step in (0, *range(-9, 0), *range(1, 10)):
        steps_per_unit = -(_F32(32) + _F32(0.1) * _F32(step)) / largest
        q = np.clip(np.rint(steps_per_unit * x), -32, 31)
        sum_xq, sum_qq = (weighted * q).sum(axis=0), (weights * q * q).sum(axis=0)
        new_scale = np.where(sum_qq > 0, sum_xq / sum_qq, _F32(0))
        if scale is None:
            scale, best, best_q = new_scale, new_scale * sum_xq, q
            continue
        is_better = (sum_qq > 0) & (sum_xq * sum_xq > best * sum_qq)
        scale = np.where(is_better, new_scale, scale)
        best = np.where(is_better, new_scale * sum_xq, best)
        best_q = np.where(is_better, q, best_q)
    return np.where(is_zero, _F32(0), scale), np.where(is_zero, _F32(-32), best_q)
