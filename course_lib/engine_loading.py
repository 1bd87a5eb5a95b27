"""Load a model into llama.cpp, quietly, with its own words in the error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.engine_turns import EngineError
from course_lib.quiet_engine import captured_chatter

if TYPE_CHECKING:
    from llama_cpp import Llama


def load_engine(path: Path, **options: object) -> Llama:
    """Load a model.

    Parameters
    ----------
    path : Path
        Of a GGUF that has been validated.
    **options
        As for `llama_cpp.Llama`.

    Raises
    ------
    EngineError
        When llama.cpp cannot, with its reason.
    """
    from llama_cpp import Llama

    try:
        with captured_chatter() as chatter:
            return Llama(model_path=str(path), verbose=False, **options)
    except Exception as error:
        raise EngineError(
            f"llama.cpp cannot load {path.name}: {chatter.first_error() or error}"
        ) from None
