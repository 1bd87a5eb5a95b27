"""Finding the compilers that a build of llama.cpp needs."""

import shlex
import sys

import pytest

from course_lib import compiler


def on_linux(monkeypatch, **variables):
    monkeypatch.setattr(compiler.platform, "system", lambda: "Linux")
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    for name, command in variables.items():
        monkeypatch.setenv(name, command)


def test_a_compiler_that_does_not_run_is_none(monkeypatch):
    on_linux(monkeypatch, CC=shlex.join([sys.executable, "-c", "raise SystemExit(1)"]))
    monkeypatch.setattr(compiler.shutil, "which", {sys.executable: sys.executable}.get)
    assert compiler.find_compilers() == {"CC": "", "CXX": ""}
    assert compiler.missing_languages() == ["C", "C++"]


def test_the_compilers_of_cc_and_cxx_come_first(monkeypatch):
    command = shlex.join([sys.executable, "-I"])
    on_linux(monkeypatch, CC=command, CXX=command)
    assert compiler.find_compilers() == {"CC": command, "CXX": command}
    assert compiler.missing_languages() == []


def test_c_without_cpp_is_not_enough(monkeypatch):
    command = shlex.join([sys.executable, "-I"])
    on_linux(monkeypatch, CC=command)
    monkeypatch.setattr(compiler.shutil, "which", {sys.executable: sys.executable}.get)
    assert compiler.missing_languages() == ["C++"]


@pytest.mark.parametrize(
    ("system", "words"),
    [("Linux", "build-essential"), ("Darwin", "xcode-select"), ("Windows", "Visual Studio")],
)
def test_advice_suits_the_system(monkeypatch, system, words):
    monkeypatch.setattr(compiler.platform, "system", lambda: system)
    assert words in compiler.how_to_install_compilers()
