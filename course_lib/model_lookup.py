"""From the name of a model to its file, or to what must be done to have it."""

from __future__ import annotations

import os
from pathlib import Path

from course_lib import TINY_MODEL_PATH
from course_lib.download import find_downloaded, model_folder
from course_lib.hardware import detect_hardware
from course_lib.model_catalog import MODELS, ModelEntry, ModelNotFoundError, select_model


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the file of a model: ``"tiny"``, a name of the catalogue, or a path.

    Raises
    ------
    ModelNotFoundError
        Says which names and files would do, or how to get the model.

    Examples
    --------
    >>> find_model("tiny").name
    'tiny-mistral-f16.gguf'
    """
    if model == "tiny":
        return TINY_MODEL_PATH
    if model in MODELS:
        entry = MODELS[model]
        if path := find_downloaded(entry):
            return path
        raise ModelNotFoundError(_how_to_get(entry))
    path = Path(model)
    if path.is_file():
        return path
    raise ModelNotFoundError(
        f"no model {os.fspath(model)!r}: it is neither 'tiny', nor a name of the catalogue "
        f"({', '.join(MODELS)}), nor a file. A relative path starts in the folder of the notebook."
    )


def _how_to_get(entry: ModelEntry) -> str:
    """Say how a model is downloaded, what it needs, and what would fit if it does not."""
    machine = detect_hardware(model_folder())
    needed, free = entry.memory_bytes(), machine.available_ram_bytes
    lines = [
        f"{entry.title} is not in {model_folder()} yet. Get it with",
        f"    python -m course_lib download {entry.name}",
        f"It is {entry.size_bytes / 1e9:.2f} GB (your disk has {machine.disk_free_bytes / 1e9:.0f} "
        f"GB left) and takes {needed / 1e9:.1f} GB of memory (you have {free / 1e9:.1f} GB left).",
    ]
    if needed > free:
        other, reason = select_model(free / 1e9, quality="best")
        lines.append(f"That is too much. {reason}" if other else "LocalLLM('tiny') always fits.")
    return "\n".join(lines)
