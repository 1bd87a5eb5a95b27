"""The doctor: what the course needs, whether it is here, and what to do if not.

It has to work where things are missing, so everything that is not in Python's standard
library is imported inside the check that needs it.
"""

from __future__ import annotations

import html
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from course_lib import TINY_MODEL_PATH
from course_lib.compiler import find_compilers, how_to_install_compilers, missing_languages

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from course_lib.hardware import Hardware

Status = Literal["OK", "warning", "missing"]

_PACKAGES = {  # name to install: name to import
    "numpy": "numpy",
    "gguf": "gguf",
    "llama-cpp-python": "llama_cpp",
    "huggingface_hub": "huggingface_hub",
    "psutil": "psutil",
    "matplotlib": "matplotlib",
    "ipywidgets": "ipywidgets",
    "jupyterlab": "jupyterlab",
}
_ENGINE = "llama-cpp-python"
_ENGINE_INDEX = "https://abetlen.github.io/llama-cpp-python/whl/cpu"
_MISTRAL_7B_BYTES = 4_372_812_000  # the Q4_K_M file
_LESSON_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes
    ----------
    name : str
    status : {"OK", "warning", "missing"}
        A warning leaves the course usable; something missing does not.
    found : str
    fix : str
        What to do about it; empty when all is well.
    """

    name: str
    status: Status
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Report:
    """What the doctor found; ``print(report)``, or let a notebook show it.

    Examples
    --------
    >>> print(Report((Check("Python", "OK", "3.12.1"), Check("gguf", "missing", "-", "pip …"))))
    OK       Python  3.12.1
    missing  gguf    -
                     fix: pip …
    <BLANKLINE>
    1 of 2 need attention: gguf
    """

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing that the course needs is missing."""
        return all(check.status != "missing" for check in self.checks)

    @property
    def verdict(self) -> str:
        """The report in one line."""
        names = [check.name for check in self.checks if check.status != "OK"]
        if not names:
            return f"All {len(self.checks)} checks are OK."
        return f"{len(names)} of {len(self.checks)} need attention: {', '.join(names)}"

    def __str__(self) -> str:
        width = max((len(check.name) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            lines.append(f"{check.status:7}  {check.name:{width}}  {check.found}")
            if check.fix:
                lines.append(f"{'':7}  {'':{width}}  fix: {check.fix}")
        return "\n".join([*lines, "", self.verdict])

    def _repr_html_(self) -> str:
        rows = "".join(_html_row(check) for check in self.checks)
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in _HTML_COLUMNS)
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p>{html.escape(self.verdict)}</p>"
        )


_HTML_COLUMNS = ("", "check", "found", "fix")


def _html_row(check: Check) -> str:
    mark = {"OK": "✓", "warning": "!", "missing": "✗"}[check.status]
    cells = (f"{mark} {check.status}", check.name, check.found, check.fix)
    columns = "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells)
    return f"<tr>{columns}</tr>"


def doctor() -> Report:
    """Look at Python, its packages and this machine; takes about a second, changes nothing.

    Examples
    --------
    >>> doctor().checks[0].name
    'Python'
    """
    checks = [_guarded("Python", _check_python)]
    checks += [_guarded(name, _check_package, name) for name in _PACKAGES]
    engine_is_there = checks[1 + list(_PACKAGES).index(_ENGINE)].status == "OK"
    checks.append(_guarded("compilers", _check_compilers, engine_is_there))
    checks += _check_hardware()
    checks.append(_guarded("Hangul font", _check_hangul_font))
    checks.append(_guarded("tiny model", _check_tiny_model))
    return Report(tuple(checks))


def _guarded(name: str, check: Callable[..., Check], *arguments: object) -> Check:
    """Run a check; whatever goes wrong in it is a finding, not the end of the report."""
    try:
        return replace(check(*arguments), name=name)
    except Exception as error:
        found = " ".join(f"the check failed: {type(error).__name__}: {error}".split())
        return Check(name, "warning", found, "Install what is missing above, and try again.")


def _check_python() -> Check:
    found = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    if sys.version_info < (3, 10) or sys.maxsize < 2**32:
        return Check("", "missing", found, "Install a 64-bit Python 3.10 to 3.13, python.org.")
    if sys.version_info >= (3, 14):
        return Check("", "warning", found, "Python 3.10 to 3.13 is what the course is tested on.")
    return Check("", "OK", found)


def _check_package(name: str) -> Check:
    fix = _install_command(name)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check("", "missing", "not installed", fix)
    if find_spec(_PACKAGES[name]) is None:
        return Check("", "missing", f"{version}, but its files are gone", fix)
    if name == _ENGINE:
        try:
            import_module(_PACKAGES[name])
        except Exception as error:
            found = " ".join(f"{version}, but it cannot be loaded: {error}".split())
            return Check("", "missing", found, f"{fix} --force-reinstall")
    requirement = _requirement(name)
    if requirement and not requirement.specifier.contains(version, prereleases=True):
        found = f"{version}, but the course wants {requirement.specifier}"
        return Check("", "warning", found, fix)
    return Check("", "OK", version)


def _requirement(name: str) -> Requirement | None:
    """Find what the course's own metadata asks for, if it is installed and can be read."""
    try:
        from packaging.requirements import Requirement

        requirements = [Requirement(line) for line in metadata.requires("course-lib") or []]
    except (ImportError, metadata.PackageNotFoundError):
        return None
    of_extras = "extra =="
    wanted = (r for r in requirements if r.name == name and of_extras not in str(r.marker))
    return next(wanted, None)


def _install_command(name: str) -> str:
    requirement = _requirement(name)
    what = f'"{name}{requirement.specifier}"' if requirement else name
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    options = f" --prefer-binary --extra-index-url {_ENGINE_INDEX}" if name == _ENGINE else ""
    return f"{python} -m pip install {what}{options}"


def _check_compilers(engine_is_there: bool) -> Check:
    missing = missing_languages()
    if not missing:
        return Check("", "OK", ", ".join(find_compilers().values()) or "the system's tools")
    found = f"none for {' and '.join(missing)}"
    if engine_is_there:
        return Check("", "OK", f"{found}; needed only to build llama.cpp, which is installed")
    advice = how_to_install_compilers()
    return Check("", "missing", f"{found}, and llama.cpp may have to be built", advice)


def _check_hardware() -> list[Check]:
    try:
        from course_lib.hardware import detect_hardware

        machine = detect_hardware(os.environ.get("COURSE_MODELS", "."))
    except Exception as error:
        return [Check("machine", "warning", f"not known: {error}", _install_command("psutil"))]
    checks = {
        "processor": _processor,
        "CPU features": _cpu_features,
        "memory": _memory,
        "disk": _disk,
        "GPU": _gpu,
    }
    return [_guarded(name, check, machine) for name, check in checks.items()]


def _processor(machine: Hardware) -> Check:
    cores = f"{machine.physical_cores} cores, {machine.logical_cores} threads"
    return Check("", "OK", f"{machine.cpu_name}, {cores}")


def _cpu_features(machine: Hardware) -> Check:
    found = " ".join(machine.cpu_features) or "none that llama.cpp uses"
    is_x86 = machine.machine.lower() in ("x86_64", "amd64")
    if is_x86 and "AVX2" not in machine.cpu_features:
        fix = f"Build llama.cpp here: {_install_command(_ENGINE)} --no-binary {_ENGINE}"
        return Check("", "warning", f"{found}; ready-made builds want AVX2", fix)
    return Check("", "OK", found)


def _memory(machine: Hardware) -> Check:
    found = f"{_gb(machine.ram_bytes)}, of which {_gb(machine.available_ram_bytes)} free"
    if machine.available_ram_bytes < _LESSON_BYTES:
        return Check("", "warning", found, f"Close programs: a lesson takes {_gb(_LESSON_BYTES)}.")
    return Check("", "OK", found)


def _disk(machine: Hardware) -> Check:
    found = f"{_gb(machine.disk_free_bytes)} free"
    if machine.disk_free_bytes < _MISTRAL_7B_BYTES:
        fix = f"Fine for the tiny model. Mistral 7B takes {_gb(_MISTRAL_7B_BYTES)}."
        return Check("", "warning", found, fix)
    return Check("", "OK", found)


def _gpu(machine: Hardware) -> Check:
    if machine.gpus:
        return Check("", "OK", "; ".join(_describe_gpus(machine)))
    if find_spec("llama_cpp") is None:
        return Check("", "warning", "not known without llama.cpp", _install_command(_ENGINE))
    build = _gpu_build(machine)
    if build:
        fix = f"To use it, build llama.cpp with CMAKE_ARGS={build} (lesson 08). Not needed."
        return Check("", "warning", "one is there, but llama.cpp was built without it", fix)
    return Check("", "OK", "none seen by llama.cpp, and none needed")


def _describe_gpus(machine: Hardware) -> Iterable[str]:
    for gpu in machine.gpus:
        yield f"{gpu.name}, {_gb(gpu.free_bytes)} of {_gb(gpu.total_bytes)} free"


def _gpu_build(machine: Hardware) -> str:
    """Name the build option for a GPU that llama.cpp does not see."""
    if machine.os == "Darwin" and machine.machine == "arm64":
        return "-DGGML_METAL=on"
    return "-DGGML_CUDA=on" if shutil.which("nvidia-smi") else ""


def _check_hangul_font() -> Check:
    from course_lib.plots import FontNotFoundError, hangul_font_path

    try:
        return Check("", "OK", hangul_font_path().stem)
    except FontNotFoundError:
        return Check("", "missing", "none", _install_command("koreanize-matplotlib"))


def _check_tiny_model() -> Check:
    fix = f"In the course's folder: git checkout -- course_lib/data/{TINY_MODEL_PATH.name}"
    if not TINY_MODEL_PATH.is_file():
        return Check("", "missing", f"no file {TINY_MODEL_PATH}", fix)
    from course_lib.gguf_file import InvalidGGUFError, inspect_gguf

    try:
        info = inspect_gguf(TINY_MODEL_PATH)
    except (InvalidGGUFError, OSError) as error:
        return Check("", "missing", str(error), fix)
    return Check("", "OK", f"{info.n_params:,} weights, {info.size_bytes:,} bytes")


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
