"""What one generation has taken: tokens and seconds, reading and writing apart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class GenerationUsage:
    """Tokens and seconds of one text.

    Attributes
    ----------
    n_prompt : int
        Tokens of the prompt.
    n_reused : int
        Those of them that the model had in its cache already.
    n_new : int
        Tokens that were computed, an end token among them.
    first_token_s : float
        From the beginning to the first new token: prefill.
    decode_s : float
        For all further tokens.
    """

    n_prompt: int
    n_reused: int = 0
    n_new: int = 0
    first_token_s: float = 0.0
    decode_s: float = 0.0

    @property
    def prefill_tokens_per_s(self) -> float:
        """Prompt tokens read in a second."""
        return (self.n_prompt - self.n_reused) / self.first_token_s

    @property
    def decode_tokens_per_s(self) -> float:
        """New tokens written in a second, without the first; NaN when there was only one.

        Examples
        --------
        >>> usage = GenerationUsage(n_prompt=5, n_new=9, first_token_s=0.1, decode_s=0.2)
        >>> usage.decode_tokens_per_s
        40.0
        """
        return (self.n_new - 1) / self.decode_s if self.decode_s else float("nan")

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the token that is computed meanwhile, and its time."""
        started_s = time.perf_counter()
        yield
        elapsed_s = time.perf_counter() - started_s
        self.n_new += 1
        if self.n_new == 1:
            self.first_token_s = elapsed_s
        else:
            self.decode_s += elapsed_s
