"""Attention: every token takes a weighted mean of what the tokens before it offer."""

from __future__ import annotations

from math import sqrt

import numpy as np

from course_lib.sampling import softmax


def scaled_dot_product_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mix the values by how well each query matches each key.

    Parameters
    ----------
    q : np.ndarray, shape (..., n_queries, head_dim)
        Leading axes, such as the heads, are computed side by side.
    k, v : np.ndarray, shape (..., n_keys, head_dim)
    mask : np.ndarray, shape (n_queries, n_keys), optional
        Added to the scores: 0 where a query may look, ``-inf`` where not.

    Returns
    -------
    output : np.ndarray, shape (..., n_queries, head_dim)
    weights : np.ndarray, shape (..., n_queries, n_keys)
        Each row sums to 1.

    References
    ----------
    Vaswani et al. 2017, arXiv:1706.03762, eq. 1.

    Examples
    --------
    >>> x = np.eye(2)
    >>> output, weights = scaled_dot_product_attention(x, x, x, causal_mask(2))
    >>> weights.round(2)
    array([[1.  , 0.  ],
           [0.33, 0.67]])
    """
    scores = q @ k.swapaxes(-1, -2)
    scores *= 1 / sqrt(q.shape[-1])  # else their variance grows with head_dim
    if mask is not None:
        scores += mask
    weights = softmax(scores)
    return weights @ v, weights


def causal_mask(n: int) -> np.ndarray:
    """Let each of `n` tokens look at itself and those before it.

    Returns
    -------
    np.ndarray of float32, shape (n, n)

    Examples
    --------
    >>> causal_mask(2)
    array([[  0., -inf],
           [  0.,   0.]], dtype=float32)
    """
    return position_mask(np.arange(n), np.arange(n))


def sliding_window_mask(n: int, window: int) -> np.ndarray:
    """Let each of `n` tokens look at the last `window` tokens, itself among them.

    Returns
    -------
    np.ndarray of float32, shape (n, n)

    References
    ----------
    Jiang et al. 2023, arXiv:2310.06825, section 2.

    Examples
    --------
    >>> sliding_window_mask(3, window=2)
    array([[  0., -inf, -inf],
           [  0.,   0., -inf],
           [-inf,   0.,   0.]], dtype=float32)
    """
    return position_mask(np.arange(n), np.arange(n), window)


def position_mask(
    query_positions: np.ndarray, key_positions: np.ndarray, window: int | None = None
) -> np.ndarray:
    """Build the mask for tokens at any positions, such as those kept in a cache.

    Parameters
    ----------
    query_positions : np.ndarray of int, shape (n_queries,)
    key_positions : np.ndarray of int, shape (n_keys,)
    window : int, optional
        How many tokens back a query may look, itself among them; None for all of them.

    Returns
    -------
    np.ndarray of float32, shape (n_queries, n_keys)
    """
    distance = query_positions[:, None] - key_positions[None, :]
    visible = distance >= 0
    if window is not None:
        visible &= distance < window
    return np.where(visible, np.float32(0), np.float32(-np.inf))


def repeat_kv(x: np.ndarray, n_rep: int) -> np.ndarray:
    """Give each group of query heads its own copy of the key or value head that they share.

    Parameters
    ----------
    x : np.ndarray, shape (n_tokens, n_kv_heads, head_dim)
    n_rep : int
        Query heads for each key-value head.

    Returns
    -------
    np.ndarray, shape (n_tokens, n_kv_heads * n_rep, head_dim)

    References
    ----------
    Ainslie et al. 2023, arXiv:2305.13245.

    Examples
    --------
    >>> repeat_kv(np.array([[[1], [2]]]), n_rep=2).ravel()
    array([1, 1, 2, 2])
    """
    return np.repeat(x, n_rep, axis=-2)
