"""From logits to the next token."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Turn scores into probabilities, along the last axis.

    Parameters
    ----------
    logits : np.ndarray, shape (..., n)
        ``-inf`` marks what must not be chosen.
    temperature : float
        Above 1 evens the probabilities out, below 1 sharpens them.

    Returns
    -------
    np.ndarray, shape (..., n)

    Examples
    --------
    >>> softmax(np.array([1000.0, 999.0, -np.inf])).round(3)
    array([0.731, 0.269, 0.   ])
    """
    scores = logits - logits.max(axis=-1, keepdims=True)  # exp() overflows float32 above 88
    if temperature != 1.0:
        scores /= temperature
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores
