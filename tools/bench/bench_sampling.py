"""Choosing a token from 32,000 logits, against the same chain with a full sort in each filter."""

from __future__ import annotations

import numpy as np

from course_lib.sampling import Sampler, repetition_penalty, softmax
from tools.bench import Result, timed

VOCAB_SIZE = 32_000
N_DRAWS = 50


def sort_everything(
    sampler: Sampler, logits: np.ndarray, previous_ids: list[int], rng: np.random.Generator
) -> int:
    """Do what `Sampler` does, each filter by sorting the whole vocabulary."""
    logits = repetition_penalty(logits, previous_ids, sampler.repeat_penalty)
    logits = np.where(logits >= np.sort(logits)[::-1][sampler.top_k - 1], logits, -np.inf)
    order = np.argsort(-logits)
    running = np.cumsum(softmax(logits)[order])
    rejected = order[np.searchsorted(running, sampler.top_p) + 1 :]
    logits[rejected] = -np.inf
    logits[softmax(logits) < sampler.min_p * softmax(logits).max()] = -np.inf
    return int(rng.choice(len(logits), p=softmax(logits.astype(np.float64), sampler.temperature)))


def run() -> list[Result]:
    """Draw from the same logits both ways."""
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((N_DRAWS, VOCAB_SIZE)) * 3).astype(np.float32)
    previous_ids = rng.integers(0, VOCAB_SIZE, 64).tolist()
    sampler = Sampler()
    sorted_s, _ = timed(
        lambda: [sort_everything(sampler, row, previous_ids, rng) for row in rows], 3
    )
    ours_s, _ = timed(lambda: [sampler(row, previous_ids, rng) for row in rows], 3)
    note = f"{1e6 * ours_s / N_DRAWS:.0f} µs a token"
    return [Result("sampler / full sorts", sorted_s, ours_s, 3.0, note)]
