"""llama.cpp's logits at every position: the other engine's opinion on the same file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from course_lib.engine_loading import load_engine
from course_lib.engine_turns import EngineError
from course_lib.gguf_file import inspect_gguf, validate_gguf

if TYPE_CHECKING:
    from llama_cpp import Llama

_SMALL_MODEL_BYTES = 64 * 2**20  # its threads would wait for each other longer than they compute
_WINDOW_TOKENS = 512  # what llama.cpp's own measurement of perplexity reads at once


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
    with _engine(path, n_ctx=len(ids)) as engine:
        _require_ids(engine, ids)
        engine.eval(list(ids))
        return np.array(engine.scores[: len(ids)], dtype=np.float32)


def engine_state_bytes(path: str | os.PathLike[str], ids: Sequence[int]) -> int:
    """Let llama.cpp read `ids`, and return the size of what it then remembers of them.

    Its cache holds half precision, as it does by default. Beside keys and values there are a few
    bytes a token for its position.

    Parameters
    ----------
    path, ids
        As for `engine_logits`; raises what it raises.

    Returns
    -------
    int
    """
    import llama_cpp

    with _engine(path, n_ctx=len(ids), kv_type=llama_cpp.GGML_TYPE_F16) as engine:
        _require_ids(engine, ids)
        engine.eval(list(ids))
        return llama_cpp.llama_state_seq_get_size(engine.ctx, 0)


def engine_window_logits(
    path: str | os.PathLike[str], text: str | Sequence[str]
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Let llama.cpp read a text of any length, one window after the other.

    The model is loaded once and runs as it does by default. Each window begins with the
    begin-of-sequence token, if the model has one, so that every token is predicted exactly once.

    Parameters
    ----------
    path : str or path-like
        Of a GGUF; raises what `engine_logits` raises.
    text : str or sequence of str
        Plain text: ``<s>`` in it is three characters. Of several, each begins a new window.

    Yields
    ------
    ids : list of int, length n_tokens
        Of a window, at most 512 or what the model was made for.
    logits : np.ndarray of float32, shape (n_tokens, vocab_size)
        A new array each time.

    Examples
    --------
    >>> from course_lib import TINY_MODEL_PATH
    >>> [(len(ids), logits.shape) for ids, logits in engine_window_logits(TINY_MODEL_PATH, "나는")]
    [(2, (2, 2048))]
    """
    import llama_cpp

    info = inspect_gguf(path)
    n_trained = info.metadata.get(f"{info.architecture}.context_length", _WINDOW_TOKENS)
    n_window = min(_WINDOW_TOKENS, n_trained) if isinstance(n_trained, int) else _WINDOW_TOKENS
    with _engine(path, n_ctx=n_window, kv_type=llama_cpp.GGML_TYPE_F16) as engine:
        starts = [engine.token_bos()] if engine._model.add_bos_token() else []
        n_step = n_window - len(starts)
        for part in [text] if isinstance(text, str) else text:
            ids = engine.tokenize(part.encode(), add_bos=False, special=False) if part else []
            for start in range(0, len(ids), n_step):
                window = starts + ids[start : start + n_step]
                engine.reset()
                engine.eval(window)
                yield window, np.array(engine.scores[: len(window)], dtype=np.float32)


@contextmanager
def _engine(
    path: str | os.PathLike[str], n_ctx: int, kv_type: int | None = None
) -> Iterator[Llama]:
    """Load a model that keeps the logits of every position, and free it at the end."""
    import llama_cpp

    validate_gguf(path)
    n_ctx = max(n_ctx, 8)
    kv_type = llama_cpp.GGML_TYPE_F32 if kv_type is None else kv_type
    n_threads = 1 if Path(path).stat().st_size < _SMALL_MODEL_BYTES else None
    engine = load_engine(
        Path(path),
        n_threads=n_threads,
        n_threads_batch=n_threads,
        n_ctx=n_ctx,
        n_batch=n_ctx,
        n_ubatch=n_ctx,
        type_k=kv_type,
        type_v=kv_type,
        flash_attn=False,
        logits_all=True,
    )
    try:
        yield engine
    finally:
        engine.close()


def _require_ids(engine: Llama, ids: Sequence[int]) -> None:
    n_vocab = engine.n_vocab()
    bad = [i for i in ids if not 0 <= i < n_vocab]
    if bad or not len(ids):
        raise EngineError(f"{bad or 'no ids'}: ids from 0 to {n_vocab - 1} are needed.")
