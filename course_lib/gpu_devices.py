"""The graphics processors that llama.cpp itself sees."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

_GPU_KINDS = (1, 2)  # GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU


class Gpu(NamedTuple):
    """A graphics processor that llama.cpp can use."""

    name: str
    free_bytes: int
    total_bytes: int


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
