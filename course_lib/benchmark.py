"""Measure a model: its speed, how well it predicts a text, how many questions it answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from course_lib.chat_template import Message
from course_lib.engine_logits import engine_window_logits
from course_lib.progress_bar import progress_bar
from course_lib.speed_measurement import SpeedReport, Spread, measure_speed
from course_lib.speed_prediction import PredictionError, SpeedPrediction, predict_speed

__all__ = [
    "PredictionError",
    "QualityCase",
    "QualityScores",
    "SpeedPrediction",
    "SpeedReport",
    "Spread",
    "kl_divergence",
    "load_quality_cases",
    "measure_quality",
    "measure_speed",
    "perplexity",
    "predict_speed",
]

_MAX_ANSWER_TOKENS = 64


class ChatModel(Protocol):
    """What is needed of a model here: `LocalLLM` has it, and so may others."""

    def chat(self, messages: list[Message], **options: object) -> str:
        """Answer a conversation."""


@dataclass(frozen=True)
class QualityCase:
    """A question with the words that a right answer holds.

    Attributes
    ----------
    category : str
        ``"capitals"``, ``"sums"`` …
    language : str
    messages : list of {"role": ..., "content": ...}
    keywords : list of str
        Every one of them must occur in the answer.
    exact : str or None
        If given, the whole answer, but for spaces around it.
    """

    category: str
    language: str
    messages: list[Message]
    keywords: list[str]
    exact: str | None = None

    def is_answered_by(self, text: str) -> bool:
        """Tell whether `text` holds every keyword, and is the exact answer if there is one.

        Examples
        --------
        >>> QualityCase("sums", "en", [], ["12"]).is_answered_by("That is 12.")
        True
        """
        is_exact = self.exact is None or text.strip() == self.exact.strip()
        return is_exact and all(keyword in text for keyword in self.keywords)


@dataclass(frozen=True)
class QualityScores:
    """How many questions were answered rightly.

    Attributes
    ----------
    n_right, n_cases : int
    by_category : dict from category to (n_right, n_cases)
    wrong : list of (QualityCase, str)
        The questions that were not, with their answers.
    """

    n_right: int
    n_cases: int
    by_category: dict[str, tuple[int, int]]
    wrong: list[tuple[QualityCase, str]]

    @property
    def share(self) -> float:
        """The share of right answers, from 0 to 1."""
        return self.n_right / self.n_cases


def load_quality_cases(path: str | os.PathLike[str] | None = None) -> list[QualityCase]:
    """Read questions from a file with one JSON object a line; the course's own by default.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        With the number of the line that is no question.

    Examples
    --------
    >>> case = load_quality_cases()[0]
    >>> case.category, case.language
    ('capitals', 'en')
    """
    path = Path(path) if path is not None else Path(__file__).parent / "data/quality_cases.jsonl"
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            cases.append(_case(json.loads(line)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"line {number} of {path} is not a question: {error}") from None
    return cases


def measure_quality(
    model: ChatModel, cases: Iterable[QualityCase | Mapping[str, Any]]
) -> QualityScores:
    """Ask every question, and count the right answers. The answers are greedy.

    Parameters
    ----------
    model : LocalLLM or another ChatModel
    cases : iterable of QualityCase, or of mappings with the same names

    Returns
    -------
    QualityScores

    Raises
    ------
    ValueError
        When there are no questions, or one is incomplete.
    """
    cases = [_case(case) for case in cases]
    if not cases:
        raise ValueError("there are no questions. load_quality_cases() gives the course's own.")
    by_category: dict[str, tuple[int, int]] = {}
    wrong = []
    for case in progress_bar(cases, unit="answer"):
        text = model.chat(case.messages, max_tokens=_MAX_ANSWER_TOKENS, temperature=0.0)
        is_right = case.is_answered_by(text)
        n_right, n_cases = by_category.get(case.category, (0, 0))
        by_category[case.category] = (n_right + is_right, n_cases + 1)
        if not is_right:
            wrong.append((case, text))
    return QualityScores(len(cases) - len(wrong), len(cases), by_category, wrong)


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


def _case(case: QualityCase | Mapping[str, Any]) -> QualityCase:
    if isinstance(case, QualityCase):
        return case
    known = {field.name for field in fields(QualityCase)}
    return QualityCase(**{name: value for name, value in case.items() if name in known})
