"""SwiGLU: the layer that works on each token by itself."""

from __future__ import annotations

import numpy as np


def silu(x: np.ndarray) -> np.ndarray:
    """Let large values pass and small ones fade: ``x * sigmoid(x)``.

    Examples
    --------
    >>> silu(np.array([-100.0, 0.0, 1.0, 100.0])).round(3)
    array([ -0.   ,   0.   ,   0.731, 100.   ])
    """
    with np.errstate(over="ignore"):  # exp(100) is inf in float32, and x / inf is 0, as wanted
        return x / (1 + np.exp(-x))


def gated(x: np.ndarray, w_gate: np.ndarray, w_up: np.ndarray) -> np.ndarray:
    """Widen each vector twice, and let one version gate the other.

    Parameters
    ----------
    x : np.ndarray, shape (..., dim)
    w_gate, w_up : np.ndarray, shape (hidden_dim, dim)

    Returns
    -------
    np.ndarray, shape (..., hidden_dim)
    """
    return silu(x @ w_gate.T) * (x @ w_up.T)


def swiglu(x: np.ndarray, w_gate: np.ndarray, w_up: np.ndarray, w_down: np.ndarray) -> np.ndarray:
    """Widen each vector twice, let one version gate the other, and narrow the product.

    Parameters
    ----------
    x : np.ndarray, shape (..., dim)
    w_gate, w_up : np.ndarray, shape (hidden_dim, dim)
    w_down : np.ndarray, shape (dim, hidden_dim)

    Returns
    -------
    np.ndarray, shape (..., dim)

    References
    ----------
    Shazeer 2020, arXiv:2002.05202, eq. 6.

    Examples
    --------
    >>> swiglu(np.array([[1.0]]), np.array([[1.0]]), np.array([[2.0]]), np.array([[3.0]])).round(2)
    array([[4.39]])
    """
    return gated(x, w_gate, w_up) @ w_down.T
