"""How well a model predicts a text, and how far its predictions are from another model's."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from course_lib.engine_logits import engine_window_logits


def perplexity(path: str | os.PathLike[str], text: str | Sequence[str]) -> float:
    """Return how many tokens a model hesitates between, on average, at each token of a text.

    It is the exponential of the mean surprise, in nats, of every token but the first of a window
    (512 tokens, or the model's context when that is shorter, each begun with ``<s>``): 1 for a
    model that always knew, `vocab_size` for one that knows nothing.

    Parameters
    ----------
    path : str or path-like
        Of a GGUF; llama.cpp runs it.
    text : str or sequence of str
        Of several texts, each is read by itself.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When the text is too short for a token to be predicted.
    EngineError, InvalidGGUFError, FileNotFoundError, IsADirectoryError, PermissionError
        As `engine_logits`.

    References
    ----------
    Jelinek et al. 1977, "Perplexity, a measure of the difficulty of speech recognition tasks".

    Examples
    --------
    >>> from course_lib import TINY_MODEL_PATH
    >>> round(perplexity(TINY_MODEL_PATH, "The capital of France is Paris."), 1)
    2.4
    """
    surprises = [
        -_log_probabilities(logits)[np.arange(len(ids) - 1), ids[1:]]
        for ids, logits in engine_window_logits(path, text)
    ]
    return float(np.exp(_mean(surprises)))


def kl_divergence(
    reference: str | os.PathLike[str], path: str | os.PathLike[str], text: str | Sequence[str]
) -> float:
    """Return how far a model's predictions are from those of a reference, in nats a token.

    The mean, over the same positions as `perplexity`, of Σ p · ln(p / q), where p are the
    reference's probabilities of the next token and q the model's. It is 0 when they are the same.
    Unlike perplexity it cannot improve by luck.

    Parameters
    ----------
    reference, path : str or path-like
        Two GGUF files with the same vocabulary; llama.cpp runs both. Raises what `perplexity`
        raises, and ValueError for different vocabularies.
    text : str or sequence of str
        Of several texts, each is read by itself.

    Returns
    -------
    float

    References
    ----------
    Kullback & Leibler 1951, "On information and sufficiency".

    Examples
    --------
    >>> from course_lib import TINY_MODEL_PATH
    >>> kl_divergence(TINY_MODEL_PATH, TINY_MODEL_PATH, "The capital of France is Paris.")
    0.0
    """
    divergences = []
    windows = zip(engine_window_logits(reference, text), engine_window_logits(path, text))
    for (ids, expected), (other_ids, found) in windows:
        if ids != other_ids or expected.shape != found.shape:
            raise ValueError(f"{reference} and {path} cut the text into different tokens.")
        log_p, log_q = _log_probabilities(expected), _log_probabilities(found)
        divergences.append((np.exp(log_p) * (log_p - log_q)).sum(axis=-1))
    return float(_mean(divergences))


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Log-softmax of all rows that have a next token, shape (n_tokens - 1, vocab_size)."""
    scores = logits[:-1].astype(np.float64)
    scores -= scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def _mean(parts: list[np.ndarray]) -> float:
    values = np.concatenate(parts) if parts else np.empty(0)
    if not values.size:
        raise ValueError("the text is too short: no token of it has one before it.")
    return float(values.mean())
