"""Look into a GGUF file, and refuse a damaged one before llama.cpp loads it."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from course_lib.gguf_cursor import InvalidGGUFError, printable
from course_lib.gguf_header import ArraySummary, Header, TensorInfo, read_header
from course_lib.gguf_model import check_model

_N_KEYS_SHOWN = 60


@dataclass(frozen=True)
class GGUFInfo:
    """What the header of a GGUF says; ``print(info)`` shows it.

    Attributes
    ----------
    path : Path
    size_bytes : int
    version, alignment : int
    architecture : str
        ``general.architecture``, empty when the file does not say.
    metadata : dict
        Scalars and strings as they are, arrays as `ArraySummary`.
    tensors : list of TensorInfo
        In the order of the file.
    n_params : int
        Number of weights in all tensors.
    """

    path: Path
    size_bytes: int
    version: int
    alignment: int
    architecture: str
    metadata: dict[str, Any]
    tensors: list[TensorInfo]
    n_params: int

    @property
    def bits_per_weight(self) -> float:
        """Bits that an average weight takes; 0 in a file without tensors."""
        return 8 * sum(tensor.n_bytes for tensor in self.tensors) / max(self.n_params, 1)

    def __str__(self) -> str:
        lines = [
            f"file          {printable(str(self.path))}",
            f"size          {self.size_bytes:,} bytes",
            f"format        GGUF version {self.version}, alignment {self.alignment}",
            f"architecture  {_short(self.architecture) or 'not stated'}",
            f"parameters    {self.n_params:,} of {self.bits_per_weight:.2f} bits",
            f"tensors       {self._type_counts()}",
            f"tokenizer     {self._tokenizer()}",
            "metadata",
        ]
        return "\n".join(lines + self._metadata_lines())

    def tensor_table(self) -> str:
        """One line a tensor: its name, shape, type, bytes and offset."""
        rows = [("tensor", "shape", "type", "bytes", "offset")]
        for tensor in self.tensors:
            shape = " × ".join(map(str, tensor.shape))
            sizes = (f"{tensor.n_bytes:,}", f"{tensor.offset:,}")
            rows.append((printable(tensor.name), shape, tensor.type_name, *sizes))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                f"{cell:{side}{n}}" for cell, side, n in zip(row, "<<<>>", widths, strict=True)
            )
            for row in rows
        )

    def _type_counts(self) -> str:
        types = Counter(tensor.type_name for tensor in self.tensors).most_common()
        counts = ", ".join(f"{n:,} {name}" for name, n in types)
        return f"{len(self.tensors):,} ({counts})" if types else "none"

    def _tokenizer(self) -> str:
        model = self.metadata.get("tokenizer.ggml.model", "none")
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        n_tokens = f", {tokens.n_items:,} tokens" if isinstance(tokens, ArraySummary) else ""
        return _short(model) + n_tokens

    def _metadata_lines(self) -> list[str]:
        shown = list(self.metadata.items())[:_N_KEYS_SHOWN]
        n_more = len(self.metadata) - len(shown)
        lines = [f"  {_short(key)} = {_short(value)}" for key, value in shown]
        return lines + [f"  … and {n_more:,} more"] * bool(n_more)


def inspect_gguf(path: str | os.PathLike[str]) -> GGUFInfo:
    """Read what a GGUF says about its model, and check that the file is whole.

    Only the header is read, so that a file of many gigabytes takes no longer than a small one.
    For the weights themselves, use ``gguf.GGUFReader(path)``.

    Raises
    ------
    InvalidGGUFError
        When the file is damaged, truncated or something else; says where and why.
    FileNotFoundError, IsADirectoryError, PermissionError
        When there is no file to read.
    """
    path = Path(path)
    size_bytes, header = _read(path)
    architecture = header.metadata.get("general.architecture", "")
    n_params = sum(prod(tensor.shape) for tensor in header.tensors)
    return GGUFInfo(
        path=path,
        size_bytes=size_bytes,
        version=header.version,
        alignment=header.alignment,
        architecture=architecture if isinstance(architecture, str) else "",
        metadata=header.metadata,
        tensors=header.tensors,
        n_params=n_params,
    )


def validate_gguf(path: str | os.PathLike[str]) -> None:
    """Return when a file is a whole GGUF that C code may be handed, and raise otherwise.

    Refuses every file that llama.cpp's reader of the format refuses, and those whose values would
    end the whole process: see `course_lib.gguf_model`. A model that llama.cpp declines with an
    error, because a tensor is missing, say, is left to it.

    Raises
    ------
    InvalidGGUFError
        With a `reason`, and the `offset` of the byte where it shows.
    FileNotFoundError, IsADirectoryError, PermissionError
        When there is no file to read.
    """
    _read(Path(path), check_model)


def _read(
    path: Path, check: Callable[[BinaryIO, int, Header], None] | None = None
) -> tuple[int, Header]:
    """Return the size of a file and its header, on which `check` has nothing to say."""
    try:
        size_bytes = _file_size(path)
        with path.open("rb") as file:
            header = read_header(file, size_bytes)
            if check:
                check(file, size_bytes, header)
    except FileNotFoundError:
        raise FileNotFoundError(f"no file {path}. Check the name and the folder.") from None
    except PermissionError:
        raise PermissionError(f"no permission to read {path}. Check its access rights.") from None
    except InvalidGGUFError as error:
        raise InvalidGGUFError(error.reason, error.offset, str(path)) from None
    return size_bytes, header


def _file_size(path: Path) -> int:
    """Size in bytes of a plain file: a pipe must not be opened, as that may block for ever."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{path} is a folder. Name a .gguf file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise InvalidGGUFError("it is a device or a pipe, not a file", 0)
    return status.st_size


def _short(value: object, n_most: int = 72) -> str:
    text = printable(str(value)[: n_most + 1])
    return text if len(text) <= n_most else text[: n_most - 1] + "…"
