"""What this processor is called, and what it can do for which llama.cpp has faster code."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

# Under the names that an operating system may use
_FEATURE_NAMES = {
    "AVX": ("avx", "avx1.0"),
    "AVX2": ("avx2",),
    "AVX_VNNI": ("avx_vnni",),
    "AVX512F": ("avx512f",),
    "AVX512_VBMI": ("avx512vbmi", "avx512_vbmi"),
    "AVX512_VNNI": ("avx512_vnni", "avx512vnni"),
    "AVX512_BF16": ("avx512_bf16",),
    "AMX_INT8": ("amx_int8",),
    "FMA": ("fma",),
    "F16C": ("f16c",),
    "BMI2": ("bmi2",),
    "NEON": ("neon", "asimd"),
    "FP16": ("asimdhp", "feat_fp16"),
    "DOTPROD": ("asimddp", "feat_dotprod"),
    "I8MM": ("i8mm", "feat_i8mm"),
    "BF16": ("bf16", "feat_bf16"),
    "SVE": ("sve",),
    "SVE2": ("sve2",),
    "SME": ("sme", "feat_sme"),
}
# IsProcessorFeaturePresent numbers, from winnt.h
_WINDOWS_FEATURES = {"avx": 39, "avx2": 40, "avx512f": 41, "neon": 19, "asimddp": 43}


@cache
def cpu_features(root: Path = Path("/")) -> tuple[str, ...]:
    """List the processor's features, such as ``"AVX2"`` or ``"DOTPROD"``.

    Parameters
    ----------
    root : Path
        Where ``proc`` lies on Linux.
    """
    if sys.platform == "darwin":
        found = _macos_features(_sysctl("machdep.cpu", "hw.optional"))
    elif sys.platform == "win32":
        is_present = ctypes.windll.kernel32.IsProcessorFeaturePresent
        found = {name for name, number in _WINDOWS_FEATURES.items() if is_present(number)}
    else:
        info = _cpuinfo(root)
        found = set((info.get("flags") or info.get("Features") or "").lower().split())
    return tuple(name for name, aliases in _FEATURE_NAMES.items() if found & set(aliases))


def cpu_name(root: Path = Path("/")) -> str:
    """Return the processor's own name."""
    if sys.platform == "darwin":
        name = _sysctl("-n", "machdep.cpu.brand_string")
    elif sys.platform == "win32":
        name = _windows_cpu_name()
    else:
        name = _cpuinfo(root).get("model name") or read_text(
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


def _macos_features(listing: str) -> set[str]:
    r"""Find the features in the lines of ``sysctl machdep.cpu hw.optional``.

    Examples
    --------
    >>> sorted(_macos_features("hw.optional.neon: 1\nhw.optional.arm.FEAT_SME: 0"))
    ['neon']
    """
    found: set[str] = set()
    for line in listing.lower().splitlines():
        key, _, value = line.partition(": ")
        if key.startswith("machdep.cpu.") and key.endswith("features"):
            found.update(value.split())
        elif key.startswith("hw.optional.") and value == "1":
            found.add(key.rpartition(".")[2])
    return found


def _cpuinfo(root: Path) -> dict[str, str]:
    """Read what ``/proc/cpuinfo`` says of the first processor."""
    first = read_text(root / "proc" / "cpuinfo").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _sysctl(*arguments: str) -> str:
    """Ask macOS; empty when it does not answer."""
    try:
        command = ["/usr/sbin/sysctl", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=2)
        return done.stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def read_text(path: Path) -> str:
    """Read a small file; empty when it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
