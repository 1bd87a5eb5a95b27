"""The settings chosen for this machine against the best of a grid, and LocalLLM against its engine.

The grid goes over threads and batch. A larger model with random weights (1 GB, temporary) stands
beside tiny-mistral, because small and large models need not like the same settings.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from llama_cpp import Llama

from course_lib import TINY_MODEL_PATH
from course_lib.config import MISTRAL_7B_V03, TINY_MISTRAL
from course_lib.engine_options import EngineSettings
from course_lib.hardware import detect_hardware, recommend_settings
from course_lib.local_llm import LocalLLM
from course_lib.quiet_engine import captured_chatter
from course_lib.random_model import write_random_model
from tools.bench import Result

BATCHES = (32, 128, 512)
DECODE_SHARE, PREFILL_SHARE = 0.95, 0.90
STREAM_SHARE = 0.97
N_STREAMED = 256


def run() -> list[Result]:
    """Measure both models and the stream."""
    results = _against_grid("tiny", TINY_MODEL_PATH, n_prompt=448, n_new=48, repeats=12)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random-1gb.gguf"
        config = replace(MISTRAL_7B_V03, n_layers=7)
        write_random_model(path, config, "Q4_0", rng=np.random.default_rng(0))
        results += _against_grid("1 GB", path, n_prompt=448, n_new=8, repeats=2)
        small = Path(folder) / "random-tiny.gguf"
        write_random_model(small, TINY_MISTRAL, rng=np.random.default_rng(0))
        results.append(_stream(small))
    return results


def _against_grid(name: str, path: Path, n_prompt: int, n_new: int, repeats: int) -> list[Result]:
    """Time every setting in turn, several times, and compare the fastest with the chosen one."""
    chosen = recommend_settings(path, n_ctx=512)
    threads = range(1, detect_hardware().logical_cores + 1)
    grid = {(t, b): float("inf") for t, b in product(threads, BATCHES)}
    ours = (chosen.n_threads, chosen.n_batch)
    grid.setdefault(ours, float("inf"))
    decode_s, prefill_s = dict(grid), dict(grid)
    for _ in range(repeats):
        for n_threads, n_batch in grid:
            with _engine(path, n_threads, n_batch) as engine:
                found = _times(engine, n_prompt, n_new)
            for times, elapsed_s in zip((prefill_s, decode_s), found):
                key = n_threads, n_batch
                times[key] = min(times[key], elapsed_s)
    note = f"{ours[0]} threads, batch {ours[1]}"
    return [
        Result(
            f"decode {name} / best of grid",
            min(decode_s.values()),
            decode_s[ours],
            DECODE_SHARE,
            _best(decode_s, note),
        ),
        Result(
            f"prefill {name} / best of grid",
            min(prefill_s.values()),
            prefill_s[ours],
            PREFILL_SHARE,
            _best(prefill_s, note),
        ),
    ]


def _best(times: dict[tuple[int, int], float], note: str) -> str:
    n_threads, n_batch = min(times, key=times.__getitem__)
    return f"{note}; best: {n_threads} threads, batch {n_batch}"


@contextmanager
def _engine(path: Path, n_threads: int, n_batch: int) -> Iterator[Llama]:
    with captured_chatter():
        engine = Llama(
            str(path),
            n_ctx=512,
            n_threads=n_threads,
            n_threads_batch=n_threads,
            n_batch=n_batch,
            verbose=False,
        )
    try:
        yield engine
    finally:
        engine.close()


def _times(engine: Llama, n_prompt: int, n_new: int) -> tuple[float, float]:
    """Seconds for a prompt, and for new tokens one by one."""
    engine.eval([5, 6, 7])  # warms up
    engine.reset()
    started_s = time.perf_counter()
    engine.eval([3 + i % 200 for i in range(n_prompt)])
    middle_s = time.perf_counter()
    for i in range(n_new):
        engine.eval([5 + i % 100])
    return middle_s - started_s, time.perf_counter() - middle_s


def _stream(path: Path) -> Result:
    """Compare a stream of LocalLLM with llama-cpp-python's own, taking turns."""
    threads = detect_hardware().physical_cores
    with LocalLLM(path, EngineSettings(n_ctx=512)) as llm, _engine(path, threads, 512) as engine:
        pairs = [(_ours(llm), _theirs(engine)) for _ in range(12)][2:]
        gc.collect()
    ours_s, theirs_s = (min(times) for times in zip(*pairs))
    note = f"{1e3 * ours_s / N_STREAMED:.2f} ms a token"
    return Result("stream of 256 / barest loop", theirs_s, ours_s, STREAM_SHARE, note)


def _ours(llm: LocalLLM) -> float:
    started_s = time.perf_counter()
    pieces = list(llm.stream("▁300", max_tokens=N_STREAMED, temperature=0.0))
    elapsed_s = time.perf_counter() - started_s
    _require_full(pieces)
    return elapsed_s


def _theirs(engine: Llama) -> float:
    """The barest loop that llama-cpp-python allows."""
    ids = engine.tokenize("▁300".encode())
    engine.reset()
    started_s = time.perf_counter()
    pieces = []
    for new_id in engine.generate(ids, temp=0.0, repeat_penalty=1.0):
        pieces.append(engine.detokenize([new_id]))
        if len(pieces) == N_STREAMED:
            break
    return time.perf_counter() - started_s


def _require_full(pieces: Sequence[object]) -> None:
    if len(pieces) < 0.9 * N_STREAMED:
        raise RuntimeError(f"the random model ended its text after {len(pieces)} pieces.")
