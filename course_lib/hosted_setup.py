"""Complete the course on a hosted machine such as Colab, without touching what is installed there.

The set-up cell of a lesson installs this package alone and then calls `install_requirements`. What
the package needs and the machine lacks is added; whatever the machine has keeps its version.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

READY_MADE_INDEX = "https://abetlen.github.io/llama-cpp-python/whl/cpu"
ENGINE = "llama-cpp-python"
_NOT_HERE = {"jupyterlab"}  # a hosted machine has a notebook of its own


class HostedSetupError(RuntimeError):
    """Something that the course needs could not be installed; the message says what."""


def install_requirements(extra: str = "serve") -> list[str]:
    """Install what the course needs and this machine lacks.

    Parameters
    ----------
    extra : str
        The optional part of the course's requirements that the lessons use.

    Returns
    -------
    list of str
        What was installed.

    Raises
    ------
    HostedSetupError
        With the last words of pip.

    Notes
    -----
    llama.cpp comes ready-made where its author has a build for this system; otherwise it is
    compiled, which is said before it begins.
    """
    missing = missing_requirements(metadata.requires("course-lib") or [], extra)
    engine = [requirement for requirement in missing if requirement.startswith(ENGINE)]
    others = [requirement for requirement in missing if requirement not in engine]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(_installed()), encoding="utf-8")
        if others:
            _require(_pip(constraints, *others))
        if engine:
            _install_engine(constraints, engine)
    return missing


def missing_requirements(requirements: list[str], extra: str = "") -> list[str]:
    """Return those of a package's requirements that are not installed, whatever their version.

    Parameters
    ----------
    requirements : list of str
        As `importlib.metadata.requires` gives them.
    extra : str
        Optional requirements with this name count, too.

    Examples
    --------
    >>> missing_requirements(["numpy>=2", "no-such-thing>=1", "pytest; extra == 'test'"])
    ['no-such-thing>=1']
    """
    from packaging.requirements import Requirement

    present = {_plain(line.partition("==")[0]) for line in _installed()}
    missing = []
    for requirement in map(Requirement, requirements):
        is_due = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        name = _plain(requirement.name)
        needs_more = requirement.extras and is_due  # such as llama-cpp-python[server]
        if is_due and name not in _NOT_HERE and (name not in present or needs_more):
            requirement.marker = None
            missing.append(str(requirement))
    return missing


def _install_engine(constraints: Path, engine: list[str]) -> None:
    ready_made = ("--only-binary", ENGINE, "--extra-index-url", READY_MADE_INDEX)
    ready_made += ("--retries", "1", "--timeout", "10")  # out of reach is no reason to wait
    if _pip(constraints, *ready_made, *engine).returncode == 0:
        return
    print(
        f"There is no ready-made build of {ENGINE} for this machine, or it is out of reach. It is "
        "compiled now: about five minutes on two cores.",
        flush=True,
    )
    _require(_pip(constraints, *engine))


def _pip(constraints: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
    command += ["--constraint", str(constraints), *arguments]
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def _require(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        last_words = " ".join((done.stderr or done.stdout).split())[-600:]
        raise HostedSetupError(f"the course could not be installed here. pip says: {last_words}")


def _installed() -> list[str]:
    """Name and version of every package here, in the form of constraints."""
    found = {(d.metadata["Name"], d.version) for d in metadata.distributions()}
    return sorted(f"{name}=={version}" for name, version in found if name and name != "course-lib")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
