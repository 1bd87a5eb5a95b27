"""For which machines a kit is, and whether this is one. Runs before anything is installed."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "kit.json"  # a folder without it is no kit, and is left alone


class KitError(Exception):
    """The kit could not be made or cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """The machines for which the packages of a kit are.

    Parameters
    ----------
    system, machine : str
        Such as ``"Linux"`` and ``"x86_64"``.
    c_library : tuple of str
        Name and version, such as ``("glibc", "2.36")``; empty strings where Python does not know.
    pythons : tuple of str
        Versions, such as ``("3.11",)``.
    """

    system: str
    machine: str
    c_library: tuple[str, str]
    pythons: tuple[str, ...]

    @classmethod
    def here(cls, pythons: Sequence[str] = ()) -> Target:
        """This machine, and this Python unless others are named."""
        own = (f"{sys.version_info[0]}.{sys.version_info[1]}",)
        return cls(platform.system(), _machine(), platform.libc_ver(), tuple(pythons) or own)

    @property
    def described(self) -> str:
        """In words, such as ``Linux (x86_64), Python 3.11``."""
        return f"{self.system} ({self.machine}), Python {' or '.join(self.pythons)}"

    def refusal(self, other: Target) -> str | None:
        """Say why packages for this target do not fit the `other` one; None if they do."""
        if (self.system, self.machine, self.c_library[0]) != (
            other.system,
            other.machine,
            other.c_library[0],
        ):
            library = f" with {other.c_library[0] or 'another C library'}"
            named = library if self.system == other.system else ""
            return f"this machine is {other.system} ({other.machine}){named}"
        if not set(other.pythons) & set(self.pythons):
            return f"this is Python {' or '.join(other.pythons)}"
        return None


def check_kit(folder: Path, here: Target | None = None) -> list[str]:
    """Return warnings for this machine, or raise KitError if the kit is not for it."""
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
        target = Target(
            mark["system"], mark["machine"], tuple(mark["c_library"]), tuple(mark["pythons"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise KitError(
            f"{folder} is not a kit: it has no readable {MARK}. A kit is made by `make kit`; "
            "without one: make lab KIT="
        ) from None
    here = here or Target.here()
    if reason := target.refusal(here):
        wanted = f"python{target.pythons[-1]}"
        raise KitError(
            f"This kit is for {target.described}, but {reason}.\n"
            f"If {wanted} is here and nothing else differs, name it: make lab PYTHON={wanted}\n"
            "A kit for this machine is made on one like it, with a network: make kit\n"
            "To install from the network instead: make lab KIT="
        )
    if _numbers(here.c_library[1]) < _numbers(target.c_library[1]):
        return [
            f"The C library here ({here.c_library[1]}) is older than that of the machine that "
            f"made the kit ({target.c_library[1]}). If llama.cpp does not load, that is why."
        ]
    return []


def _machine() -> str:
    names = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}
    machine = platform.machine().lower()
    return names.get(machine, machine)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
