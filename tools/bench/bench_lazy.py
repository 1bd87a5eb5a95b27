"""A model of Mistral 7B's shape in NumPy, its weights left on disk (4.1 GB, random, temporary).

Eight tokens go forward in a process of its own, whose private memory is watched: the mapped file
does not count, since the system can drop and reread its pages at any time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from course_lib.config import MISTRAL_7B_V03
from course_lib.random_model import write_random_model
from course_lib.transformer import Transformer
from tools.bench import Result

LIMIT_S = 120.0
LIMIT_GB = 2.5
N_TOKENS = 8


def run() -> list[Result]:
    """Write the model, run it in a child process, and compare with the limits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random-7b-q4_0.gguf"
        write_random_model(path, MISTRAL_7B_V03, "Q4_0", rng=np.random.default_rng(0))
        note = f"{path.stat().st_size / 1e9:.2f} GB on disk"
        command = [sys.executable, "-m", "tools.bench.bench_lazy", str(path)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        Result("lazy 7B, time / limit", LIMIT_S, found["elapsed_s"], 1.0, note),
        Result("lazy 7B, memory / limit", LIMIT_GB, found["private_gb"], 1.0, note, unit="GB"),
    ]


def forward(path: str) -> dict[str, float]:
    """Run the tokens forward and report seconds and the peak of private memory."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], _private_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started_s = time.perf_counter()
    logits = Transformer.from_gguf(path, lazy=True).forward(range(3, 3 + N_TOKENS))
    elapsed_s = time.perf_counter() - started_s
    done.set()
    watcher.join()
    assert np.isfinite(logits).all()
    return {"elapsed_s": elapsed_s, "private_gb": peak[0] / 1e9}


def _private_bytes() -> int:
    """Memory of this process without the pages of files."""
    info = psutil.Process().memory_info()
    return info.rss - getattr(info, "shared", 0)


if __name__ == "__main__":
    print(json.dumps(forward(sys.argv[1])))
