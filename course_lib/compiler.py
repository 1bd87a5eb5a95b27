"""The C and C++ compilers that build llama.cpp where no ready-made build fits."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path

COMPILER_HELP = {
    "Linux": """\
Debian, Ubuntu:  sudo apt-get install build-essential
Fedora:          sudo dnf install gcc gcc-c++ make""",
    "Darwin": "xcode-select --install",
    "Windows": """\
Install "Build Tools for Visual Studio" with the workload "Desktop development with C++",
or use the course inside WSL (Windows Subsystem for Linux), where its Linux commands work.""",
}


def find_compilers() -> dict[str, str]:
    """Return the command of each compiler by its environment variable, CC and CXX.

    Returns
    -------
    dict of str to str
        "" where there is no compiler. Empty altogether where CMake finds them by itself.

    Notes
    -----
    Naming them matters on Linux: a build would else ask for the very compiler that once built this
    Python, which may be another than the one that is here.
    """
    system = platform.system()
    if system == "Darwin":  # has a `cc` even without the tools: trying it would open a window
        return {} if _runs("xcode-select", "-p") else {"CC": "", "CXX": ""}
    if system == "Windows" and _has_visual_studio():
        return {}
    names = {"CC": ["cc", "gcc", "clang"], "CXX": ["c++", "g++", "clang++"]}
    return {
        variable: next(filter(_runs, [os.environ.get(variable, ""), *commands]), "")
        for variable, commands in names.items()
    }


def missing_languages() -> list[str]:
    """Name the languages, "C" and "C++", that nothing here compiles."""
    found = find_compilers()
    return [{"CC": "C", "CXX": "C++"}[name] for name, command in found.items() if not command]


def how_to_install_compilers() -> str:
    """Give the command, or the program, that brings compilers to this kind of machine."""
    return COMPILER_HELP.get(platform.system(), COMPILER_HELP["Linux"])


def _runs(command: str, question: str = "--version") -> bool:
    words = shlex.split(command)
    if not words or shutil.which(words[0]) is None:
        return False
    return subprocess.run([*words, question], check=False, capture_output=True).returncode == 0


def _has_visual_studio() -> bool:
    """Look for Visual Studio's C++ tools, which are not on the PATH."""
    programs = os.environ.get("PROGRAMFILES(X86)", r"C:\Program Files (x86)")
    finder = Path(programs) / "Microsoft Visual Studio" / "Installer" / "vswhere.exe"
    if not finder.is_file():
        return False
    part = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    command = [finder, "-latest", "-products", "*", "-requires", part]
    command += ["-property", "installationPath"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    return bool(found.stdout.strip())
