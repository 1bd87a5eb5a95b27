"""Which tokens may be drawn: softmax, entropy, and filters that keep what llama.cpp keeps.

Filters take the logits of one position and return them with ``-inf`` where a token is rejected.
They decide in float32 and add up in llama.cpp's order, so that they keep exactly its tokens. Where
logits are equal, its choice is arbitrary; here the lower id goes first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class SamplingError(ValueError):
    """Logits or settings from which no token can be drawn."""


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Turn scores into probabilities, along the last axis.

    Parameters
    ----------
    logits : np.ndarray, shape (..., n)
        ``-inf`` marks what must not be chosen.
    temperature : float
        Above 1 evens the probabilities out, below 1 sharpens them; 0 gives all to the largest.

    Returns
    -------
    np.ndarray, shape (..., n)

    Raises
    ------
    SamplingError
        For NaN, ``+inf``, nothing but ``-inf``, or a negative temperature.

    Examples
    --------
    >>> softmax(np.array([1000.0, 999.0, -np.inf])).round(3)
    array([0.731, 0.269, 0.   ])
    """
    largest = logits.max(axis=-1, keepdims=True)
    if not np.isfinite(largest).all():
        raise SamplingError(f"the largest logit is {largest.ravel()[0]}: there is none to choose.")
    scores = logits - largest  # exp() overflows float32 above 88
    if temperature != 1.0:
        require_within("temperature", temperature, 0, np.inf)
        if temperature == 0:
            scores = np.where(
                np.arange(logits.shape[-1]) == logits.argmax(-1)[..., None], 0, -np.inf
            )
        else:
            scores /= temperature
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def entropy(probabilities: np.ndarray) -> float:
    """Return the mean surprise of a distribution, in bits.

    Parameters
    ----------
    probabilities : np.ndarray, shape (n,)

    Examples
    --------
    >>> entropy(np.array([0.5, 0.25, 0.25, 0.0]))
    1.5
    """
    positive = probabilities[probabilities > 0]
    return float((positive * np.log2(1 / positive)).sum())


def top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """Keep the `k` largest logits; 0 or less keeps all.

    Examples
    --------
    >>> top_k(np.array([1.0, 3.0, 2.0]), 2)
    array([-inf,   3.,   2.])
    """
    require_logits(logits)
    if k <= 0 or k >= len(logits):
        return logits
    return _only(logits, largest_ids(logits, k))


def top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """Keep the fewest tokens whose probabilities add up to at least `p`; 1 keeps all.

    References
    ----------
    Holtzman et al. 2019, arXiv:1904.09751, section 3.1.

    Examples
    --------
    >>> top_p(np.log([0.5, 0.3, 0.2]), 0.7).round(2)
    array([-0.69, -1.2 ,  -inf])
    """
    require_logits(logits)
    require_within("p", p, 0, 1)
    if p >= 1:
        return logits
    probabilities = exact_softmax(logits)
    n = min(256, len(logits))  # sorting all is seldom needed
    while True:
        ids = largest_ids(logits, n)
        n_kept = _n_to_reach(probabilities[ids], p)
        if n_kept <= n or n == len(logits):
            return _only(logits, ids[:n_kept])
        n = min(8 * n, len(logits))


def min_p(logits: np.ndarray, p: float) -> np.ndarray:
    """Keep tokens with at least `p` times the probability of the likeliest; 0 keeps all.

    References
    ----------
    Nguyen et al. 2024, arXiv:2407.01082.

    Examples
    --------
    >>> min_p(np.log([0.5, 0.3, 0.2]), 0.5).round(2)
    array([-0.69, -1.2 ,  -inf])
    """
    require_logits(logits)
    require_within("p", p, 0, 1)
    if p == 0:
        return logits
    least = np.float32(logits.max()) + np.log(np.float32(p))
    return np.where(logits.astype(np.float32) >= least, logits, -np.inf).astype(logits.dtype)


def typical_p(logits: np.ndarray, p: float) -> np.ndarray:
    """Keep tokens whose surprise is nearest to the mean, until they add up to more than `p`.

    1 keeps all. llama.cpp's own choice is arbitrary when a probability is 0, since it computes
    with the logarithm of 0 there; here such tokens are the last to be kept.

    References
    ----------
    Meister et al. 2022, arXiv:2202.00666, section 3.

    Examples
    --------
    >>> typical_p(np.log([0.6, 0.3, 0.1]), 0.5).round(2)
    array([-0.51, -1.2 ,  -inf])
    """
    require_logits(logits)
    require_within("p", p, 0, 1)
    if p >= 1:
        return logits
    by_size = largest_ids(logits, len(logits))
    probabilities = exact_softmax(logits[by_size])
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = -np.log(probabilities.astype(np.float64)).astype(np.float32)
        mean = _running_sum(np.where(probabilities > 0, probabilities * surprise, 0))[-1]
    order = np.argsort(np.abs(surprise - mean), kind="stable")
    running = _running_sum(probabilities[order])
    n_kept = int((running <= np.float32(p)).sum()) + 1
    return _only(logits, by_size[order[:n_kept]])


def repetition_penalty(
    logits: np.ndarray, previous_ids: Sequence[int], penalty: float
) -> np.ndarray:
    """Make every token that has been written less likely; 1 changes nothing.

    A positive logit is divided by `penalty`, a negative one multiplied: both get smaller.

    Raises
    ------
    SamplingError
        For a penalty of 0 or less, or an id outside the vocabulary.

    References
    ----------
    Keskar et al. 2019, arXiv:1909.05858, section 4.1 (which only divides).

    Examples
    --------
    >>> repetition_penalty(np.array([2.0, -2.0, 1.0]), [0, 1, 1], 2.0)
    array([ 1., -4.,  1.])
    """
    if not 0 < penalty < np.inf:
        raise SamplingError(f"penalty={penalty} must be a positive number; 1 changes nothing.")
    ids = np.unique(np.asarray(previous_ids, dtype=np.int64))
    if ids.size and not 0 <= ids[0] <= ids[-1] < len(logits):
        raise SamplingError(f"previous_ids has {ids[-1]}; ids go from 0 to {len(logits) - 1}.")
    changed = logits.copy()
    old = logits[ids]
    changed[ids] = np.where(old > 0, old / logits.dtype.type(penalty), old * penalty)
    return changed


def draw(ids: np.ndarray, probabilities: np.ndarray, rng: np.random.Generator) -> int:
    """Draw one of `ids` with the given probabilities.

    Examples
    --------
    >>> draw(np.array([7, 9]), np.array([0.0, 1.0]), np.random.default_rng(0))
    9
    """
    running = np.cumsum(probabilities, dtype=np.float64)
    return int(ids[np.searchsorted(running, rng.random() * running[-1], side="right")])


def largest_ids(logits: np.ndarray, n: int) -> np.ndarray:
    """Ids of the `n` largest logits, largest first, equal ones by id."""
    if n >= len(logits):
        return np.argsort(-logits, kind="stable")
    limit = np.partition(logits, len(logits) - n)[len(logits) - n]
    above = np.flatnonzero(logits > limit)
    ids = np.concatenate([above, np.flatnonzero(logits == limit)[: n - len(above)]])
    return ids[np.argsort(-logits[ids], kind="stable")]


def exact_softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax in float32, with the roundings of llama.cpp: exact exp, sums from left to right."""
    shifted = logits.astype(np.float32) - np.float32(logits.max())
    powers = np.exp(shifted.astype(np.float64)).astype(np.float32)
    return powers / _running_sum(powers)[-1]


def _running_sum(x: np.ndarray) -> np.ndarray:
    return np.cumsum(x, dtype=np.float32)


def _n_to_reach(probabilities: np.ndarray, p: float) -> int:
    """How many it takes to add up to `p`; one more than there are if all do not reach it."""
    return int((_running_sum(probabilities) < np.float32(p)).sum()) + 1


def _only(logits: np.ndarray, ids: np.ndarray) -> np.ndarray:
    kept = np.full_like(logits, -np.inf)
    kept[ids] = logits[ids]
    return kept


def require_logits(logits: np.ndarray) -> None:
    """Raise SamplingError unless these are the logits of one position, with one to choose."""
    if logits.ndim != 1 or not np.isfinite(logits.max(initial=-np.inf)):
        raise SamplingError(
            f"logits of shape {logits.shape} with the maximum {logits.max(initial=-np.inf)}: "
            "one row of numbers is needed, without NaN and not all -inf."
        )


def require_within(name: str, value: float, least: float, most: float) -> None:
    """Raise SamplingError unless a setting is a finite number within its limits."""
    if not least <= value <= most or value == np.inf:
        raise SamplingError(f"{name}={value} must lie between {least} and {most}.")
