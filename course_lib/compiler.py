"""The C compiler that builds llama.cpp where no ready-made build fits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def find_compiler() -> str:
    """Where a C compiler is, in words to show; empty when there is none."""
    if sys.platform == "darwin":  # /usr/bin/cc exists without a compiler, and opens a window
        tools = subprocess.run(["/usr/bin/xcode-select", "-p"], check=False, capture_output=True)
        return "" if tools.returncode else "clang (Command Line Tools)"
    names = (os.environ.get("CC"), "cc", "gcc", "clang", "cl")
    path = next(filter(None, (shutil.which(name) for name in names if name)), "")
    if not path and sys.platform == "win32":
        path = _visual_studio()
    return path


def how_to_install_compiler() -> str:
    """Name the command, or the program, that brings a compiler to this kind of machine."""
    if sys.platform == "darwin":
        return "xcode-select --install"
    if sys.platform == "win32":
        return "Install 'Build Tools for Visual Studio' with 'Desktop development with C++'."
    return (
        "Debian, Ubuntu: sudo apt install build-essential. Fedora: sudo dnf install gcc-c++ make."
    )


def _visual_studio() -> str:
    """Find the folder of Visual Studio's C++ tools, which are not on the PATH."""
    folder = os.environ.get("PROGRAMFILES(X86)", r"C:\Program Files (x86)")
    finder = Path(folder) / "Microsoft Visual Studio" / "Installer" / "vswhere.exe"
    if not finder.is_file():
        return ""
    part = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    command = [finder, "-latest", "-products", "*", "-requires", part]
    command += ["-property", "installationPath"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
