"""The installer of llama.cpp: what it tries, in which order, and what it says when it cannot."""

import re
import subprocess
import sys
from importlib import metadata

import pytest

from course_lib import compiler
from tools import install_engine
from tools.install_engine import PACKAGE, ROOT, EngineError

WORKS, CRASHES = None, "it crashed while computing, with status -4"
READY_MADE, COMPILE, COMPILE_FRESH, UNINSTALL = (
    "ready-made",
    "compile",
    "compile-fresh",
    "uninstall",
)


class FakeMachine:
    """Stands for pip and the engine: records what is tried, and answers as the test says."""

    def __init__(self):
        self.tried = []
        self.compilers = None
        self.pip_answers = [True]
        self.problems = [WORKS]

    def pip_install(self, version, *options, compilers=None):
        self.compilers = compilers
        fresh = COMPILE_FRESH if "--no-cache-dir" in options else COMPILE
        self.tried.append(READY_MADE if "--only-binary" in options else fresh)
        return self.pip_answers.pop(0)

    def engine_problem(self):
        return self.problems.pop(0)

    def python(self, *arguments):
        if UNINSTALL in arguments:
            self.tried.append(UNINSTALL)
        return subprocess.CompletedProcess(arguments, 0, "", "")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    fake = FakeMachine()
    monkeypatch.setattr(install_engine, "pip_install", fake.pip_install)
    monkeypatch.setattr(install_engine, "engine_problem", fake.engine_problem)
    monkeypatch.setattr(install_engine, "_python", fake.python)
    monkeypatch.setattr(install_engine, "_install_requirements", lambda version: None)
    monkeypatch.setattr(install_engine, "is_installed", lambda version, cmake_args: False)
    monkeypatch.setattr(install_engine, "find_compilers", lambda: {"CC": "cc", "CXX": "c++"})
    monkeypatch.setattr(compiler, "find_compilers", lambda: {"CC": "cc", "CXX": "c++"})
    monkeypatch.setattr(install_engine, "CMAKE_ARGS_USED", tmp_path / "cmake-args.txt")
    monkeypatch.setattr(install_engine, "LOG", tmp_path / "build.log")
    return fake


def test_a_ready_made_build_that_works_is_kept(machine):
    install_engine.install("1.2.3")
    assert machine.tried == [READY_MADE]


def test_without_a_ready_made_build_it_compiles(machine):
    machine.pip_answers = [False, True]
    install_engine.install("1.2.3")
    assert machine.tried == [READY_MADE, COMPILE]


def test_a_ready_made_build_that_crashes_is_removed_before_compiling(machine):
    machine.pip_answers, machine.problems = [True, True], [CRASHES, WORKS]
    install_engine.install("1.2.3")
    assert machine.tried == [READY_MADE, UNINSTALL, COMPILE]


def test_a_cached_build_of_another_machine_is_compiled_again(machine):
    machine.pip_answers, machine.problems = [False, True, True], [CRASHES, WORKS]
    install_engine.install("1.2.3")
    assert machine.tried == [READY_MADE, COMPILE, COMPILE_FRESH]


def test_cmake_args_compile_at_once_outside_pips_cache(machine):
    install_engine.install("1.2.3", "-DGGML_CUDA=on")
    assert machine.tried == [COMPILE_FRESH]
    assert install_engine._recorded_cmake_args() == "-DGGML_CUDA=on"


def test_a_build_that_never_works_is_an_error(machine):
    machine.pip_answers, machine.problems = [False, True, True], [CRASHES, CRASHES]
    with pytest.raises(EngineError, match=re.escape(CRASHES)):
        install_engine.install("1.2.3")


@pytest.mark.parametrize(
    ("system", "command"),
    [
        ("Linux", "sudo apt-get install build-essential"),
        ("Linux", "sudo dnf install gcc gcc-c++ make"),
        ("Darwin", "xcode-select --install"),
        ("Windows", "WSL"),
    ],
)
def test_without_a_compiler_it_names_the_remedy_and_builds_nothing(
    machine, monkeypatch, system, command
):
    machine.pip_answers = [False]
    monkeypatch.setattr(compiler, "find_compilers", lambda: {"CC": "cc", "CXX": ""})
    monkeypatch.setattr(compiler.platform, "system", lambda: system)
    with pytest.raises(EngineError, match=re.escape(command)):
        install_engine.install("1.2.3")
    assert machine.tried == [READY_MADE]


def test_the_build_is_told_the_compilers_found(machine):
    machine.pip_answers = [False, True]
    install_engine.install("1.2.3")
    assert machine.compilers == {"CC": "cc", "CXX": "c++"}


def test_the_engine_here_is_the_pinned_one():
    assert metadata.version(PACKAGE).partition("+")[0] == install_engine.pinned_version()


def test_options_that_the_installed_build_lacks_ask_for_another(monkeypatch, tmp_path):
    monkeypatch.setattr(install_engine, "CMAKE_ARGS_USED", tmp_path / "cmake-args.txt")
    version = install_engine.pinned_version()
    assert install_engine.is_installed(version, "")
    assert not install_engine.is_installed(version, "-DGGML_CUDA=on")
    install_engine._record_cmake_args("-DGGML_CUDA=on")
    assert install_engine.is_installed(version, "-DGGML_CUDA=on")


def test_the_log_and_the_terminal_follow_a_long_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(install_engine, "LOG", tmp_path / "build.log")
    program = "import time; print('  [7/9] Building', flush=True); time.sleep(0.5)"
    assert install_engine.run_with_heartbeat([sys.executable, "-c", program], every_s=0.2)
    assert install_engine.LOG.read_text() == "  [7/9] Building\n"
    assert "0 min 00 s (step 7/9)" in capsys.readouterr().out


def test_a_failing_command_is_told_from_a_good_one(monkeypatch, tmp_path):
    monkeypatch.setattr(install_engine, "LOG", tmp_path / "build.log")
    assert not install_engine.run_with_heartbeat([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_missing_pin_is_an_error(tmp_path):
    (tmp_path / "pyproject.toml").write_text('dependencies = ["numpy"]')
    with pytest.raises(EngineError, match="VERSION"):
        install_engine.pinned_version(tmp_path / "pyproject.toml")


def test_conda_gets_the_same_packages_within_the_same_bounds():
    found = re.findall(
        r"^(?:dependencies|serve) = \[\n(.*?)^\]", _read("pyproject.toml"), re.M | re.S
    )
    requirements = dict(re.findall(r'"([A-Za-z0-9_-]+)([<>=][^";]*)', "".join(found)))
    requirements |= server_requirements()
    requirements["matplotlib-base"] = requirements.pop("matplotlib")  # without conda's Qt
    requirements[PACKAGE] = "=0.3.*"  # conda-forge may be a release behind
    del requirements["tomli"]  # the environment has Python 3.12
    theirs = dict(re.findall(r"^\s+- ([A-Za-z0-9_-]+)([<>=].*)$", _read("environment.yml"), re.M))
    assert theirs.pop("python") == "=3.12"
    assert theirs == requirements


def server_requirements():
    """What llama-cpp-python's own server needs, in the words of its package."""
    needed = [r.partition(";") for r in metadata.requires(PACKAGE) if 'extra == "server"' in r]
    return {
        name.lower(): ",".join(sorted(bounds.strip().split(","), reverse=True))
        for name, bounds in (re.match(r"([A-Za-z0-9_-]+)(.*)", r).groups() for r, _, _ in needed)
    }


def _read(name):
    return (ROOT / name).read_text(encoding="utf-8")
