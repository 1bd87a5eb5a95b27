"""Get a model of the catalogue: pinned, resumed when broken off, and checked to the last byte."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.hub_transfer import DownloadError, fetch
from course_lib.model_catalog import ModelEntry, find_entry
from course_lib.progress_bar import progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

_CHUNK_BYTES = 1 << 22
_SPARE_BYTES = 50_000_000  # left on the disk for others
_YES = ("1", "ON", "YES", "TRUE")


class ChecksumError(DownloadError):
    """A file whose bytes are not those of the published one."""


def model_folder() -> Path:
    """Return where models are kept.

    That is the folder that the variable ``COURSE_MODELS`` names, such as one that a whole
    workshop shares; else ``models`` in the folder of the course, or in the current one when the
    course was installed without its folder.
    """
    named = os.environ.get("COURSE_MODELS")
    if named:
        return Path(named).expanduser()
    root = Path(__file__).resolve().parents[1]
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / "models"


def find_downloaded(
    entry: ModelEntry, directory: str | os.PathLike[str] | None = None
) -> Path | None:
    """Return the file of a model if it is on this machine and as long as it should be.

    Parameters
    ----------
    entry : ModelEntry
    directory : str or path-like, optional
        Where to look; by default in `model_folder` and in huggingface_hub's cache.
    """
    candidates = [_target(entry, directory)]
    if directory is None:
        candidates.append(_in_hub_cache(entry))
    for path in candidates:
        if path is not None and path.is_file() and path.stat().st_size == entry.size_bytes:
            return path
    return None


def download_model(
    name: str, directory: str | os.PathLike[str] | None = None, *, progress: bool = True
) -> Path:
    """Download a model, unless it is here already, and check its SHA-256.

    ``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` an access token, ``HF_HUB_OFFLINE=1`` forbids
    the network. Two calls for the same model take turns. An interrupted download goes on where it
    stopped when it is called again.

    Parameters
    ----------
    name : str
        Of `MODELS`, such as ``"mistral-7b-instruct"``.
    directory : str or path-like, optional
        Made if it is not there; `model_folder` when left out.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Path
        Of the file, complete and checked.

    Raises
    ------
    ModelNotFoundError
        For a name that the catalogue does not have.
    ChecksumError
        When the bytes are not those recorded.
    DownloadError
        When the hub refuses, the connection breaks off, or the disk is full.
    """
    entry = find_entry(name)
    target = _target(entry, directory)
    here = find_downloaded(entry, directory)
    if here is not None and _is_published(here, entry, progress):
        return here
    if target.exists():
        raise ChecksumError(
            f"{target} is there, but it is not the published file. Rename or delete it, and call "
            "again."
        )
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in _YES:
        raise DownloadError(
            f"{entry.title} is not in {target.parent}, and HF_HUB_OFFLINE forbids the network."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _our_turn(target):
            return _download(entry, target, progress)
    except OSError as error:
        raise DownloadError(
            f"{target} cannot be written: {error.strerror or error}. Name a folder that you may "
            "write to, on a disk with room."
        ) from None


def _download(entry: ModelEntry, target: Path, progress: bool) -> Path:
    if target.exists():  # another process has just finished it
        return target
    partial = target.with_name(target.name + ".part")
    if partial.is_symlink():  # it could lead anywhere
        partial.unlink()
    was_begun = partial.exists()
    _require_space(entry, partial)
    _fetch(entry, partial, progress)
    if not _is_published(partial, entry, progress):
        partial.unlink()
        if not was_begun:
            raise ChecksumError(
                f"what came is not the recorded {entry.file_name}: its SHA-256 differs, so it was "
                "deleted. Look for a newer version of the course."
            )
        _fetch(entry, partial, progress)  # perhaps its beginning was of another version
        if not _is_published(partial, entry, progress):
            partial.unlink()
            raise ChecksumError(f"the SHA-256 of {entry.file_name} differs, twice.")
    partial.replace(target)
    return target


def _fetch(entry: ModelEntry, partial: Path, progress: bool) -> None:
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(
        entry.repository,
        entry.file_name,
        revision=entry.revision,
        endpoint=os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/"),
    )
    n_done = partial.stat().st_size if partial.exists() else 0
    with _byte_bar(entry.file_name, entry.size_bytes, n_done, progress) as bar:
        fetch(
            url,
            partial,
            entry.size_bytes,
            revision=entry.revision,
            headers=build_hf_headers(library_name="course_lib"),
            on_bytes=bar.update,
        )


def _is_published(path: Path, entry: ModelEntry, progress: bool) -> bool:
    """Tell whether a file has the recorded SHA-256."""
    digest = sha256()
    with path.open("rb") as file, _byte_bar("SHA-256", entry.size_bytes, 0, progress) as bar:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest() == entry.sha256


def _require_space(entry: ModelEntry, partial: Path) -> None:
    n_done = partial.stat().st_size if partial.exists() else 0
    n_needed = entry.size_bytes - n_done + _SPARE_BYTES
    n_free = shutil.disk_usage(partial.parent).free
    if n_free < n_needed:
        raise DownloadError(
            f"{entry.file_name} needs {n_needed / 1e9:.2f} GB more, and the disk of "
            f"{partial.parent} has {n_free / 1e9:.2f} GB left. Free some, or set COURSE_MODELS to "
            "a folder on another disk."
        )


def _target(entry: ModelEntry, directory: str | os.PathLike[str] | None) -> Path:
    folder = model_folder() if directory is None else Path(directory)
    if Path(entry.file_name).name != entry.file_name or entry.file_name in ("", "..", "."):
        raise DownloadError(f"{entry.file_name!r} is not the name of a file in a folder.")
    return folder / entry.file_name


def _in_hub_cache(entry: ModelEntry) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(entry.repository, entry.file_name, revision=entry.revision)
    return Path(found) if isinstance(found, str) else None


@contextmanager
def _our_turn(target: Path) -> Iterator[None]:
    """Wait while another process downloads the same file."""
    from filelock import FileLock

    lock_path = target.with_name(target.name + ".lock")
    if lock_path.is_symlink():
        lock_path.unlink()
    with FileLock(lock_path):
        yield


def _byte_bar(name: str, total: int, n_done: int, progress: bool) -> tqdm:
    return progress_bar(
        total=total, initial=n_done, desc=name, unit="B", unit_scale=True, disable=not progress
    )
