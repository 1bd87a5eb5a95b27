"""What this machine has for running a model, and the settings of llama.cpp that suit it."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from course_lib.config import ModelConfig
from course_lib.container_limits import ContainerLimits, container_limits
from course_lib.cpu_features import cpu_features, cpu_name, read_text
from course_lib.engine_options import EngineSettings
from course_lib.gguf_file import GGUFInfo, inspect_gguf
from course_lib.gpu_devices import Gpu, llama_cpp_gpus
from course_lib.memory_estimate import MemoryEstimate, estimate_memory

DEFAULT_N_CTX = 4096
_N_BATCH, _N_BATCH_ON_GPU = 256, 512  # on a processor larger ones are no faster, or slower
_LEAST_N_CTX = 512
_SPARE_GPU_BYTES = 500_000_000  # for compute buffers, and for the screen
_SPARE_SHARE = 0.1  # of the memory that is left, for everybody else
_LEVELS_BY_QUALITY = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
_USUAL_LEVEL = "Q4_K_M"


class ModelTooLargeError(ValueError):
    """A model that this machine has no memory for; the message says what would fit."""


@dataclass(frozen=True)
class Hardware:
    """A machine, as far as this process may use it: limits of a container are applied.

    Attributes
    ----------
    os, machine, cpu_name : str
        Such as ``"Linux"``, ``"x86_64"`` and the processor's own name.
    physical_cores, logical_cores : int
    ram_bytes, available_ram_bytes : int
        All of it, and what a new program could still have.
    cpu_features : tuple of str
        Of those for which llama.cpp has faster code, the ones this processor has.
    gpus : tuple of Gpu
        As llama.cpp itself sees them; none when it was built without support for them.
    disk_free_bytes : int
    """

    os: str
    machine: str
    cpu_name: str
    physical_cores: int
    logical_cores: int
    ram_bytes: int
    available_ram_bytes: int
    cpu_features: tuple[str, ...]
    gpus: tuple[Gpu, ...]
    disk_free_bytes: int


def detect_hardware(directory: str | os.PathLike[str] = ".", *, root: Path = Path("/")) -> Hardware:
    """Find out what this machine has.

    Parameters
    ----------
    directory : path
        Where models are kept, for the free space on its disk. It need not exist yet.
    root : Path
        Where ``proc`` and ``sys`` lie; another folder pretends to be another Linux.

    Examples
    --------
    >>> machine = detect_hardware()
    >>> 1 <= machine.physical_cores <= machine.logical_cores
    True
    """
    limits = container_limits(root)
    logical_cores, physical_cores = _core_counts(root, limits)
    memory = psutil.virtual_memory()
    ram_bytes = int(min(memory.total, limits.memory_bytes))
    return Hardware(
        os=platform.system(),
        machine=platform.machine(),
        cpu_name=cpu_name(root),
        physical_cores=physical_cores,
        logical_cores=logical_cores,
        ram_bytes=ram_bytes,
        available_ram_bytes=int(min(memory.available, limits.available_bytes, ram_bytes)),
        cpu_features=cpu_features(root),
        gpus=llama_cpp_gpus(),
        disk_free_bytes=_disk_free_bytes(Path(directory)),
    )


def recommend_settings(
    model_path: str | os.PathLike[str],
    hardware: Hardware | None = None,
    n_ctx: int | None = None,
) -> EngineSettings:
    """Choose llama.cpp's settings for a model on a machine.

    One thread for each physical core that this process may use; all layers on the GPU, or as many
    as fit; a context that fits into the memory that is left.

    Parameters
    ----------
    model_path : path to a GGUF
    hardware : Hardware, optional
        This machine when left out.
    n_ctx : int, optional
        Tokens of context that are wanted; else what the model was made for, at most 4096.

    Returns
    -------
    EngineSettings

    Raises
    ------
    ModelTooLargeError
        When not even a short context fits, or not the one that is wanted.
    InvalidGGUFError, FileNotFoundError, IsADirectoryError, PermissionError
        As `inspect_gguf`.

    Examples
    --------
    >>> from course_lib import TINY_MODEL_PATH
    >>> recommend_settings(TINY_MODEL_PATH).n_ctx
    512
    """
    info = inspect_gguf(model_path)
    hardware = hardware or detect_hardware(info.path.parent)
    n_trained = info.metadata.get(f"{info.architecture}.context_length")
    n_usual = min(n_trained, DEFAULT_N_CTX) if isinstance(n_trained, int) else DEFAULT_N_CTX
    n_gpu_layers = _gpu_layers(info, hardware, n_ctx or n_usual)
    settings = EngineSettings(
        n_ctx=n_ctx or n_usual,
        n_threads=hardware.physical_cores,
        n_threads_batch=hardware.physical_cores,
        n_batch=_N_BATCH_ON_GPU if n_gpu_layers else _N_BATCH,
        n_gpu_layers=n_gpu_layers,
    )
    share = _share_in_ram(info, n_gpu_layers)
    estimate = _fitting_estimate(info, hardware, n_ctx, n_usual, share)
    if estimate is None:  # a file that does not say its sizes
        return replace(settings, use_mmap=True)
    n_ctx, memory = estimate
    return replace(settings, n_ctx=n_ctx, use_mmap=memory.evictable > 0 or n_gpu_layers != 0)


def recommend_quantization(
    config: ModelConfig, hardware: Hardware, quality_priority: bool = False
) -> str:
    """Choose the level at which a model fits into a machine.

    Parameters
    ----------
    config : ModelConfig
    hardware : Hardware
    quality_priority : bool
        Whether to take the best level that fits. Otherwise it is Q4_K_M where that fits, which is
        smaller and faster, and hardly worse.

    Returns
    -------
    str
        Such as ``"Q4_K_M"``.

    Raises
    ------
    ModelTooLargeError
        When no level fits.

    Examples
    --------
    >>> from course_lib.config import TINY_MISTRAL
    >>> recommend_quantization(TINY_MISTRAL, detect_hardware(), quality_priority=True)
    'Q8_0'
    """
    levels = _LEVELS_BY_QUALITY
    if not quality_priority:
        levels = levels[levels.index(_USUAL_LEVEL) :]
    for level in levels:
        if _needed_bytes(config, level, hardware) <= _usable_bytes(hardware):
            return level
    smallest = _needed_bytes(config, levels[-1], hardware)
    raise ModelTooLargeError(
        f"a model of {config.n_params / 1e9:.1f} billion weights takes {smallest / 1e9:.1f} GB "
        f"even at {levels[-1]}, and {_usable_bytes(hardware) / 1e9:.1f} GB are free here. Take a "
        "smaller model: select_model names one."
    )


def _needed_bytes(config: ModelConfig, level: str, hardware: Hardware) -> int:
    n_ctx = min(config.max_seq_len, DEFAULT_N_CTX)
    return estimate_memory(config, level, n_ctx, features=hardware.cpu_features).total


def _usable_bytes(hardware: Hardware) -> int:
    """Bytes that a model may take and leave some to others."""
    gpu = max((gpu.free_bytes - _SPARE_GPU_BYTES for gpu in hardware.gpus), default=0)
    return max(gpu, int(hardware.available_ram_bytes * (1 - _SPARE_SHARE)))


def _share_in_ram(info: GGUFInfo, n_gpu_layers: int) -> float:
    """Return which part of a model stays with the processor."""
    n_layers = info.metadata.get(f"{info.architecture}.block_count", 1)
    return 0.0 if n_gpu_layers == -1 else 1 - n_gpu_layers / n_layers if n_gpu_layers else 1.0


def _fitting_estimate(
    info: GGUFInfo, hardware: Hardware, wanted: int | None, n_usual: int, share: float
) -> tuple[int, MemoryEstimate] | None:
    """Halve the context until it fits; one that was asked for must fit as it is."""
    n_ctx = wanted or n_usual
    while True:
        try:
            memory = estimate_memory(
                info.path, n_ctx=n_ctx, n_batch=_N_BATCH, features=hardware.cpu_features
            )
        except ValueError:
            return None
        # A mapped file may be larger than memory: slow, but it runs
        needed = share * (memory.total - memory.evictable)
        if needed <= hardware.available_ram_bytes:
            return n_ctx, memory
        if wanted or n_ctx <= _LEAST_N_CTX:
            raise ModelTooLargeError(
                f"{info.path.name} with a context of {n_ctx:,} tokens takes {needed / 1e9:.1f} GB "
                f"of memory, and this machine has {hardware.available_ram_bytes / 1e9:.1f} GB "
                "left. Ask for a smaller n_ctx, close other programs, or take a smaller model."
            )
        n_ctx //= 2


def _gpu_layers(info: GGUFInfo, hardware: Hardware, n_ctx: int) -> int:
    """Count the layers, from the last one, that fit into the free memory of the largest GPU.

    -1 stands for all of them, and the output with them.
    """
    free_bytes = max((gpu.free_bytes for gpu in hardware.gpus), default=0) - _SPARE_GPU_BYTES
    n_layers = info.metadata.get(f"{info.architecture}.block_count", 0)
    if free_bytes <= 0 or not isinstance(n_layers, int) or not n_layers:
        return 0
    sizes = [0] * n_layers
    others = 0
    for tensor in info.tensors:
        layer = tensor.name.split(".")[1] if tensor.name.startswith("blk.") else ""
        if layer.isdecimal() and int(layer) < n_layers:
            sizes[int(layer)] += tensor.n_bytes
        elif not tensor.name.startswith("token_embd"):
            others += tensor.n_bytes
    try:
        kv_bytes = estimate_memory(info.path, n_ctx=n_ctx).kv_cache // n_layers
    except ValueError:
        kv_bytes = 0
    if sum(sizes) + n_layers * kv_bytes + others <= free_bytes:
        return -1
    n_fitting = 0
    for size in reversed(sizes):
        free_bytes -= size + kv_bytes
        if free_bytes < 0:
            break
        n_fitting += 1
    return n_fitting


def _core_counts(root: Path, limits: ContainerLimits) -> tuple[int, int]:
    """Logical and physical cores that this process may keep busy."""
    usable = _usable_cpus()
    topology = root / "sys" / "devices" / "system" / "cpu"
    cores = {read_text(topology / f"cpu{i}" / "topology" / "thread_siblings_list") for i in usable}
    is_listed = "" not in cores  # only Linux has such lists, and some containers hide them
    n_physical = len(cores) if is_listed else psutil.cpu_count(logical=False) or len(usable)
    n_allowed = max(int(min(len(usable), limits.n_cpus)), 1)
    return n_allowed, min(n_physical, n_allowed)


def _usable_cpus() -> list[int]:
    try:
        return psutil.Process().cpu_affinity()
    except AttributeError:  # macOS pins no process
        return list(range(psutil.cpu_count() or 1))


def _disk_free_bytes(directory: Path) -> int:
    """Free space where `directory` is, or will be."""
    candidates = (directory, *directory.absolute().parents)
    existing = next((d for d in candidates if d.exists()), Path.cwd())
    return shutil.disk_usage(existing).free
