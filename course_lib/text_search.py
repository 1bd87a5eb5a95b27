"""More than one token at a time: beam search, and a small model that writes ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.logit_filters import SamplingError, draw, largest_ids, softmax


@dataclass(frozen=True)
class Beam:
    """A continuation and how likely it is.

    Attributes
    ----------
    ids : tuple of int
        The new tokens; the token that ends a text is the last of a finished one.
    log_probability : float
        Sum of the natural logarithms of their probabilities.
    is_finished : bool
    """

    ids: tuple[int, ...]
    log_probability: float
    is_finished: bool = False


def beam_search(
    next_logits: Callable[[list[int]], np.ndarray],
    ids: Sequence[int],
    width: int,
    max_tokens: int,
    *,
    eos_id: int | None = None,
) -> list[Beam]:
    """Follow the `width` likeliest continuations side by side.

    Parameters
    ----------
    next_logits : callable
        Takes all ids so far; returns the logits of the next token, shape (vocab_size,).
    ids : sequence of int
        The prompt.
    width : int
        1 is greedy decoding.
    max_tokens : int
    eos_id : int, optional
        Ends a continuation.

    Returns
    -------
    list of Beam
        At most `width`, the likeliest first.

    Raises
    ------
    SamplingError
        For a width below 1.

    Examples
    --------
    >>> [best] = beam_search(lambda ids: np.array([0.0, 1.0]), [0], width=1, max_tokens=3)
    >>> best.ids
    (1, 1, 1)
    """
    if width < 1:
        raise SamplingError(f"width={width}: at least one beam is needed.")
    beams = [Beam((), 0.0)]
    for _ in range(max_tokens):
        if all(beam.is_finished for beam in beams):
            break
        grown = [new for beam in beams for new in _grow(beam, next_logits, ids, width, eos_id)]
        beams = sorted(grown, key=lambda beam: -beam.log_probability)[:width]
    return beams


def _grow(
    beam: Beam,
    next_logits: Callable[[list[int]], np.ndarray],
    ids: Sequence[int],
    width: int,
    eos_id: int | None,
) -> list[Beam]:
    """Return the `width` likeliest ways to go on, or the beam itself if it is finished."""
    if beam.is_finished:
        return [beam]
    probabilities = softmax(next_logits([*ids, *beam.ids]).astype(np.float64))
    with np.errstate(divide="ignore"):
        return [
            Beam(
                (*beam.ids, int(i)),
                beam.log_probability + float(np.log(probabilities[i])),
                is_finished=int(i) == eos_id,
            )
            for i in largest_ids(probabilities, width)
        ]


@dataclass(frozen=True)
class SpeculativeText:
    """What speculative decoding wrote, and how well the draft guessed.

    Attributes
    ----------
    ids : list of int
        The new tokens.
    n_drafted, n_accepted : int
        Tokens that the draft proposed, and those that the target took.
    n_passes : int
        Passes of the target model; without a draft there would be one for each token.
    """

    ids: list[int]
    n_drafted: int
    n_accepted: int
    n_passes: int

    @property
    def n_tokens(self) -> int:
        """Number of new tokens."""
        return len(self.ids)

    @property
    def acceptance_rate(self) -> float:
        """Share of the proposals that were accepted."""
        return self.n_accepted / max(self.n_drafted, 1)


def speculative_decode(
    target: Callable[[list[int]], np.ndarray],
    draft: Callable[[list[int]], np.ndarray],
    ids: Sequence[int],
    max_tokens: int,
    *,
    rng: np.random.Generator,
    n_draft: int = 4,
    temperature: float = 1.0,
    eos_id: int | None = None,
) -> SpeculativeText:
    """Let a small model write ahead, and a large one check several tokens in one pass.

    A proposal is accepted with the probability p / q, where p is what the target gives it and q
    what the draft gave it. At the first refusal the token is drawn from what p has more than q. So
    the text is distributed exactly as if the target had written it alone.

    Parameters
    ----------
    target, draft : callable
        Take all ids so far; return the logits after each of them, shape (n_tokens, vocab_size).
    ids : sequence of int
        The prompt.
    max_tokens : int
    rng : np.random.Generator
    n_draft : int
        Tokens that the draft proposes before each check.
    temperature : float
    eos_id : int, optional
        Ends the text, and is its last token.

    Raises
    ------
    SamplingError
        For `n_draft` below 1.

    References
    ----------
    Leviathan et al. 2022, arXiv:2211.17192, algorithm 1.
    """
    if n_draft < 1:
        raise SamplingError(f"n_draft={n_draft}: the draft has to propose at least one token.")
    text, n_drafted, n_accepted, n_passes = list(ids), 0, 0, 0
    end = len(text) + max_tokens
    while len(text) < end and not (n_passes and text[-1] == eos_id):
        n = min(n_draft, end - len(text))
        proposed, q = _propose(draft, text, n, temperature, rng)
        p = softmax(target([*text, *proposed])[-n - 1 :].astype(np.float64), temperature)
        accepted = _check(proposed, p, q, rng)
        text += accepted
        n_drafted, n_passes = n_drafted + n, n_passes + 1
        n_accepted += sum(a == b for a, b in zip(accepted, proposed))
        if eos_id in accepted:
            del text[len(text) - len(accepted) + accepted.index(eos_id) + 1 :]
    return SpeculativeText(text[len(ids) : end], n_drafted, n_accepted, n_passes)


def _propose(
    draft: Callable[[list[int]], np.ndarray],
    text: list[int],
    n: int,
    temperature: float,
    rng: np.random.Generator,
) -> tuple[list[int], np.ndarray]:
    """Let the draft write `n` tokens; returns them and its distributions, (n, vocab_size)."""
    proposed, distributions = [], []
    for _ in range(n):
        q = softmax(draft([*text, *proposed])[-1].astype(np.float64), temperature)
        proposed.append(draw(np.arange(len(q)), q, rng))
        distributions.append(q)
    return proposed, np.stack(distributions)


def _check(
    proposed: list[int], p: np.ndarray, q: np.ndarray, rng: np.random.Generator
) -> list[int]:
    """Return the accepted proposals and one token of the target's own."""
    every_id = np.arange(p.shape[-1])
    for n, token_id in enumerate(proposed):
        if rng.random() * q[n, token_id] >= p[n, token_id]:
            missing = np.maximum(p[n] - q[n], 0)
            return [*proposed[:n], draw(every_id, missing, rng)]
    return [*proposed, draw(every_id, p[len(proposed)], rng)]
