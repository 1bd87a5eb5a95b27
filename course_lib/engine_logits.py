"""llama.cpp's logits at every position: the other engine's opinion on the same file."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from course_lib.engine_turns import EngineError
from course_lib.gguf_file import validate_gguf
from course_lib.quiet_engine import captured_chatter


def engine_logits(path: str | os.PathLike[str], ids: Sequence[int]) -> np.ndarray:
    """Let llama.cpp read `ids`, and return its scores of every next token.

    Its cache holds float32 and flash attention is off, so that nothing is rounded but what the
    file's own format asks for.

    Parameters
    ----------
    path : str or path-like
        Of a GGUF.
    ids : sequence of int, length n_tokens

    Returns
    -------
    np.ndarray of float32, shape (n_tokens, vocab_size)

    Raises
    ------
    EngineError
        When llama.cpp cannot load the model or read the ids.
    InvalidGGUFError, FileNotFoundError, IsADirectoryError, PermissionError
        As `inspect_gguf`.

    Examples
    --------
    >>> from course_lib import TINY_MODEL_PATH
    >>> engine_logits(TINY_MODEL_PATH, [1, 300, 301]).shape
    (3, 2048)
    """
    import llama_cpp

    validate_gguf(path)
    n_ctx = max(len(ids), 8)
    with captured_chatter() as chatter:
        try:
            engine = llama_cpp.Llama(
                os.fspath(path),
                n_ctx=n_ctx,
                n_batch=n_ctx,
                n_ubatch=n_ctx,
                type_k=llama_cpp.GGML_TYPE_F32,
                type_v=llama_cpp.GGML_TYPE_F32,
                flash_attn=False,
                logits_all=True,
                verbose=False,
            )
        except (ValueError, RuntimeError, AssertionError) as error:
            raise EngineError(
                f"llama.cpp could not load {path}: {chatter.first_error() or error}"
            ) from None
        n_vocab = engine.n_vocab()
        bad = [i for i in ids if not 0 <= i < n_vocab]
        if bad or not len(ids):
            engine.close()
            raise EngineError(f"{bad or 'no ids'}: ids from 0 to {n_vocab - 1} are needed.")
        engine.eval(list(ids))
        logits = np.array(engine.scores[: len(ids)], dtype=np.float32)
        engine.close()
    return logits
