"""Several levels of one model side by side: size, memory, speed and quality."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.likelihood import kl_divergence, perplexity
from course_lib.local_llm import LocalLLM
from course_lib.memory_estimate import estimate_memory
from course_lib.progress_bar import progress_bar
from course_lib.quality_measurement import QualityCase, load_quality_cases, measure_quality
from course_lib.speed_measurement import measure_speed


@dataclass(frozen=True)
class QuantizationRow:
    """What one level of a model costs, and what it does.

    Attributes
    ----------
    level : str
    size_bytes, memory_bytes : int
        Of the file, and in memory with the context that the model was made for (at most 4096).
    prefill_tokens_per_s, decode_tokens_per_s : float
        Medians.
    perplexity, kl_divergence : float
        On the same text; the divergence is from the first level of the comparison.
    right : float
        Share of right answers, from 0 to 1.
    """

    level: str
    size_bytes: int
    memory_bytes: int
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    perplexity: float
    kl_divergence: float
    right: float


@dataclass(frozen=True)
class QuantizationComparison:
    """Levels of one model side by side; ``print(comparison)`` shows a table."""

    rows: list[QuantizationRow]

    def columns(self) -> dict[str, list[float]]:
        """Return the measures by name, for `course_lib.model_plots.plot_measures`."""
        return {
            "MB": [row.size_bytes / 1e6 for row in self.rows],
            "MB of memory": [row.memory_bytes / 1e6 for row in self.rows],
            "prefill, tokens/s": [row.prefill_tokens_per_s for row in self.rows],
            "decode, tokens/s": [row.decode_tokens_per_s for row in self.rows],
            "perplexity": [row.perplexity for row in self.rows],
            "KL divergence": [row.kl_divergence for row in self.rows],
            "right, %": [100 * row.right for row in self.rows],
        }

    def __str__(self) -> str:
        columns = self.columns()
        head = ["level", *columns]
        cells = [[f"{value:.4g}" for value in values] for values in zip(*columns.values())]
        table = [head, *([row.level, *line] for row, line in zip(self.rows, cells))]
        widths = [max(map(len, column)) for column in zip(*table)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in table
        )


def compare_quantizations(
    paths: Mapping[str, str | os.PathLike[str]],
    *,
    text: str | Sequence[str] | None = None,
    cases: Iterable[QualityCase | Mapping[str, Any]] | None = None,
) -> QuantizationComparison:
    """Measure several levels of one model: size, memory, speed and quality.

    Parameters
    ----------
    paths : mapping from level to path
        The first one is the reference of the divergence.
    text : str or sequence of str, optional
        For perplexity and divergence; the course's own answers when left out.
    cases : iterable of QualityCase, optional
        Questions; every seventh of the course's own when left out.

    Returns
    -------
    QuantizationComparison

    Raises
    ------
    ValueError
        When there is no path.
    EngineError, InvalidGGUFError, FileNotFoundError, IsADirectoryError, PermissionError
        As `LocalLLM` and `perplexity`.
    """
    if not paths:
        raise ValueError("there is nothing to compare: give a path for each level.")
    known = load_quality_cases()
    cases = known[::7] if cases is None else list(cases)
    text = _answers(known)[::8] if text is None else text
    reference = next(iter(paths.values()))
    prompts = [story[: len(story) // 2] for story in sorted(_answers(known), key=len)[-6:]]
    rows = []
    for level, path in progress_bar(paths.items(), unit="level"):
        with LocalLLM(path) as llm:
            speed = measure_speed(llm, prompts, max_tokens=16, repeats=1)
            right = measure_quality(llm, cases).share
            n_ctx = llm.n_ctx
        rows.append(
            QuantizationRow(
                level=level,
                size_bytes=Path(path).stat().st_size,
                memory_bytes=estimate_memory(path, n_ctx=n_ctx).total,
                prefill_tokens_per_s=speed.prefill_tokens_per_s.median,
                decode_tokens_per_s=speed.decode_tokens_per_s.median,
                perplexity=perplexity(path, text),
                kl_divergence=kl_divergence(reference, path, text),
                right=right,
            )
        )
    return QuantizationComparison(rows)


def _answers(cases: Sequence[QualityCase]) -> list[str]:
    """Collect every answer that a conversation of the questions holds."""
    turns = (message for case in cases for message in case.messages)
    return sorted({turn["content"] for turn in turns if turn["role"] == "assistant"})
