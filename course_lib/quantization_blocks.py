"""What a block of each format holds, byte by byte."""

from __future__ import annotations

import numpy as np

BLOCKS = {
    "F32": np.dtype([("x", "<f4")]),
    "F16": np.dtype([("x", "<f2")]),
    "BF16": np.dtype([("x", "<u2")]),
    "Q8_0": np.dtype([("d", "<f2"), ("qs", "i1", 32)]),
    "Q4_0": np.dtype([("d", "<f2"), ("qs", "u1", 16)]),
    "Q4_1": np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", 16)]),
    "Q5_0": np.dtype([("d", "<f2"), ("qh", "<u4"), ("qs", "u1", 16)]),
    "Q5_1": np.dtype([("d", "<f2"), ("m", "<f2"), ("qh", "<u4"), ("qs", "u1", 16)]),
    "Q4_K": np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qs", "u1", 128)]),
    "Q5_K": np.dtype(
        [("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qh", "u1", 32), ("qs", "u1", 128)]
    ),
    "Q6_K": np.dtype([("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), ("d", "<f2")]),
}
"""The fields of a block in their order. `d` and `m` scale and shift, `q…` hold the numbers."""

N_WEIGHTS = {name: 1 if "F" in name else 256 if "K" in name else 32 for name in BLOCKS}
"""Weights in a block."""


class QuantizationError(ValueError):
    """Weights that cannot be stored, or bytes that are no blocks."""


def require_format(name: str) -> None:
    """Raise QuantizationError for an unknown format."""
    if name not in BLOCKS:
        raise QuantizationError(f"no format {name!r}. Choose one of: {', '.join(BLOCKS)}.")


def require_weights(x: np.ndarray, name: str) -> None:
    """Raise QuantizationError unless `x` holds rows of numbers that a format can store."""
    require_format(name)
    if not isinstance(x, np.ndarray) or x.dtype != np.float32 or x.ndim != 2:
        found = f"{x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise QuantizationError(
            f"a float32 array of shape (n_rows, n_cols) is needed, not {found}."
        )
    if x.shape[1] == 0 or x.shape[1] % N_WEIGHTS[name]:
        raise QuantizationError(
            f"rows of {x.shape[1]} cannot be cut into blocks of {N_WEIGHTS[name]}, as {name} needs."
        )
    if not np.isfinite(x).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(x))[0]))
        raise QuantizationError(f"the weight at {where} is {x[where]}. Only numbers can be stored.")


def unpack_nibbles(qs: np.ndarray) -> np.ndarray:
    """Split bytes (n, k) into numbers from 0 to 15, (n, 2 * k): low halves first."""
    return np.concatenate([qs & 15, qs >> 4], axis=-1)
