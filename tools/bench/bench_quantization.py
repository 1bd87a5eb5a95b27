"""Quantizing and dequantizing, against the `gguf` package where it can, and against a bar."""

from __future__ import annotations

import gguf
import numpy as np

from course_lib.quantization import dequantize, quantize
from tools.bench import Result, timed

N_MEGABYTES = 16  # of float32
K_QUANT_MB_PER_S = 15.0
REPEATS = 5


def run() -> list[Result]:
    """Work through the formats on normally distributed weights."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N_MEGABYTES * 256, 1024)).astype(np.float32)
    n_mb = x.nbytes / 1e6
    results = []
    for name in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"):
        tensor_type = gguf.GGMLQuantizationType[name]
        theirs_s, _ = timed(lambda: gguf.quants.quantize(x, tensor_type), REPEATS)  # noqa: B023
        ours_s, _ = timed(lambda: quantize(x, name), REPEATS)  # noqa: B023
        note = f"{n_mb / ours_s:.0f} MB/s"
        results.append(Result(f"quantize {name} / gguf package", theirs_s, ours_s, 1.0, note))
    for name in ("Q4_K", "Q5_K", "Q6_K"):
        ours_s, blocks = timed(lambda: quantize(x, name), 2)  # noqa: B023
        note = f"{n_mb / ours_s:.0f} MB/s"
        bar_s = n_mb / K_QUANT_MB_PER_S
        results.append(Result(f"quantize {name} / 15 MB/s", bar_s, ours_s, 1.0, note))
    for name in ("Q8_0", "Q4_0", "Q4_K", "Q6_K"):
        tensor_type = gguf.GGMLQuantizationType[name]
        blocks = quantize(x, name)
        theirs_s, _ = timed(lambda: gguf.quants.dequantize(blocks, tensor_type), REPEATS)  # noqa: B023
        ours_s, _ = timed(lambda: dequantize(blocks, name), REPEATS)  # noqa: B023
        note = f"{n_mb / ours_s:.0f} MB/s"
        results.append(Result(f"dequantize {name} / gguf package", theirs_s, ours_s, None, note))
    return results
