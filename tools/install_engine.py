"""Install llama-cpp-python, the Python face of llama.cpp, in the least painful way.

Run it with the Python that shall have it (`make` does so with `.venv`):

    python -m tools.install_engine

PyPI has this package as source only, and compiling takes minutes. So, in this order:

1. The version that `pyproject.toml` pins is here and works: done, in a second.
2. The author publishes ready-made builds for common systems: take one, and try whether it runs
   on this very machine (a build may want another C library or a newer processor).
3. Otherwise compile it, saying what is missing before a build that cannot succeed.

The environment variable `CMAKE_ARGS` skips step 2 and compiles with these options:

    CMAKE_ARGS="-DGGML_CUDA=on" python -m tools.install_engine    # NVIDIA, with its CUDA toolkit
    CMAKE_ARGS="-DGGML_VULKAN=on" python -m tools.install_engine  # other GPUs, with the Vulkan SDK
    CMAKE_ARGS="-DGGML_NATIVE=on" python -m tools.install_engine  # all this processor can do

Apple's GPU (Metal) is in every build for macOS. Your own pip configuration is respected.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from importlib import metadata
from pathlib import Path

from course_lib.compiler import find_compilers, how_to_install_compilers, missing_languages
from course_lib.hosted_setup import READY_MADE_INDEX

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "llama-cpp-python"
TINY_MODEL = ROOT / "course_lib" / "data" / "tiny-mistral-f16.gguf"
LOG = Path(sys.prefix) / "engine-build.log"
CMAKE_ARGS_USED = Path(sys.prefix) / "engine-cmake-args.txt"
HEARTBEAT_S = 15

LOAD = "import llama_cpp; llama_cpp.llama_backend_init()"
COMPUTE = """
import sys, llama_cpp
llama_cpp.Llama(sys.argv[1], n_ctx=32, n_gpu_layers=0, verbose=False).eval([1, 2, 3])
"""


class EngineError(Exception):
    """The engine could not be installed; the message says what to do."""


def main() -> int:
    """Install the engine and return the exit status for the shell."""
    try:
        install(pinned_version(), os.environ.get("CMAKE_ARGS", "").strip())
    except EngineError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command starts again.", file=sys.stderr)
        return 130
    return 0


def install(version: str, cmake_args: str = "") -> None:
    """Bring `version` into this Python unless it is there and works."""
    if is_installed(version, cmake_args):
        say(f"{PACKAGE} {version} is installed and works.")
        return
    if not cmake_args and install_ready_made(version):
        return
    compile_from_source(version, cmake_args)


def pinned_version(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """Return the version that pyproject.toml pins (Python 3.10 has no TOML reader)."""
    pin = re.search(rf'"{PACKAGE}==([^"\s;]+)"', pyproject.read_text(encoding="utf-8"))
    if pin is None:
        raise EngineError(f'{pyproject} has no line "{PACKAGE}==VERSION" to take the version from.')
    return pin.group(1)


def is_installed(version: str, cmake_args: str) -> bool:
    """Say whether the pinned version, built with the options asked for, can be loaded."""
    try:
        present = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    release = present.partition("+")[0]  # 0.3.36+cu124 is a build of 0.3.36
    if release != version or (cmake_args and cmake_args != _recorded_cmake_args()):
        return False
    return _python("-c", LOAD).returncode == 0


def install_ready_made(version: str) -> bool:
    """Try the author's build for this system; leave nothing behind if it does not run here."""
    say(f"Looking for a ready-made build of {PACKAGE} {version} …")
    options = ["--only-binary", PACKAGE, "--extra-index-url", READY_MADE_INDEX]
    # Few and short tries: behind a closed network this must end in seconds.
    if not pip_install(version, *options, "--retries", "1", "--timeout", "10"):
        say("None could be had: there is none for this system, or its server is out of reach.")
        return False
    _install_requirements(version)
    problem = engine_problem()
    if problem is None:
        say(f"{PACKAGE} {version}: the ready-made build works here.")
        _record_cmake_args("")
        return True
    say(f"It does not run on this machine ({problem}), so it goes again.")
    _python("-m", "pip", "uninstall", "--yes", PACKAGE)
    return False


def compile_from_source(version: str, cmake_args: str = "") -> None:
    """Compile llama.cpp for this machine, or raise EngineError saying what is missing."""
    compilers = require_compilers()
    wanted = f" with CMAKE_ARGS={cmake_args!r}" if cmake_args else ""
    say(
        f"Compiling {PACKAGE} {version}{wanted}: about five minutes on two cores, longer for a "
        f"GPU. The compiler's words go to\n  {LOG}"
    )
    problem = _compile(version, compilers, fresh=bool(cmake_args))
    if problem and not cmake_args:
        say(f"It does not run ({problem}). pip may have kept it from another machine: once more.")
        problem = _compile(version, compilers, fresh=True)
    if problem:
        raise EngineError(f"{PACKAGE} was compiled but does not work: {problem}. The log: {LOG}")
    _record_cmake_args(cmake_args)
    say(f"{PACKAGE} {version} is compiled and works.")


def engine_problem() -> str | None:
    """Load the engine, and run the course's tiny model if it is there; return what went wrong.

    Only a crash of the model's run counts: it shows an instruction that this processor lacks. Any
    other complaint would be about the model, which has its own tests.
    """
    loaded = _python("-c", LOAD)
    if loaded.returncode != 0:
        return _last_line(loaded.stderr) or f"loading it ended with status {loaded.returncode}"
    if TINY_MODEL.is_file():
        status = _python("-c", COMPUTE, str(TINY_MODEL)).returncode
        if status not in (0, 1):  # 1: a Python exception; a crash is negative, on Windows huge
            return f"it crashed while computing, with status {status}"
    return None


def require_compilers() -> dict[str, str]:
    """Return the environment variables CC and CXX for the build, or raise EngineError."""
    missing = missing_languages()
    if missing:
        raise EngineError(
            f"{PACKAGE} has to be compiled on this machine, and there is no "
            f"{' and '.join(missing)} compiler.\n"
            f"Install it as follows, then run the same command again:\n\n"
            + textwrap.indent(how_to_install_compilers(), "  ")
        )
    return find_compilers()


def pip_install(version: str, *options: str, compilers: dict[str, str] | None = None) -> bool:
    """Install the package alone, whatever was there before; say whether pip succeeded."""
    pip = [sys.executable, "-m", "pip", "install", "--verbose", "--no-input"]
    this_alone = ["--no-deps", "--force-reinstall", f"{PACKAGE}=={version}"]
    return run_with_heartbeat([*pip, *options, *this_alone], {**os.environ, **(compilers or {})})


def run_with_heartbeat(
    command: list[str], environment: dict[str, str] | None = None, every_s: float = HEARTBEAT_S
) -> bool:
    """Run `command` with its output in the log; print the time and the step reached meanwhile."""
    started, step = time.monotonic(), [""]
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
    )
    reader = threading.Thread(target=_follow, args=(process.stdout, step), daemon=True)
    reader.start()
    try:
        while True:
            try:
                status = process.wait(timeout=every_s)
                break
            except subprocess.TimeoutExpired:
                say(f"  … {_minutes(time.monotonic() - started)} {step[0]}".rstrip())
    finally:
        process.terminate()  # no effect if it has ended; else we were interrupted
    reader.join()
    return status == 0


def say(message: str) -> None:
    """Print at once, also into a pipe."""
    print(message, flush=True)


def _follow(lines, step: list[str]) -> None:
    with LOG.open("w", encoding="utf-8") as log:
        for line in lines:
            log.write(line)
            log.flush()
            progress = re.match(r"\s*\[\s*(\d+/\d+|\d+%)\]", line)  # Ninja's or make's
            if progress:
                step[0] = f"(step {progress.group(1)})"


def _compile(version: str, compilers: dict[str, str], *, fresh: bool) -> str | None:
    # pip keeps what it compiled, so a second clone is fast; but it does not know CMAKE_ARGS, so a
    # build with options must neither use nor enter its cache.
    options = ["--no-binary", PACKAGE, *(["--no-cache-dir"] if fresh else [])]
    if not pip_install(version, *options, compilers=compilers):
        raise EngineError(f"Compiling {PACKAGE} failed. The end of the log:\n\n{_log_tail()}")
    _install_requirements(version)
    return engine_problem()


def _install_requirements(version: str) -> None:
    """Add what the engine imports. It came alone, so that its index was asked for nothing else."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
    if subprocess.run([*command, f"{PACKAGE}=={version}"], stdin=subprocess.DEVNULL).returncode:
        raise EngineError(f"pip could not install what {PACKAGE} needs; see its message above.")


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
    )


def _recorded_cmake_args() -> str:
    return CMAKE_ARGS_USED.read_text(encoding="utf-8") if CMAKE_ARGS_USED.is_file() else ""


def _record_cmake_args(cmake_args: str) -> None:
    CMAKE_ARGS_USED.write_text(cmake_args, encoding="utf-8")


def _log_tail(n_lines: int = 25) -> str:
    lines = LOG.read_text(encoding="utf-8").splitlines()[-n_lines:]
    return "\n".join([*lines, "", f"All of it: {LOG}"])


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


if __name__ == "__main__":
    sys.exit(main())
