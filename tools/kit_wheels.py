"""The packages of a kit: all that `make test` installs, as wheels that need no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from course_lib.compiler import find_compilers
from course_lib.hosted_setup import READY_MADE_INDEX
from tools.install_engine import COMPUTE, LOAD, PACKAGE, ROOT, TINY_MODEL, pinned_version, say
from tools.kit_target import KitError

HEARTBEAT_S = 10
TAIL_LINES = 20
_EXTRAS = ("serve", "test")


def collect_wheels(python: str, wheels: Path, root: Path = ROOT) -> str:
    """Put all that `make test` installs into `wheels`, and return the version of that Python."""
    wheels.mkdir(parents=True, exist_ok=True)
    version = output_of(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    if not version:
        raise KitError(f"{python} does not run.")
    with tempfile.TemporaryDirectory() as scratch:
        pip = [_with_pip(python, Path(scratch)), "-m", "pip"]
        if not list(wheels.glob(f"{PACKAGE.replace('-', '_')}-*.whl")):
            collect_engine(pip, wheels, pinned_version(root / "pyproject.toml"))
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text("\n".join(requirements(root)) + "\n", encoding="utf-8")
        listed = ["--requirement", str(wanted)]
        get = ["wheel", "--wheel-dir", str(wheels), "--find-links", str(wheels)]
        run_pip([*pip, *get, *listed], "packages")
        # Is it all there? Ask as the other machine will: of this folder, and of nothing else.
        offline = ["install", "--dry-run", "--ignore-installed", "--only-binary", ":all:"]
        alone = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.as_uri()}
        alone["PIP_CONFIG_FILE"] = os.devnull
        run_pip([*pip, *offline, *listed], "trying without a network", alone)
    return version


def requirements(root: Path = ROOT) -> list[str]:
    """What a machine installs that runs the course and its tests, pip and build tools included."""
    pyproject = _load_toml(root / "pyproject.toml")
    project, own = pyproject["project"], re.compile(rf"{pyproject['project']['name']}\b\[?")
    lines = [*project["dependencies"], *pyproject["build-system"]["requires"], "pip", "editables"]
    for extra in _EXTRAS:
        lines += project["optional-dependencies"][extra]
    return [line for line in lines if not own.match(line)]


def collect_engine(pip: Sequence[str], wheels: Path, version: str) -> None:
    """Get llama.cpp as `tools.install_engine` does: the author's build if it runs, else ours."""
    wanted = f"{PACKAGE}=={version}"
    get = [*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels)]
    if not os.environ.get("CMAKE_ARGS", "").strip():
        ready_made = ["--only-binary", PACKAGE, "--extra-index-url", READY_MADE_INDEX]
        ready_made += ["--retries", "1", "--timeout", "10"]
        try:
            run_pip([*get, *ready_made, wanted], "llama.cpp, ready-made")
        except KitError:
            say("     no ready-made llama.cpp could be had")
        else:
            if engine_runs(pip, wheels):
                return
            say("     the ready-made llama.cpp does not run on this machine")
            _engine_wheel(wheels).unlink()
    say("     llama.cpp from pip's cache, or else compiled, which takes minutes")
    run_pip([*get, "--no-binary", PACKAGE, wanted], "llama.cpp", find_compilers())
    if not engine_runs(pip, wheels):
        raise KitError(f"{_engine_wheel(wheels).name} does not run on this machine.")


def engine_runs(pip: Sequence[str], wheels: Path) -> bool:
    """Try the engine of the kit on the course's own model, with the packages of this Python."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [*pip, "install", "--quiet", "--no-index", "--no-deps", "--target", scratch]
        run_pip([*command, str(_engine_wheel(wheels))], "trying llama.cpp")
        environment = {**os.environ, "PYTHONPATH": scratch}
        quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        for code, *arguments in ((LOAD,), (COMPUTE, str(TINY_MODEL))):
            if subprocess.run([sys.executable, "-c", code, *arguments], **quiet).returncode:
                return False
    return True


def run_pip(command: Sequence[str], label: str, environment: dict[str, str] | None = None) -> None:
    """Run pip, say now and then where it is, and raise KitError with its last words."""
    command = [*command, "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    status = process.wait(timeout=HEARTBEAT_S)
                    break
                except subprocess.TimeoutExpired:
                    last = "".join(_last_lines(log, 1)).strip()[:70]
                    say(f"     {label}, {time.monotonic() - started:.0f} s: {last}")
        finally:
            process.terminate()  # no effect if it has ended; else we were interrupted
            process.wait()
        if status:
            raise KitError(
                "\n".join(["pip failed. Its last words:", *_last_lines(log, TAIL_LINES)])
            )


def _last_lines(log: IO[bytes], n_lines: int) -> list[str]:
    # Read at a place of its own: moving the file's would move that of the writer, too.
    n_bytes = os.fstat(log.fileno()).st_size
    start = max(0, n_bytes - 200 * n_lines)
    text = os.pread(log.fileno(), n_bytes - start, start).decode("utf-8", "replace")
    return text.splitlines()[-n_lines:]


def _with_pip(python: str, scratch: Path) -> str:
    """Command of a Python of this version whose pip may be used: our own, or one made for this."""
    if python == sys.executable:
        return python
    if subprocess.run([python, "-m", "venv", str(scratch / "venv")]).returncode:
        raise KitError(f"{python} cannot make a virtual environment; is python3-venv installed?")
    own = str(scratch / "venv" / "bin" / "python")
    run_pip([own, "-m", "pip", "install", "--upgrade", "pip"], "pip")
    return own


def _engine_wheel(wheels: Path) -> Path:
    return next(wheels.glob(f"{PACKAGE.replace('-', '_')}-*.whl"))


def _load_toml(path: Path) -> dict:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(path.read_text(encoding="utf-8"))


def output_of(*command: str | Path) -> str:
    """What a command prints; empty when it fails or is not there."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
