"""How fast a model will be here, told from a slice of it with random weights.

What a layer costs does not depend on what its weights say. So two thin models are run, with the
shapes and formats of the large one but few layers and a small vocabulary. The bytes that one has
more than the other, and the time that it takes longer, give the time of a byte; the rest is what
every pass costs. That is extrapolated to all layers and to the full output matrix.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from course_lib.config import ModelConfig
from course_lib.engine_loading import load_engine
from course_lib.hardware import detect_hardware
from course_lib.memory_estimate import MemoryEstimate, estimate_memory
from course_lib.random_model import write_random_model
from course_lib.speed_measurement import Spread
from course_lib.tensor_layout import tensor_bytes, tensor_shapes, tensor_types

LARGEST_SLICE_BYTES = 700_000_000
_SLICE_VOCAB = 1024
_N_PROMPT = 128
_N_NEW = 12
_ROUNDS = 5
_LONGEST_S = 5.0  # after which no further round begins: another program is in the way
_MODEL_ERROR = 0.12  # of the extrapolation itself, seen on models that were measured whole
_SPARE_BYTES = 100_000_000


class PredictionError(RuntimeError):
    """A prediction that could not be made; the message says why."""


@dataclass(frozen=True)
class SpeedPrediction:
    """What a model will do on this machine.

    Attributes
    ----------
    decode_tokens_per_s, prefill_tokens_per_s : Spread
        The expected value, and the bounds of the error bar, for short texts: the longer the
        context, the more each new token has to read beside the weights.
    memory : MemoryEstimate
        With a context of 4,096 tokens.
    n_threads : int
    slice_bytes : int
        Of the larger model that was run.
    elapsed_s : float
        That the prediction took.
    """

    decode_tokens_per_s: Spread
    prefill_tokens_per_s: Spread
    memory: MemoryEstimate
    n_threads: int
    slice_bytes: int
    elapsed_s: float


def predict_speed(config: ModelConfig, quantization: str = "Q4_K_M") -> SpeedPrediction:
    """Predict the speed of a model on this machine's processor, without having it.

    Writes a temporary file of at most 700 MB and removes it, whatever happens.

    Parameters
    ----------
    config : ModelConfig
    quantization : str
        A level whose formats random weights can be written in: all but ``Q2_K`` and ``Q3_K_*``.

    Returns
    -------
    SpeedPrediction

    Raises
    ------
    PredictionError
        When there is no room for the slice, or the level cannot be tried.
    QuantizationError
        For an unknown level.
    """
    started_s = time.perf_counter()
    types = tensor_types(config, quantization)
    if {"Q2_K", "Q3_K"} & set(types.values()):
        raise PredictionError(f"{quantization} cannot be tried with random weights. Try Q4_K_M.")
    layers = _slice_layers(config, types)
    n_threads = detect_hardware().physical_cores
    # The last layer does most of its work only for tokens whose logits are wanted. It is in both
    # slices, so that does not matter, unless the thin one has no layer at all.
    options = {"n_threads": n_threads, "logits_all": not layers[0]}
    with tempfile.TemporaryDirectory(prefix="course-slice-") as folder:
        thin, thick = (
            _run_slice(Path(folder), config, types, chosen, **options) for chosen in layers
        )
    decode = _extrapolated(thin.decode, thick.decode, _pass_bytes(config, types))
    prefill = _extrapolated(thin.prefill, thick.prefill, _block_bytes(config, types))
    n_ctx = min(config.max_seq_len, 4096)
    return SpeedPrediction(
        decode_tokens_per_s=_per_second(decode, 1),
        prefill_tokens_per_s=_per_second(prefill, _N_PROMPT),
        memory=estimate_memory(config, quantization, n_ctx),
        n_threads=n_threads,
        slice_bytes=thick.decode.n_bytes,
        elapsed_s=time.perf_counter() - started_s,
    )


@dataclass(frozen=True)
class _Runs:
    """Bytes that matter for a kind of pass, and the seconds of some passes."""

    n_bytes: int
    seconds: list[float]


@dataclass(frozen=True)
class _Slice:
    decode: _Runs
    prefill: _Runs


def _slice_layers(config: ModelConfig, types: dict[str, str]) -> tuple[list[int], list[int]]:
    """Choose the layers of the thin and of the thick slice, so that both mix formats alike."""
    sizes = [_layer_bytes(config, types, layer) for layer in range(config.n_layers)]
    kinds: dict[int, list[int]] = {}
    for layer, size in enumerate(sizes):
        kinds.setdefault(size, []).append(layer)
    one_of_each = [layers[0] for layers in kinds.values()]
    n_bytes = sum(sizes[layer] for layer in one_of_each)
    n_most = max(int(LARGEST_SLICE_BYTES * 0.9) // n_bytes, 1)
    if n_bytes > LARGEST_SLICE_BYTES * 0.9:  # a single layer of each kind is too much
        one_of_each, n_most = one_of_each[:1], 1
    if sum(sizes[layer] for layer in one_of_each) > LARGEST_SLICE_BYTES:
        raise PredictionError(
            f"a single layer takes {sizes[one_of_each[0]] / 1e9:.1f} GB, more than a slice may "
            f"have ({LARGEST_SLICE_BYTES / 1e9:.1f} GB). Try a level with fewer bits."
        )
    thick = one_of_each * min(n_most, 2)
    return (one_of_each, thick) if len(thick) > len(one_of_each) else ([], one_of_each)


def _run_slice(
    folder: Path,
    config: ModelConfig,
    types: dict[str, str],
    layers: list[int],
    n_threads: int,
    logits_all: bool,
) -> _Slice:
    """Write a model of some layers, and time it."""
    is_empty = not layers
    sizes = replace(
        config,
        n_layers=max(len(layers), 1),
        vocab_size=_SLICE_VOCAB,
        hidden_dim=256 if is_empty else config.hidden_dim,
    )
    sources = layers or [0]
    names = {name: types[_in_source(name, sources)] for name in tensor_shapes(sizes)}
    path = folder / "slice.gguf"
    _require_space(folder, _pass_bytes(sizes, names))
    write_random_model(path, sizes, names, rng=np.random.default_rng(0))
    decode_s, prefill_s = [], []
    with _engine(path, n_threads, logits_all) as engine:
        engine.eval(list(range(3, 3 + _N_PROMPT)))  # warms up
        first_s = time.perf_counter()
        for _ in range(_ROUNDS):
            engine.reset()
            begin_s = time.perf_counter()
            engine.eval(list(range(3, 3 + _N_PROMPT)))
            middle_s = time.perf_counter()
            for i in range(_N_NEW):
                engine.eval([3 + i])
            decode_s.append((time.perf_counter() - middle_s) / _N_NEW)
            prefill_s.append(middle_s - begin_s)
            if time.perf_counter() - first_s > _LONGEST_S:
                break
    path.unlink()
    return _Slice(
        decode=_Runs(_pass_bytes(sizes, names), decode_s),
        prefill=_Runs(_block_bytes(sizes, names), prefill_s),
    )


def _in_source(name: str, sources: list[int]) -> str:
    """Return the tensor of the whole model whose format one of the slice has."""
    if not name.startswith("blk."):
        return name
    _, layer, part = name.split(".", maxsplit=2)
    return f"blk.{sources[int(layer)]}.{part}"


def _extrapolated(thin: _Runs, thick: _Runs, whole_bytes: int) -> Spread:
    """Seconds of the whole model, from pairs of runs of the two slices."""
    pairs = zip(sorted(thin.seconds), sorted(thick.seconds))
    per_byte = [(b - a) / (thick.n_bytes - thin.n_bytes) for a, b in pairs]
    rate = median(per_byte)
    noise = (max(per_byte) - min(per_byte)) / 2 / rate if rate > 0 else 1.0
    if rate <= 0:  # other programs were in the way: what is left is the thick slice by itself
        rate = median(thick.seconds) / thick.n_bytes
    rest = max(median(thin.seconds) - rate * thin.n_bytes, 0.0)
    expected = rest + rate * whole_bytes
    error = _MODEL_ERROR + min(noise, 0.5)
    return Spread(expected, expected * (1 - error), expected * (1 + error))


def _per_second(seconds: Spread, n_tokens: int) -> Spread:
    return Spread(n_tokens / seconds.median, n_tokens / seconds.high, n_tokens / seconds.low)


def _pass_bytes(config: ModelConfig, types: dict[str, str]) -> int:
    """Bytes that the pass of one token reads: of the embedding it reads only a row."""
    shapes = tensor_shapes(config)
    return sum(tensor_bytes(shapes[x], types[x]) for x in shapes if not x.startswith("token_embd"))


def _block_bytes(config: ModelConfig, types: dict[str, str]) -> int:
    """Bytes of all blocks: the output matrix meets only the last token of a prompt."""
    return sum(_layer_bytes(config, types, layer) for layer in range(config.n_layers))


def _layer_bytes(config: ModelConfig, types: dict[str, str], layer: int) -> int:
    shapes = tensor_shapes(config)
    return sum(tensor_bytes(shapes[x], types[x]) for x in shapes if x.startswith(f"blk.{layer}."))


def _require_space(folder: Path, n_bytes: int) -> None:
    n_free = shutil.disk_usage(folder).free
    if n_free < n_bytes + _SPARE_BYTES:
        raise PredictionError(
            f"the slice takes {n_bytes / 1e9:.2f} GB, and {folder.parent} has "
            f"{n_free / 1e9:.2f} GB left. Free some, or set TMPDIR to a folder on another disk."
        )


@contextmanager
def _engine(path: Path, n_threads: int, logits_all: bool) -> Iterator[object]:
    engine = load_engine(
        path,
        n_ctx=256,
        n_batch=_N_PROMPT,
        n_threads=n_threads,
        n_threads_batch=n_threads,
        n_gpu_layers=0,
        use_mmap=False,  # mapped and repacked, the weights would be in memory twice
        logits_all=logits_all,
    )
    try:
        yield engine
    finally:
        engine.close()
