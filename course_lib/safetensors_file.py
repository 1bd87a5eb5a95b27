"""Read the tensors of a ``.safetensors`` file, in the form in which checkpoints are published.

Such a file is the length of a header (8 bytes), the header (JSON: name, type, shape and place of
each tensor), and the numbers. The `safetensors` package cannot hand BF16 to NumPy, which has no
such type; most checkpoints are BF16.

References
----------
https://huggingface.co/docs/safetensors (the format)
"""

from __future__ import annotations

import json
import os
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from course_lib.gguf_cursor import printable
from course_lib.quantization import dequantize

_MAX_HEADER_BYTES = 100_000_000  # that of the format
_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


class CheckpointError(ValueError):
    """A published model whose files are missing, damaged or of another kind."""


class _Place(NamedTuple):
    type_name: str
    shape: tuple[int, ...]
    start: int
    stop: int


class SafetensorsFile:
    """The tensors of one file, read when they are asked for.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    CheckpointError
        When the file is damaged, truncated or something else.
    FileNotFoundError, IsADirectoryError, PermissionError
        When there is no file to read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        n_file_bytes = self.path.stat().st_size
        with self.path.open("rb") as file:
            n_header_bytes = int.from_bytes(file.read(8), "little")
            if n_file_bytes < 8 or n_header_bytes > min(_MAX_HEADER_BYTES, n_file_bytes - 8):
                raise self._damage("its header does not fit into the file, so it is truncated")
            header = file.read(n_header_bytes)
        self._data_start = 8 + n_header_bytes
        try:
            entries = json.loads(header)
            entries.pop("__metadata__", None)
            self._places = {name: _place(entry) for name, entry in entries.items()}
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise self._damage(f"its header is damaged ({error})") from None
        end = self._data_start + max((place.stop for place in self._places.values()), default=0)
        if end > n_file_bytes:
            raise self._damage(f"{end:,} bytes expected, {n_file_bytes:,} found")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor, by its name."""
        return {name: place.shape for name, place in self._places.items()}

    def tensor(self, name: str) -> np.ndarray:
        """Read one tensor as float32, whatever it is stored as.

        Raises
        ------
        CheckpointError
            For a type that is no floating-point number of 16 bits or more.
        """
        place = self._places[name]
        if place.type_name not in _TYPES:
            raise CheckpointError(
                f"{printable(name)!r} in {self.path} is stored as {printable(place.type_name)}. "
                f"Only {', '.join(_TYPES)} can be read: take a checkpoint that is not quantized."
            )
        dtype = np.dtype(_TYPES[place.type_name]).newbyteorder("<")
        offset = self._data_start + place.start
        stored = np.fromfile(self.path, dtype, count=prod(place.shape), offset=offset)
        if place.type_name == "BF16":
            return dequantize(stored.view(np.uint8)[None], "BF16").reshape(place.shape)
        with np.errstate(over="ignore"):  # a double beyond float32 is infinite, which is noticed
            return stored.astype(np.float32).reshape(place.shape)

    def _damage(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self.path} is not a whole safetensors file: {what}. Download it again."
        )


def _place(entry: dict[str, Any]) -> _Place:
    """Read one entry of the header; ValueError, TypeError or KeyError when it makes no sense."""
    start, stop = entry["data_offsets"]
    shape = tuple(entry["shape"])
    type_name = str(entry["dtype"])
    if not all(isinstance(n, int) and n >= 0 for n in (*shape, start, stop)):
        raise ValueError("a size is no natural number")
    if type_name in _TYPES and stop - start != prod(shape) * np.dtype(_TYPES[type_name]).itemsize:
        raise ValueError(f"{stop - start} bytes do not hold {shape} of {type_name}")
    return _Place(type_name, shape, start, stop)
