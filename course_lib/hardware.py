"""What this machine has for running a model, as far as this process may use it."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from course_lib.container_limits import ContainerLimits, container_limits
from course_lib.cpu_features import cpu_features, cpuinfo, read_text, sysctl

_GPU_KINDS = (1, 2)  # GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU


class Gpu(NamedTuple):
    """A graphics processor that llama.cpp can use."""

    name: str
    free_bytes: int
    total_bytes: int


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
        cpu_name=_cpu_name(root),
        physical_cores=physical_cores,
        logical_cores=logical_cores,
        ram_bytes=ram_bytes,
        available_ram_bytes=int(min(memory.available, limits.available_bytes, ram_bytes)),
        cpu_features=cpu_features(root),
        gpus=llama_cpp_gpus(),
        disk_free_bytes=_disk_free_bytes(Path(directory)),
    )


def llama_cpp_gpus() -> tuple[Gpu, ...]:
    """List the GPUs among llama.cpp's own devices; empty when it cannot be loaded.

    Loading llama.cpp for the first time takes about a tenth of a second.
    """
    try:
        devices = _ggml_devices()
    except (ImportError, OSError, RuntimeError, AttributeError):  # missing, or another version
        return ()
    return tuple(gpu for kind, gpu in devices if kind in _GPU_KINDS)


def _ggml_devices() -> list[tuple[int, Gpu]]:
    """Kind (0 is the processor itself), name and memory of each device."""
    from llama_cpp import llama_cpp as bindings
    from llama_cpp._ctypes_extensions import load_shared_library
    from llama_cpp._logger import set_verbose

    set_verbose(False)  # or CUDA announces itself on stderr
    bindings.llama_backend_init()  # loads backends that come as libraries of their own
    registry = load_shared_library("ggml", bindings._base_path)
    base = load_shared_library("ggml-base", bindings._base_path)
    registry.ggml_backend_dev_count.restype = ctypes.c_size_t
    registry.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    registry.ggml_backend_dev_get.restype = ctypes.c_void_p
    n_devices = registry.ggml_backend_dev_count()
    return [_ggml_device(base, registry.ggml_backend_dev_get(i)) for i in range(n_devices)]


def _ggml_device(base: ctypes.CDLL, device: int) -> tuple[int, Gpu]:
    pointer, size = ctypes.c_void_p(device), ctypes.c_size_t
    base.ggml_backend_dev_name.restype = ctypes.c_char_p
    base.ggml_backend_dev_description.restype = ctypes.c_char_p
    free_bytes, total_bytes = size(), size()
    base.ggml_backend_dev_memory(pointer, ctypes.byref(free_bytes), ctypes.byref(total_bytes))
    short = base.ggml_backend_dev_name(pointer).decode(errors="replace")
    long = base.ggml_backend_dev_description(pointer).decode(errors="replace")
    gpu = Gpu(f"{long} ({short})", free_bytes.value, total_bytes.value)
    return base.ggml_backend_dev_type(pointer), gpu


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


def _cpu_name(root: Path) -> str:
    if sys.platform == "darwin":
        name = sysctl("-n", "machdep.cpu.brand_string")
    elif sys.platform == "win32":
        name = _windows_cpu_name()
    else:
        name = cpuinfo(root).get("model name") or read_text(
            root / "sys" / "firmware" / "devicetree" / "base" / "model"
        )
    return name.strip(" \0\n") or platform.processor() or platform.machine()


def _windows_cpu_name() -> str:
    import winreg

    key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as handle:
            return str(winreg.QueryValueEx(handle, "ProcessorNameString")[0])
    except OSError:
        return ""


def _disk_free_bytes(directory: Path) -> int:
    """Free space where `directory` is, or will be."""
    candidates = (directory, *directory.absolute().parents)
    existing = next((d for d in candidates if d.exists()), Path.cwd())
    return shutil.disk_usage(existing).free
