"""RoPE: rotary position embedding, which turns queries and keys by an angle for their position.

A head of width `head_dim` is read as ``head_dim // 2`` points in the plane. The point number i of
a token at position p is turned by ``p * theta ** (-2 * i / head_dim)``: the first points spin
fast, the last ones slowly. Turning both vectors of a dot product by the same angle changes
nothing, so a score depends on the *distance* of two tokens alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log, pi

import numpy as np


@dataclass(frozen=True)
class RopeScaling:
    """How a model was stretched to contexts longer than it was first trained on.

    Attributes
    ----------
    kind : str
        ``"none"``, ``"linear"`` (all angles divided by `factor`) or ``"yarn"`` (only those of the
        slow points, which never went full circle in training).
    factor : float
        How many times longer the context became.
    original_seq_len : int
        Tokens before the stretch; read by YaRN alone.
    beta_fast, beta_slow : float
        Turns within `original_seq_len` above which YaRN keeps a point, and below which it
        stretches it wholly.
    magnitude : float
        Multiplies queries and keys.

    References
    ----------
    Chen et al. 2023, arXiv:2306.15595 (linear); Peng et al. 2023, arXiv:2309.00071 (YaRN).
    """

    kind: str = "none"
    factor: float = 1.0
    original_seq_len: int = 0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    magnitude: float = 1.0


def rope_frequencies(head_dim: int, theta: float) -> np.ndarray:
    """Return how far each pair turns from one position to the next, in radians.

    Returns
    -------
    np.ndarray of float64, shape (head_dim // 2,)

    Examples
    --------
    >>> rope_frequencies(head_dim=4, theta=10_000.0)
    array([1.  , 0.01])
    """
    return theta ** (-np.arange(0, head_dim, 2) / head_dim)


def rope_angles(n_positions: int, head_dim: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and sine of every pair's angle at the positions 0, 1, 2 and so on.

    Parameters
    ----------
    n_positions : int
    head_dim : int
        Width of one head; even.
    theta : float
        Base of the frequencies: 10,000 in Mistral 7B v0.1, a million from v0.2 on.

    Returns
    -------
    cos, sin : np.ndarray of float32, each of shape (n_positions, head_dim // 2)

    References
    ----------
    Su et al. 2021, arXiv:2104.09864, eq. 34.

    Examples
    --------
    >>> cos, sin = rope_angles(n_positions=3, head_dim=4, theta=10_000.0)
    >>> cos.round(2)
    array([[ 1.  ,  1.  ],
           [ 0.54,  1.  ],
           [-0.42,  1.  ]], dtype=float32)
    """
    angles = np.outer(np.arange(n_positions), rope_frequencies(head_dim, theta))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def apply_rope(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Turn neighbouring pairs of the last axis, as GGUF files of the ``llama`` family want it.

    Hugging Face checkpoints pair coordinate i with i + head_dim / 2 instead. Conversion to GGUF
    reorders the rows of the query and key weights, so that neighbours belong together.

    Parameters
    ----------
    x : np.ndarray, shape (n_tokens, n_heads, head_dim) or (n_tokens, head_dim)
    cos, sin : np.ndarray, shape (n_tokens, head_dim // 2)

    Returns
    -------
    np.ndarray, same shape as `x`

    Examples
    --------
    >>> cos, sin = rope_angles(n_positions=2, head_dim=2, theta=10_000.0)
    >>> apply_rope(np.array([[1.0, 0.0], [1.0, 0.0]]), cos, sin).round(2)
    array([[1.  , 0.  ],
           [0.54, 0.84]])
    """
    axes = (len(cos), *[1] * (x.ndim - 2), -1)  # one angle for all heads of a token
    cos, sin = cos.reshape(axes), sin.reshape(axes)
    even, odd = x[..., 0::2], x[..., 1::2]  # (n_tokens, n_heads, head_dim // 2)
    turned = np.empty_like(x)
    turned[..., 0::2] = even * cos - odd * sin
    turned[..., 1::2] = even * sin + odd * cos
    return turned


def engine_angles(
    positions: np.ndarray,
    head_dim: int,
    theta: float,
    scaling: RopeScaling | None = None,
    divisors: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and sine at any positions, rounded as llama.cpp rounds them.

    It gets each angle from the one before by a float32 multiplication. At position 400 that is off
    by some 1e-5 radians, and a model that shall give the same logits has to be off in the same way.

    Parameters
    ----------
    positions : np.ndarray of int, shape (n_tokens,)
    head_dim : int
    theta : float
    scaling : RopeScaling, optional
        How the model was stretched to longer contexts.
    divisors : np.ndarray, shape (head_dim // 2,), optional
        Of the angle of each pair: another way to stretch, that of Llama 3.

    Returns
    -------
    cos, sin : np.ndarray of float32, each of shape (n_tokens, head_dim // 2)
    """
    scaling = scaling or RopeScaling()
    factors = np.empty((len(positions), head_dim // 2), dtype=np.float32)
    factors[:, 0] = positions
    factors[:, 1:] = np.float32(theta) ** np.float32(-2 / head_dim)
    angles = factors.cumprod(axis=1)
    if divisors is not None:
        angles /= divisors.astype(np.float32)
    magnitude = scaling.magnitude
    if scaling.kind == "yarn" and scaling.factor != 1.0:
        kept = _share_kept(head_dim, theta, scaling).astype(np.float32)
        angles = angles * np.float32(1 / scaling.factor) * (1 - kept) + angles * kept
        magnitude *= 1 + 0.1 * log(scaling.factor)
    elif scaling.kind == "linear":
        angles *= np.float32(1 / scaling.factor)
    return np.cos(angles) * np.float32(magnitude), np.sin(angles) * np.float32(magnitude)


def _share_kept(head_dim: int, theta: float, scaling: RopeScaling) -> np.ndarray:
    """YaRN's ramp: 1 for the fast pairs, 0 for the slow ones, a straight line between."""

    def pair_with_turns(n_turns: float) -> float:
        radians = 2 * pi * n_turns
        return head_dim * log(scaling.original_seq_len / radians) / (2 * log(theta))

    first = max(0, floor(pair_with_turns(scaling.beta_fast)))
    last = min(head_dim - 1, ceil(pair_with_turns(scaling.beta_slow)))
    pairs = np.arange(head_dim // 2)
    return 1 - np.clip((pairs - first) / max(last - first, 0.001), 0, 1)
