"""llama.cpp's own samplers, one by one or in a row: the other engine's opinion on logits."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from course_lib.sampling import softmax

_TOKEN = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def engine_keeps(
    logits: np.ndarray,
    previous_ids: Sequence[int] = (),
    *,
    repeat_penalty: float = 1.0,
    top_k: int = 0,
    typical_p: float = 1.0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    temperature: float = 1.0,
) -> tuple[list[int], list[float]]:
    """Let llama.cpp filter logits, in its usual order.

    Parameters
    ----------
    logits : np.ndarray, shape (vocab_size,)
    previous_ids : sequence of int
        What was written; the last 64 are penalized.
    repeat_penalty, top_k, typical_p, top_p, min_p, temperature
        As for `sampling.Sampler`; each is off by default.

    Returns
    -------
    ids : list of int
    probabilities : list of float

    Examples
    --------
    >>> engine_keeps(np.float32([1.0, 3.0, 2.0]), top_k=2)[0]
    [1, 2]
    """
    import llama_cpp

    penalties = llama_cpp.llama_sampler_init_penalties(len(logits), 64, repeat_penalty, 0.0, 0.0)
    for token_id in previous_ids:
        llama_cpp.llama_sampler_accept(penalties, token_id)
    filters = (
        (top_k > 0, llama_cpp.llama_sampler_init_top_k, (top_k,)),
        (typical_p < 1, llama_cpp.llama_sampler_init_typical, (typical_p, 1)),
        (top_p < 1, llama_cpp.llama_sampler_init_top_p, (top_p, 1)),
        (min_p > 0, llama_cpp.llama_sampler_init_min_p, (min_p, 1)),
        (temperature != 1, llama_cpp.llama_sampler_init_temp, (temperature,)),
    )
    samplers = [penalties, *(make(*settings) for is_on, make, settings in filters if is_on)]
    kept = _apply(samplers, logits)
    return kept["id"].tolist(), softmax(kept["logit"]).tolist()


def _apply(samplers: list, logits: np.ndarray) -> np.ndarray:
    """Run samplers over all tokens, free them, and return the tokens that are left."""
    import llama_cpp

    array = (llama_cpp.llama_token_data * len(logits))()
    tokens = np.frombuffer(array, dtype=_TOKEN)
    tokens["id"], tokens["logit"] = np.arange(len(logits)), logits
    data = llama_cpp.llama_token_data_array(data=array, size=len(logits), selected=-1, sorted=False)
    for sampler in samplers:
        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(data))
        llama_cpp.llama_sampler_free(sampler)
    left = ctypes.cast(data.data, ctypes.POINTER(ctypes.c_byte))
    kept = np.ctypeslib.as_array(left, (data.size * _TOKEN.itemsize,)).view(_TOKEN)
    return kept[np.isfinite(kept["logit"])].copy()
