"""How many questions a model answers rightly."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from course_lib.chat_model import ChatModel
from course_lib.chat_template import Message
from course_lib.progress_bar import progress_bar

_MAX_ANSWER_TOKENS = 64


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
            cases.append(read_case(json.loads(line)))
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
    cases = [read_case(case) for case in cases]
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


def read_case(case: QualityCase | Mapping[str, Any]) -> QualityCase:
    """Make a question of a mapping with the same names; others are ignored."""
    if isinstance(case, QualityCase):
        return case
    known = {field.name for field in fields(QualityCase)}
    return QualityCase(**{name: value for name, value in case.items() if name in known})
