"""Choosing the next token: filters in llama.cpp's order, Mirostat, and searches over texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.logit_filters import (
    SamplingError,
    draw,
    entropy,
    exact_softmax,
    largest_ids,
    min_p,
    repetition_penalty,
    require_logits,
    require_within,
    softmax,
    top_k,
    top_p,
    typical_p,
)
from course_lib.text_search import Beam, SpeculativeText, beam_search, speculative_decode

__all__ = [
    "Beam",
    "Mirostat",
    "Sampler",
    "SamplingError",
    "SpeculativeText",
    "beam_search",
    "draw",
    "entropy",
    "min_p",
    "repetition_penalty",
    "softmax",
    "speculative_decode",
    "top_k",
    "top_p",
    "typical_p",
]


@dataclass(frozen=True)
class Sampler:
    """Filters in llama.cpp's order, then temperature, then a draw.

    The order is: repetition penalty, top-k, typical, top-p, min-p, temperature.

    Parameters
    ----------
    temperature : float
        0 always takes the largest logit.
    top_k : int
        0 is off.
    top_p, min_p : float
        1 and 0 are off.
    repeat_penalty : float
        1 is off; looks at the last `penalty_last_n` tokens.
    typical_p : float
        1 is off.
    penalty_last_n : int

    Raises
    ------
    SamplingError
        For a setting out of range.

    Examples
    --------
    >>> sampler = Sampler(temperature=0.0)
    >>> sampler(np.array([0.1, 2.0, 1.9]), [], np.random.default_rng(0))
    1
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.1
    typical_p: float = 1.0
    penalty_last_n: int = 64

    def __post_init__(self) -> None:
        require_within("temperature", self.temperature, 0, np.inf)
        for name in ("top_p", "min_p", "typical_p"):
            require_within(name, getattr(self, name), 0, 1)
        repetition_penalty(np.zeros(1), [], self.repeat_penalty)

    def candidates(
        self, logits: np.ndarray, previous_ids: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids that may be drawn, and their probabilities.

        Returns
        -------
        ids : np.ndarray of int, shape (n,)
        probabilities : np.ndarray of float32, shape (n,)

        Raises
        ------
        SamplingError
            When `logits` hold NaN or nothing to choose from.
        """
        require_logits(logits)
        recent = previous_ids[-self.penalty_last_n :] if self.penalty_last_n > 0 else []
        logits = repetition_penalty(logits, recent, self.repeat_penalty)
        if self.temperature == 0:
            return np.array([logits.argmax()]), np.ones(1, dtype=np.float32)
        k = self.top_k if 0 < self.top_k < len(logits) else len(logits)
        ids = largest_ids(logits, k) if k < len(logits) else np.arange(k)
        kept = logits[ids]  # from here on everything is short
        for keep, p in ((typical_p, self.typical_p), (top_p, self.top_p), (min_p, self.min_p)):
            kept = keep(kept, p)
        is_kept = np.isfinite(kept)
        return ids[is_kept], softmax(kept[is_kept].astype(np.float32), self.temperature)

    def __call__(
        self, logits: np.ndarray, previous_ids: Sequence[int], rng: np.random.Generator
    ) -> int:
        """Draw a token.

        Parameters
        ----------
        logits : np.ndarray, shape (vocab_size,)
        previous_ids : sequence of int
        rng : np.random.Generator
            The same state gives the same token.
        """
        return draw(*self.candidates(logits, previous_ids), rng)


@dataclass
class Mirostat:
    """Mirostat v2: keep the surprise of the text near `tau` bits, whatever the model does.

    Tokens with a surprise above `mu` are cut off; after each draw `mu` moves by `eta` times the
    difference between the surprise that came and `tau`.

    Attributes
    ----------
    mu : float
        Present limit, in bits; starts at twice `tau`.
    surprise : float
        Of the last token, in bits, among those that were kept.

    References
    ----------
    Basu et al. 2020, arXiv:2007.14966, algorithm 2.
    """

    tau: float = 5.0
    eta: float = 0.1
    mu: float = 0.0
    surprise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.tau < np.inf or not 0 <= self.eta < np.inf:
            raise SamplingError(f"tau={self.tau} must be positive, eta={self.eta} not negative.")
        self.mu = self.mu or 2 * self.tau

    def __call__(
        self, logits: np.ndarray, previous_ids: Sequence[int], rng: np.random.Generator
    ) -> int:
        """Draw a token; `previous_ids` is not looked at."""
        require_logits(logits)
        ids = largest_ids(logits, len(logits))
        probabilities = exact_softmax(logits[ids])
        with np.errstate(divide="ignore"):
            n_kept = max(1, int((-np.log2(probabilities) <= self.mu).sum()))
        probabilities = probabilities[:n_kept] / probabilities[:n_kept].sum()
        token_id = draw(ids[:n_kept], probabilities, rng)
        self.surprise = float(-np.log2(probabilities[ids[:n_kept] == token_id][0]))
        self.mu -= self.eta * (self.surprise - self.tau)
        return token_id
