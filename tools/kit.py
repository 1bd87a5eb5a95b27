"""Make an offline kit: the course, all that it installs, and models, for a USB stick or a share.

    python -m tools.kit                                       # build/kit
    python -m tools.kit --model qwen3-0.6b --output /media/usb/kit
    python -m tools.kit --python 3.11 3.12 --tar              # for two Pythons, and as one file

In the kit's folder `course`, `make lab` and `make test` then need no network. Packages belong to a
system, a kind of processor and a Python: `make` asks `python -m tools.kit --check FOLDER` first.
Only the standard library is needed for that, as nothing is installed yet.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from tools.install_engine import ROOT, say
from tools.kit_target import MARK, KitError, Target, check_kit
from tools.kit_wheels import HEARTBEAT_S, collect_wheels, output_of
from tools.kit_words import readme

SUMS = "SHA256SUMS"
FORMAT = 1
_CHUNK_BYTES = 1 << 22
_SPARE_BYTES = 600_000_000  # for packages and the course
_NOT_COURSE = {".git", ".venv", "build", "dist", "models", "__pycache__", ".ipynb_checkpoints"}
_NOT_COURSE |= {".pytest_cache", ".ruff_cache", ".hypothesis"}
_WEIGHTS = {".gguf", ".part", ".safetensors", ".pt"}


def make_kit(
    output: Path,
    models: Sequence[str] = (),
    pythons: Sequence[str] = (),
    *,
    root: Path = ROOT,
    with_tar: bool = False,
) -> Path:
    """Make a kit in the folder `output`, whole or not at all.

    Parameters
    ----------
    output : Path
        A new or empty folder, or an older kit in which nobody has worked.
    models : sequence of str
        Names of the catalogue whose files are on this machine.
    pythons : sequence of str
        Versions or commands of other Pythons; this one when left out.
    root : Path
        The course.
    with_tar : bool
        Whether to pack the kit into one file as well, beside the folder.

    Raises
    ------
    KitError
        Nothing is left behind, and an older kit stays as it was.
    """
    output = output.absolute()
    require_replaceable(output)
    found = {name: _model_file(name) for name in models}
    commands = [_python_command(name) for name in pythons] or [sys.executable]
    needed = sum(path.stat().st_size for path, _ in found.values()) + _SPARE_BYTES
    output.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(output.parent).free
    if free < needed * (2 if with_tar else 1):
        raise KitError(f"{output.parent} has {free / 1e9:.1f} GB left, and that is too little.")
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as part:
        kit = Path(part) / output.name
        n_files = copy_course(root, kit / "course", leave_out=output)
        say(f"1/4  course: {n_files} files")
        target = Target.here([collect_wheels(python, kit / "wheels", root) for python in commands])
        say(f"2/4  packages: {len(list((kit / 'wheels').iterdir()))}, for {target.described}")
        for name, (path, wanted) in found.items():
            copy_model(name, path, wanted, kit / "course" / "models")
        say(f"3/4  models: {', '.join(found) or 'none (tiny-mistral is in the course)'}")
        mark = {"kit": FORMAT, **asdict(target), "models": list(found)}
        (kit / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
        text = readme(target.described, list(found))
        (kit / "README.txt").write_text(text, encoding="utf-8", newline="\n")
        n_sums = write_sums(kit)
        packed = pack(kit, Path(part)) if with_tar else None
        say(f"4/4  {SUMS}: {n_sums} files, {_folder_bytes(kit) / 1e6:,.0f} MB")
        _put(kit, output, Path(part) / "old")
        if packed:
            packed.replace(output.with_name(packed.name))
    return output


def require_replaceable(output: Path) -> None:
    """Raise KitError unless a kit may be written to `output`."""
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir() or output.is_symlink():
        raise KitError(f"{output} is there and is no folder. Name another one: --output FOLDER")
    if not any(output.iterdir()):
        return
    if not (output / MARK).is_file():
        raise KitError(
            f"{output} holds something that is no kit, so nothing was changed. "
            "Name another folder: --output FOLDER"
        )
    if (output / "course" / ".venv").exists():
        raise KitError(
            f"somebody has worked in {output / 'course'}. Move what should stay, delete the "
            "folder, and call again; or name another one: --output FOLDER"
        )


def copy_course(root: Path, target: Path, leave_out: Path | None = None) -> int:
    """Copy the course as it is in the working tree, without what is installed or made."""
    n_files = 0
    for name in course_files(root):
        source, copy = root / name, target / name
        is_ours = source.is_file() and not source.is_symlink()  # git may list what was deleted
        if not is_ours or leave_out in source.parents:
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        with suppress(OSError):  # a stick's file system may know no permissions
            copy.chmod(source.stat().st_mode)
        n_files += 1
    if not (target / "Makefile").is_file():
        raise KitError(f"{root} is not the folder of the course: it has no Makefile.")
    return n_files


def course_files(root: Path) -> list[str]:
    """Names of the course's files: those that git knows or would take, else all but rubbish."""
    git = shutil.which("git")
    if git and output_of(git, "-C", root, "rev-parse", "--show-prefix") == "\n":  # its very top
        names = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        return sorted({name for name in output_of(git, "-C", root, *names).split("\0") if name})
    return sorted(path.relative_to(root).as_posix() for path in _walk(root))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _NOT_COURSE or path.name.endswith(".egg-info") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.suffix not in _WEIGHTS or path.parent.name == "data":
            yield path


def copy_model(name: str, source: Path, wanted: str, folder: Path) -> None:
    """Copy a model, and raise KitError unless it is the published file, byte for byte."""
    folder.mkdir(parents=True, exist_ok=True)
    digest, n_done, n_all = sha256(), 0, source.stat().st_size
    spoken = time.monotonic()
    with source.open("rb") as original, (folder / source.name).open("wb") as copy:
        while chunk := original.read(_CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
            n_done += len(chunk)
            if time.monotonic() - spoken > HEARTBEAT_S:
                spoken = time.monotonic()
                say(f"     {name}: {100 * n_done // n_all}%")
    if digest.hexdigest() != wanted:
        raise KitError(
            f"{source} is not the published file of {name}: its SHA-256 differs. Delete it, and "
            f"get it again: python -m course_lib download {name}"
        )


def write_sums(kit: Path) -> int:
    """Write the SHA-256 of every file of the kit, as `sha256sum -c` reads them."""
    lines = []
    for path in sorted(path for path in kit.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = sha256()
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        lines.append(f"{digest.hexdigest()}  {path.relative_to(kit).as_posix()}\n")
    (kit / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")
    return len(lines)


def pack(kit: Path, folder: Path) -> Path:
    """Pack the kit into one file in `folder`. (Nothing gets smaller: all of it is compressed.)"""
    packed = folder / f"{kit.name}.tar"
    with tarfile.open(packed, "w") as archive:
        archive.add(kit, kit.name, filter=_without_owner)
    return packed


def _model_file(name: str) -> tuple[Path, str]:
    """File and SHA-256 of a model of the catalogue that is on this machine."""
    from course_lib.download import find_downloaded, model_folder
    from course_lib.model_catalog import MODELS

    if name not in MODELS:
        raise KitError(f"no model named {name!r}. Choose of: {', '.join(MODELS)}")
    if path := find_downloaded(MODELS[name]):
        return path, MODELS[name].sha256
    raise KitError(
        f"{name} is not in {model_folder()}. A kit downloads no models; get it first:\n"
        f"    python -m course_lib download {name}"
    )


def _python_command(name: str) -> str:
    """Command of a Python that was named by its version or as a command."""
    name = f"python{name}" if re.fullmatch(r"\d+\.\d+", name) else name
    if command := shutil.which(name):
        return command
    raise KitError(f"there is no {name} here. Name Pythons of this machine: --python 3.11 3.12")


def _put(kit: Path, output: Path, old: Path) -> None:
    """Move the finished kit to its place; what was there goes only when that has worked."""
    if output.exists():
        output.replace(old)
    try:
        kit.replace(output)
    except BaseException:
        if old.exists():
            old.replace(output)
        raise


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def main(arguments: Iterable[str] | None = None) -> int:
    """Make a kit, or check one, and return the exit status for the shell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "kit", metavar="FOLDER")
    parser.add_argument("--model", nargs="+", default=[], metavar="NAME", help="that is here")
    parser.add_argument("--python", nargs="+", default=[], metavar="VERSION", help="such as 3.12")
    parser.add_argument("--tar", action="store_true", help="pack it into one file as well")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="is this kit for us?")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            for warning in check_kit(options.check):
                say(warning)
            return 0
        made = make_kit(options.output, options.model, options.python, with_tar=options.tar)
    except KitError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\n{error.filename}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left behind.", file=sys.stderr)
        return 130
    say(f"The kit is in {made}. What to do with it is in its README.txt.")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidy up then, too
    sys.exit(main())
