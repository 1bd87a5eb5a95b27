"""From one GGUF to another: llama.cpp's own quantizer, with nothing half done left behind."""

from __future__ import annotations

import os
from pathlib import Path

from course_lib.gguf_file import validate_gguf
from course_lib.model_size import LEVELS
from course_lib.quiet_engine import captured_chatter


class ConversionError(RuntimeError):
    """A model could not be converted; the message says why."""


def quantize_gguf(
    source: str | os.PathLike[str], output: str | os.PathLike[str], level: str = "Q4_K_M"
) -> Path:
    """Store the weights of a GGUF at another precision.

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
        When llama.cpp refuses, with its reason.
    InvalidGGUFError, FileNotFoundError, IsADirectoryError, PermissionError
        When `source` cannot be read.
    """
    import llama_cpp

    source, output = Path(source), Path(output)
    if level not in LEVELS:
        raise ValueError(f"no level {level!r}. Choose one of: {', '.join(LEVELS)}.")
    if output.exists() and output.samefile(source):
        raise ValueError(f"{output} is the source itself. Give the output another name.")
    validate_gguf(source)
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = _file_type(level)
    parameters.allow_requantize = True
    unfinished = output.with_name(output.name + ".unfinished")
    try:
        with captured_chatter() as chatter:
            status = llama_cpp.llama_model_quantize(
                os.fsencode(source), os.fsencode(unfinished), parameters
            )
        if status:
            raise ConversionError(f"llama.cpp did not quantize {source}: {chatter.first_error()}")
        validate_gguf(unfinished)
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
    return output


def _file_type(level: str) -> int:
    """Return llama.cpp's number for a level."""
    import llama_cpp

    name = "ALL_F32" if level == "F32" else f"MOSTLY_{level}"
    return getattr(llama_cpp, f"LLAMA_FTYPE_{name}")
