"""How fast a model reads and writes: medians of repeated runs, each token counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from course_lib.progress_bar import progress_bar

if TYPE_CHECKING:
    from course_lib.generation_usage import GenerationUsage
    from course_lib.local_llm import LocalLLM


@dataclass(frozen=True)
class Spread:
    """The median of some runs, and the range in which the middle half of them lies."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} … {self.high:.3g})"


@dataclass(frozen=True)
class SpeedReport:
    """What a model does in a second.

    Attributes
    ----------
    prefill_tokens_per_s, decode_tokens_per_s : Spread
        Of the prompt and of the answer. Prompts are read from their beginning each time.
    time_to_first_token_s : Spread
    n_prompt_tokens, n_new_tokens : int
        Of all runs that were counted, without the warm-up.
    n_runs : int
    """

    prefill_tokens_per_s: Spread
    decode_tokens_per_s: Spread
    time_to_first_token_s: Spread
    n_prompt_tokens: int
    n_new_tokens: int
    n_runs: int


def measure_speed(
    model: LocalLLM, prompts: str | Iterable[str], max_tokens: int = 64, *, repeats: int = 3
) -> SpeedReport:
    """Let a model continue prompts, and measure reading and writing apart.

    One run warms up and does not count. All answers are greedy.

    Parameters
    ----------
    model : LocalLLM
    prompts : str or iterable of str
    max_tokens : int
        Where answers stop; at least 2, or nothing is decoded.
    repeats : int
        Runs of each prompt.

    Returns
    -------
    SpeedReport

    Raises
    ------
    ValueError
        When there is no prompt, or no answer has two tokens.

    Examples
    --------
    >>> from course_lib.local_llm import LocalLLM
    >>> with LocalLLM("tiny") as llm:
    ...     report = measure_speed(llm, ["나는", "The capital of"], max_tokens=8)
    >>> report.n_runs
    6
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not prompts or max_tokens < 2 or repeats < 1:
        raise ValueError("a measurement needs a prompt, max_tokens of 2 or more, and a run.")
    _run(model, prompts[0], max_tokens)
    runs = [_run(model, prompt, max_tokens) for prompt in progress_bar(prompts * repeats)]
    decoding = [run.decode_tokens_per_s for run in runs if run.n_new > 1]
    if not decoding:
        raise ValueError("every answer ended with its first token: take other prompts.")
    return SpeedReport(
        prefill_tokens_per_s=spread([run.prefill_tokens_per_s for run in runs]),
        decode_tokens_per_s=spread(decoding),
        time_to_first_token_s=spread([run.first_token_s for run in runs]),
        n_prompt_tokens=sum(run.n_prompt for run in runs),
        n_new_tokens=sum(run.n_new for run in runs),
        n_runs=len(runs),
    )


def spread(values: Iterable[float]) -> Spread:
    """Summarize some runs.

    Examples
    --------
    >>> print(spread([3, 1, 2, 9, 2]))
    2 (1.5 … 6)
    """
    ordered = sorted(values)
    half = len(ordered) // 2
    lower, upper = ordered[:half] or ordered, ordered[-half:] or ordered
    return Spread(median(ordered), median(lower), median(upper))


def _run(model: LocalLLM, prompt: str, max_tokens: int) -> GenerationUsage:
    model.forget()
    model.generate(prompt, max_tokens=max_tokens, temperature=0.0)
    if model.last_usage is None:
        raise ValueError("nothing was computed.")
    return model.last_usage
