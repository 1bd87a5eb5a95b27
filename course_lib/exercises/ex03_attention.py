"""Exercises of lesson 03, attention."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from course_lib.attention import causal_mask, scaled_dot_product_attention
from course_lib.config import MISTRAL_7B_V01, MISTRAL_7B_V03, TINY_MISTRAL
from course_lib.exercises.problem import FunctionProblem
from course_lib.exercises.progress import Progress

_Q = np.array([[1.0, 0.0, 2.0, -1.0], [0.5, 3.0, 0.0, 1.0]])
_K = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, -2.0, 1.0, 4.0], [2.0, 0.0, 1.0, 1.0]])

q1 = FunctionProblem(
    key="attention.scores",
    cases=[((_Q, _K), _Q @ _K.T / 2.0), ((_K, _Q[:, ::-1]), _K @ _Q[:, ::-1].T / 2.0)],
    solution="""\
import numpy as np


def scores(q, k):
    return q @ k.T / np.sqrt(q.shape[-1])""",
    mistakes={
        "no_scale": """\
def scores(q, k):
    return q @ k.T""",
        "no_root": """\
def scores(q, k):
    return q @ k.T / q.shape[-1]""",
        "tokens_counted": """\
import numpy as np


def scores(q, k):
    return q @ k.T / np.sqrt(len(k))""",
        "turned_over": """\
import numpy as np


def scores(q, k):
    return k @ q.T / np.sqrt(q.shape[-1])""",
        "multiplied": """\
import numpy as np


def scores(q, k):
    return q @ k.T * np.sqrt(q.shape[-1])""",
    },
)


def _softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


_SCORES = np.array([[0.0, 1.0, 2.0], [3.0, -np.inf, 3.0]])
_LARGE = np.array([[1000.0, 999.0], [-2000.0, -2001.0]])

q2 = FunctionProblem(
    key="attention.stable_softmax",
    cases=[((_SCORES,), _softmax(_SCORES)), ((_LARGE,), _softmax(_LARGE))],
    solution="""\
import numpy as np


def stable_softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)""",
    mistakes={
        "overflows": """\
import numpy as np


def stable_softmax(scores):
    with np.errstate(all="ignore"):
        return np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)""",
        "whole_maximum": """\
import numpy as np


def stable_softmax(scores):
    with np.errstate(all="ignore"):
        exponentials = np.exp(scores - scores.max())
        return exponentials / exponentials.sum(axis=-1, keepdims=True)""",
        "columns": """\
import numpy as np


def stable_softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=0, keepdims=True))
    return exponentials / exponentials.sum(axis=0, keepdims=True)""",
        "whole_sum": """\
import numpy as np


def stable_softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum()""",
        "not_divided": """\
import numpy as np


def stable_softmax(scores):
    return np.exp(scores - scores.max(axis=-1, keepdims=True))""",
    },
)

q3 = FunctionProblem(
    key="attention.causal_mask",
    cases=[
        ((2,), np.array([[0.0, -np.inf], [0.0, 0.0]])),
        ((4,), np.triu(np.full((4, 4), -np.inf), k=1)),
        ((1,), np.array([[0.0]])),
    ],
    solution="""\
import numpy as np


def causal_mask(n):
    return np.triu(np.full((n, n), -np.inf), k=1)""",
    mistakes={
        "own_position_hidden": """\
import numpy as np


def causal_mask(n):
    return np.triu(np.full((n, n), -np.inf), k=0)""",
        "only_ahead": """\
import numpy as np


def causal_mask(n):
    return np.tril(np.full((n, n), -np.inf), k=-1)""",
        "one_ahead_allowed": """\
import numpy as np


def causal_mask(n):
    return np.triu(np.full((n, n), -np.inf), k=2)""",
        "zeros_and_ones": """\
import numpy as np


def causal_mask(n):
    return np.tril(np.ones((n, n)))""",
        "booleans": """\
import numpy as np


def causal_mask(n):
    return np.tril(np.ones((n, n), dtype=bool))""",
        "nan": """\
import numpy as np


def causal_mask(n):
    with np.errstate(invalid="ignore"):
        return np.triu(np.ones((n, n)), k=1) * -np.inf""",
    },
)


def _attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return scaled_dot_product_attention(q, k, v, mask)[0]


_RNG = np.random.default_rng(3)
_QKV = tuple(_RNG.integers(-3, 4, (3, 4, 4)).astype(float))
_V_WIDE = _RNG.integers(-3, 4, (4, 2)).astype(float)

q4 = FunctionProblem(
    key="attention.attention",
    cases=[
        ((*_QKV, causal_mask(4)), _attention(*_QKV, causal_mask(4))),
        (
            (_QKV[0][:2], *_QKV[1:], np.zeros((2, 4))),
            _attention(_QKV[0][:2], *_QKV[1:], np.zeros((2, 4))),
        ),
        ((*_QKV[:2], _V_WIDE, causal_mask(4)), _attention(*_QKV[:2], _V_WIDE, causal_mask(4))),
    ],
    solution="""\
import numpy as np

from course_lib.sampling import softmax


def attention(q, k, v, mask):
    scores = q @ k.T / np.sqrt(q.shape[-1]) + mask
    return softmax(scores) @ v""",
    mistakes={
        "no_scale": """\
from course_lib.sampling import softmax


def attention(q, k, v, mask):
    return softmax(q @ k.T + mask) @ v""",
        "no_mask": """\
import numpy as np

from course_lib.sampling import softmax


def attention(q, k, v, mask):
    return softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v""",
        "no_softmax": """\
import numpy as np


def attention(q, k, v, mask):
    return np.where(np.isfinite(mask), q @ k.T / np.sqrt(q.shape[-1]), 0) @ v""",
        "masked_too_late": """\
import numpy as np

from course_lib.sampling import softmax


def attention(q, k, v, mask):
    weights = softmax(q @ k.T / np.sqrt(q.shape[-1]))
    return np.where(np.isfinite(mask), weights, 0) @ v""",
        "weights_returned": """\
import numpy as np

from course_lib.sampling import softmax


def attention(q, k, v, mask):
    return softmax(q @ k.T / np.sqrt(q.shape[-1]) + mask)""",
    },
)

_HEADS = np.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]], [[9.0, 1.0], [2.0, 3.0]]])

q5 = FunctionProblem(
    key="attention.repeat_kv",
    cases=[
        ((_HEADS, 2), np.repeat(_HEADS, 2, axis=1)),
        ((_HEADS, 3), np.repeat(_HEADS, 3, axis=1)),
        ((_HEADS[:, :1], 1), _HEADS[:, :1]),
    ],
    solution="""\
import numpy as np


def repeat_kv(x, n_rep):
    return np.repeat(x, n_rep, axis=1)""",
    mistakes={
        "tiled": """\
import numpy as np


def repeat_kv(x, n_rep):
    return np.tile(x, (1, n_rep, 1))""",
        "tokens_repeated": """\
import numpy as np


def repeat_kv(x, n_rep):
    return np.repeat(x, n_rep, axis=0)""",
        "numbers_repeated": """\
import numpy as np


def repeat_kv(x, n_rep):
    return np.repeat(x, n_rep, axis=-1)""",
        "flattened": """\
import numpy as np


def repeat_kv(x, n_rep):
    return np.repeat(x, n_rep)""",
    },
)

_WINDOWED = replace(TINY_MISTRAL, sliding_window=8)

q6 = FunctionProblem(
    key="attention.cache_bytes",
    cases=[
        ((TINY_MISTRAL, 100), 128_000),
        ((MISTRAL_7B_V03, 32_768), 4_294_967_296),
        ((_WINDOWED, 100), 10_240),
        ((_WINDOWED, 5), 6_400),
        ((MISTRAL_7B_V01, 32_768), 536_870_912),
    ],
    solution="""\
def cache_bytes(config, n_tokens):
    if config.sliding_window is not None:
        n_tokens = min(n_tokens, config.sliding_window)
    return 2 * 2 * config.n_layers * config.n_kv_heads * config.head_dim * n_tokens""",
    mistakes={
        "keys_only": """\
def cache_bytes(config, n_tokens):
    if config.sliding_window is not None:
        n_tokens = min(n_tokens, config.sliding_window)
    return 2 * config.n_layers * config.n_kv_heads * config.head_dim * n_tokens""",
        "query_heads": """\
def cache_bytes(config, n_tokens):
    if config.sliding_window is not None:
        n_tokens = min(n_tokens, config.sliding_window)
    return 2 * 2 * config.n_layers * config.n_heads * config.head_dim * n_tokens""",
        "one_layer": """\
def cache_bytes(config, n_tokens):
    if config.sliding_window is not None:
        n_tokens = min(n_tokens, config.sliding_window)
    return 2 * 2 * config.n_kv_heads * config.head_dim * n_tokens""",
        "no_window": """\
def cache_bytes(config, n_tokens):
    return 2 * 2 * config.n_layers * config.n_kv_heads * config.head_dim * n_tokens""",
        "always_the_window": """\
def cache_bytes(config, n_tokens):
    if config.sliding_window is not None:
        n_tokens = config.sliding_window
    return 2 * 2 * config.n_layers * config.n_kv_heads * config.head_dim * n_tokens""",
        "float32": """\
def cache_bytes(config, n_tokens):
    if config.sliding_window is not None:
        n_tokens = min(n_tokens, config.sliding_window)
    return 2 * 4 * config.n_layers * config.n_kv_heads * config.head_dim * n_tokens""",
    },
)

progress = Progress([q1, q2, q3, q4, q5, q6])
