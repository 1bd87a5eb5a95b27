"""From a published checkpoint to a GGUF, and from one GGUF to a smaller one.

Two steps, as in llama.cpp itself: conversion keeps the numbers or rounds them simply, and
llama.cpp's quantizer makes the mixtures. A new file takes its place only when it is whole.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from course_lib.gguf_file import GGUFInfo, inspect_gguf, validate_gguf
from course_lib.gguf_package import gguf
from course_lib.hf_checkpoint import HFCheckpoint
from course_lib.llama_file import announce_tensor, write_rope_scaling, write_sizes
from course_lib.model_size import LEVELS, gguf_bytes, tensor_types
from course_lib.progress_bar import progress_bar
from course_lib.quantization import quantize
from course_lib.quiet_engine import captured_log
from course_lib.vocabulary import write_vocabulary

DTYPES = ("F32", "F16", "BF16", "Q8_0")
"""What a checkpoint can be converted to in one step."""

_LARGEST_F16 = float(np.finfo(np.float16).max)


class ConversionError(RuntimeError):
    """A model could not be converted or written; the message says why."""


def convert_checkpoint(
    hf_directory: str | os.PathLike[str], output: str | os.PathLike[str], dtype: str = "F16"
) -> Path:
    """Turn a Hugging Face checkpoint of Mistral or Llama into a GGUF.

    One tensor is in memory at a time. Rows of query and key matrices change places
    (`course_lib.hf_checkpoint.pairs_from_halves`); norms stay float32.

    Parameters
    ----------
    hf_directory : str or path-like
        With ``config.json``, ``*.safetensors`` and ``tokenizer.model`` or ``tokenizer.json``.
    output : str or path-like
        Replaced when the new file is whole; untouched when something fails.
    dtype : str
        ``"F32"``, ``"F16"``, ``"BF16"`` or ``"Q8_0"``. For other levels call `quantize_gguf` next.

    Returns
    -------
    Path
        Of the new file.

    Raises
    ------
    ValueError
        For another dtype.
    CheckpointError
        When a file is missing or damaged, or the model is of another kind.
    ConversionError
        When the disk is full, or a number is too large for the dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(
            f"no dtype {dtype!r}. A checkpoint becomes one of {', '.join(DTYPES)}; quantize_gguf "
            "makes every other level from that."
        )
    checkpoint, output = HFCheckpoint(hf_directory), Path(output)
    _require_other_file(output, checkpoint.paths)
    with _whole_or_nothing(output) as unfinished:
        _require_space(output, gguf_bytes(checkpoint.config, dtype, tied=checkpoint.is_tied))
        _write(unfinished, checkpoint, dtype, name=Path(hf_directory).resolve().name)
    return output


def quantize_gguf(
    source: str | os.PathLike[str], output: str | os.PathLike[str], level: str = "Q4_K_M"
) -> Path:
    """Store the weights of a GGUF at another precision, with llama.cpp's own quantizer.

    Parameters
    ----------
    source : str or path-like
    output : str or path-like
        Replaced when the new file is whole; untouched when something fails.
    level : str
        ``"F32"``, ``"F16"``, ``"BF16"``, ``"Q8_0"``, ``"Q4_K_M"`` …

    Returns
    -------
    Path
        Of the new file.

    Raises
    ------
    ValueError
        For an unknown level, or when `output` is `source`.
    ConversionError
        When llama.cpp refuses, with its reason, or the disk is full.
    InvalidGGUFError, FileNotFoundError, IsADirectoryError, PermissionError
        When `source` cannot be read.
    """
    source, output = Path(source), Path(output)
    if level not in LEVELS:
        raise ValueError(f"no level {level!r}. Choose one of: {', '.join(LEVELS)}.")
    validate_gguf(source)
    info = inspect_gguf(source)
    _require_other_file(output, [source])
    with _whole_or_nothing(output) as unfinished:
        _quantize(info, unfinished, level)
    return output


def _write(path: Path, checkpoint: HFCheckpoint, dtype: str, name: str) -> None:
    """Write a checkpoint as a GGUF, tensor by tensor."""
    types = tensor_types(checkpoint.config, dtype, checkpoint.is_tied)
    writer = gguf.GGUFWriter(path, "llama")
    try:
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name(name)
        writer.add_file_type(_file_type(dtype))
        write_sizes(writer, checkpoint.config)
        write_rope_scaling(writer, checkpoint.rope_scaling)
        write_vocabulary(
            writer,
            checkpoint.vocabulary,
            add_bos=checkpoint.add_bos,
            chat_template=checkpoint.chat_template,
        )
        for tensor_name, shape in checkpoint.shapes.items():
            announce_tensor(writer, tensor_name, shape, types[tensor_name])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        tensors = progress_bar(checkpoint.tensors(), total=len(types), unit="tensor")
        for tensor_name, tensor in tensors:
            writer.write_tensor_data(_stored(tensor_name, tensor, types[tensor_name]))
    finally:
        with suppress(OSError):  # of a full disk, which has been reported once
            writer.close()


def _stored(name: str, tensor: np.ndarray, type_name: str) -> np.ndarray:
    if type_name == "F16" and np.abs(tensor).max() > _LARGEST_F16:
        raise ConversionError(
            f"{name} holds {np.abs(tensor).max():g}, and F16 ends at {_LARGEST_F16:g}. "
            'Convert with dtype="BF16".'
        )
    return quantize(tensor.reshape(-1, tensor.shape[-1]), type_name)


def _quantize(info: GGUFInfo, unfinished: Path, level: str) -> None:
    """Let llama.cpp write the new file, and tell what it says when it does not."""
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = _file_type(level)
    parameters.allow_requantize = True
    with (
        progress_bar(total=len(info.tensors), unit="tensor") as bar,
        captured_log(lambda line: bar.update(_is_about_a_tensor(line))) as log,
    ):
        status = llama_cpp.llama_model_quantize(
            os.fsencode(info.path), os.fsencode(unfinished), parameters
        )
    reason = log.first_error()
    if status and "iostream" in reason:  # what C++ says of a disk that is full
        raise OSError(errno.EIO, "llama.cpp could not write all of it")
    if status:
        raise ConversionError(f"llama.cpp did not quantize {info.path}: {reason}")


def _is_about_a_tensor(line: str) -> bool:
    return line.lstrip().startswith("[")


def _file_type(level: str) -> int:
    """Return llama.cpp's number for a level."""
    name = "ALL_F32" if level == "F32" else f"MOSTLY_{level}"
    return int(gguf.LlamaFileType[name])


def _require_other_file(output: Path, sources: list[Path]) -> None:
    if output.exists() and any(output.samefile(source) for source in sources):
        raise ValueError(f"{output} is the source itself. Give the output another name.")


def _require_space(output: Path, n_bytes: int) -> None:
    n_free = shutil.disk_usage(output.parent).free
    if n_free < n_bytes:
        raise ConversionError(
            f"{output.name} needs {n_bytes / 1e9:.2f} GB, and its disk has {n_free / 1e9:.2f} GB "
            "left. Free some, or write to another disk."
        )


@contextmanager
def _whole_or_nothing(output: Path) -> Iterator[Path]:
    """Give a name to write under; it becomes `output` when all went well, and goes otherwise."""
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder. Name a file in it.")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"no folder {output.parent}. Make it first.")
    unfinished = output.with_name(f"{output.name}.{secrets.token_hex(4)}.unfinished")
    try:
        yield unfinished
        validate_gguf(unfinished)
        unfinished.replace(output)
    except OSError as error:
        raise ConversionError(
            f"{output} could not be written: {error.strerror or error}. Make room on the disk, or "
            "write elsewhere; what was there before is untouched."
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)
