"""RMSNorm: bring every token vector to the same length before a layer reads it."""

from __future__ import annotations

import numpy as np


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """Scale each vector of `x` to a root mean square of 1, then by `weight`.

    Parameters
    ----------
    x : np.ndarray, shape (..., dim)
    weight : np.ndarray, shape (dim,)
        What the model learnt to stretch each coordinate by.
    eps : float
        Keeps the division safe when a vector is zero.

    Returns
    -------
    np.ndarray, shape (..., dim)

    References
    ----------
    Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4.

    Examples
    --------
    >>> rms_norm(np.array([3.0, 4.0]), np.ones(2)).round(2)
    array([0.85, 1.13])
    """
    mean_square = (x * x).mean(axis=-1, keepdims=True)
    return x / np.sqrt(mean_square + eps) * weight
