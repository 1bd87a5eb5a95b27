"""How much of the machine a container lets this process use.

Linux control groups limit memory and processor time, in two layouts: version 2 has one tree
of groups, version 1 a tree for each resource. A limit on any group from the process's own up
to the root counts, so the smallest holds. JupyterHub and Binder also say their limits in the
variables ``MEM_LIMIT`` and ``CPU_LIMIT``.

References
----------
https://docs.kernel.org/admin-guide/cgroup-v2.html
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED_BYTES = 1 << 60  # version 1 writes a huge number for "no limit"


@dataclass(frozen=True)
class ContainerLimits:
    """What is allowed; `math.inf` where nothing is limited.

    Attributes
    ----------
    n_cpus : float
        Processors' worth of time, such as 1.5.
    memory_bytes : float
    available_bytes : float
        Memory still to be had; file cache that can be dropped counts as free.
    """

    n_cpus: float = math.inf
    memory_bytes: float = math.inf
    available_bytes: float = math.inf


def container_limits(
    root: Path = Path("/"), environ: Mapping[str, str] = os.environ
) -> ContainerLimits:
    """Read the limits of this process; on macOS and Windows only the variables.

    Parameters
    ----------
    root : Path
        The folder in which ``proc`` and ``sys`` lie.
    environ : mapping of str
        The environment variables.

    Examples
    --------
    >>> container_limits(Path("/nowhere"), {"CPU_LIMIT": "1.5", "MEM_LIMIT": "1073741824"})
    ContainerLimits(n_cpus=1.5, memory_bytes=1073741824.0, available_bytes=inf)
    """
    n_cpus = [_number(environ.get("CPU_LIMIT"))]
    memory_bytes = [_number(environ.get("MEM_LIMIT"))]
    available_bytes = [math.inf]
    for group in _groups(root, "cpu"):
        n_cpus.append(_cpu_limit(group))
    for group in _groups(root, "memory"):
        limit, available = _memory_limit(group)
        memory_bytes.append(limit)
        available_bytes.append(available)
    return ContainerLimits(min(n_cpus), min(memory_bytes), min(available_bytes))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Every folder that may limit `controller`, from the process's own group upwards."""
    base = root / "sys" / "fs" / "cgroup"
    yield from (base, base / controller)  # what a container sees of a host's path
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            trees = (base, base / "unified")
        elif controller in names.split(","):
            trees = (base / names, base / controller)
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for tree in trees:
            yield from (tree.joinpath(*parts[:n]) for n in range(len(parts), -1, -1))


def _cpu_limit(group: Path) -> float:
    quota, _, period = _text(group / "cpu.max").partition(" ")
    if not period:
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
    return _number(quota) / _number(period) if period else math.inf


def _memory_limit(group: Path) -> tuple[float, float]:
    """Bytes allowed, and bytes of them still to be had."""
    files = ("memory.max", "memory.current", "inactive_file")
    if not (group / files[0]).exists():
        files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    limit = _number(_text(group / files[0]))
    used = _number(_text(group / files[1]))
    if max(limit, used) >= _UNLIMITED_BYTES:
        return (limit if limit < _UNLIMITED_BYTES else math.inf), math.inf
    lines = _text(group / "memory.stat").splitlines()
    droppable = sum(
        _number(n) for name, _, n in (line.partition(" ") for line in lines) if name == files[2]
    )
    return limit, max(limit - max(used - droppable, 0), 0)


def _number(text: str | None) -> float:
    """Read the positive number in `text`; infinity for "max", -1 or anything else."""
    try:
        value = float(text or "inf")
    except ValueError:
        return math.inf
    return value if value >= 0 else math.inf


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
