"""Exercises of lesson 04, a whole transformer."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.problem import FunctionProblem
from course_lib.exercises.progress import Progress
from course_lib.feed_forward import swiglu
from course_lib.rms_norm import rms_norm

_RNG = np.random.default_rng(4)
_X, _GATE, _UP, _DOWN = (
    _RNG.integers(-2, 3, shape).astype(float) for shape in ((2, 3), (4, 3), (4, 3), (3, 4))
)

q1 = FunctionProblem(
    key="transformer.swiglu",
    cases=[
        ((_X, _GATE, _UP, _DOWN), swiglu(_X, _GATE, _UP, _DOWN)),
        ((_X[0], _UP, _GATE, _DOWN), swiglu(_X[0], _UP, _GATE, _DOWN)),
    ],
    solution="""\
import numpy as np


def swiglu(x, w_gate, w_up, w_down):
    gate = x @ w_gate.T
    gate = gate / (1 + np.exp(-gate))
    return (gate * (x @ w_up.T)) @ w_down.T""",
    mistakes={
        "gates_exchanged": """\
import numpy as np


def swiglu(x, w_gate, w_up, w_down):
    up = x @ w_up.T
    return (x @ w_gate.T * up / (1 + np.exp(-up))) @ w_down.T""",
        "sigmoid_only": """\
import numpy as np


def swiglu(x, w_gate, w_up, w_down):
    return (x @ w_up.T / (1 + np.exp(-(x @ w_gate.T)))) @ w_down.T""",
        "added": """\
import numpy as np


def swiglu(x, w_gate, w_up, w_down):
    gate = x @ w_gate.T
    return (gate / (1 + np.exp(-gate)) + x @ w_up.T) @ w_down.T""",
        "no_gate": """\
def swiglu(x, w_gate, w_up, w_down):
    return (x @ w_gate.T * (x @ w_up.T)) @ w_down.T""",
        "silu_at_the_end": """\
import numpy as np


def swiglu(x, w_gate, w_up, w_down):
    product = x @ w_gate.T * (x @ w_up.T)
    return (product / (1 + np.exp(-product))) @ w_down.T""",
    },
)


def _double(x: np.ndarray) -> np.ndarray:
    return 2 * x


def _square(x: np.ndarray) -> np.ndarray:
    return x**2


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.abs(x).max()


def _plus_one(x: np.ndarray) -> np.ndarray:
    return x + 1


def _block(x, norm_1, attend, norm_2, feed_forward):
    x = x + attend(norm_1(x))
    return x + feed_forward(norm_2(x))


_STREAM = np.array([[1.0, -2.0], [3.0, 0.5]])
_PARTS = [(_unit, _plus_one, _double, _square), (_double, _square, _unit, _plus_one)]

q2 = FunctionProblem(
    key="transformer.block",
    cases=[((_STREAM, *parts), _block(_STREAM, *parts)) for parts in _PARTS],
    solution="""\
def block(x, norm_1, attend, norm_2, feed_forward):
    x = x + attend(norm_1(x))
    return x + feed_forward(norm_2(x))""",
    mistakes={
        "no_residual": """\
def block(x, norm_1, attend, norm_2, feed_forward):
    return feed_forward(norm_2(attend(norm_1(x))))""",
        "first_sum_lost": """\
def block(x, norm_1, attend, norm_2, feed_forward):
    mixed = attend(norm_1(x))
    return x + feed_forward(norm_2(x + mixed))""",
        "normed_stream": """\
def block(x, norm_1, attend, norm_2, feed_forward):
    x = norm_1(x)
    x = x + attend(x)
    x = norm_2(x)
    return x + feed_forward(x)""",
        "normed_afterwards": """\
def block(x, norm_1, attend, norm_2, feed_forward):
    x = norm_1(x + attend(x))
    return norm_2(x + feed_forward(x))""",
        "side_by_side": """\
def block(x, norm_1, attend, norm_2, feed_forward):
    return x + attend(norm_1(x)) + feed_forward(norm_2(x))""",
        "no_norm": """\
def block(x, norm_1, attend, norm_2, feed_forward):
    x = x + attend(x)
    return x + feed_forward(x)""",
    },
)

_NORM = np.array([1.0, 2.0, 0.5])
_OUTPUT = np.array([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0], [3.0, 1.0, 0.0], [1.0, 1.0, 1.0]])

q3 = FunctionProblem(
    key="transformer.unembed",
    cases=[
        ((_X, _NORM, 0.1, _OUTPUT), rms_norm(_X, _NORM, 0.1) @ _OUTPUT.T),
        ((10 * _X, _NORM, 0.1, _OUTPUT), rms_norm(10 * _X, _NORM, 0.1) @ _OUTPUT.T),
    ],
    solution="""\
from course_lib.rms_norm import rms_norm


def unembed(x, norm_weight, eps, output):
    return rms_norm(x, norm_weight, eps) @ output.T""",
    mistakes={
        "no_norm": """\
def unembed(x, norm_weight, eps, output):
    return x @ output.T""",
        "last_only": """\
from course_lib.rms_norm import rms_norm


def unembed(x, norm_weight, eps, output):
    return rms_norm(x, norm_weight, eps)[-1] @ output.T""",
        "best_tokens": """\
from course_lib.rms_norm import rms_norm


def unembed(x, norm_weight, eps, output):
    return (rms_norm(x, norm_weight, eps) @ output.T).argmax(axis=-1)""",
        "turned_over": """\
from course_lib.rms_norm import rms_norm


def unembed(x, norm_weight, eps, output):
    return output @ rms_norm(x, norm_weight, eps).T""",
        "probabilities": """\
from course_lib.rms_norm import rms_norm
from course_lib.sampling import softmax


def unembed(x, norm_weight, eps, output):
    return softmax(rms_norm(x, norm_weight, eps) @ output.T)""",
    },
)

q4 = FunctionProblem(
    key="transformer.tokens_processed",
    cases=[
        ((10, 1, True), 10),
        ((10, 1, False), 10),
        ((10, 5, True), 14),
        ((10, 5, False), 60),
        ((1, 160, False), 12_880),
        ((100, 3, False), 303),
    ],
    solution="""\
def tokens_processed(n_prompt, n_new, cached):
    if cached:
        return n_prompt + n_new - 1
    return sum(n_prompt + i for i in range(n_new))""",
    mistakes={
        "last_token_sent": """\
def tokens_processed(n_prompt, n_new, cached):
    if cached:
        return n_prompt + n_new
    return sum(n_prompt + i for i in range(n_new + 1))""",
        "prompt_forgotten": """\
def tokens_processed(n_prompt, n_new, cached):
    return n_new if cached else sum(i for i in range(n_new))""",
        "prompt_again_only": """\
def tokens_processed(n_prompt, n_new, cached):
    return n_prompt + n_new - 1 if cached else n_prompt * n_new""",
        "cache_ignored": """\
def tokens_processed(n_prompt, n_new, cached):
    return sum(n_prompt + i for i in range(n_new))""",
        "exchanged": """\
def tokens_processed(n_prompt, n_new, cached):
    if not cached:
        return n_prompt + n_new - 1
    return sum(n_prompt + i for i in range(n_new))""",
    },
)

q5 = FunctionProblem(
    key="transformer.positions",
    cases=[
        ((0, 4), np.array([0, 1, 2, 3])),
        ((4, 1), np.array([4])),
        ((10, 3), np.array([10, 11, 12])),
    ],
    solution="""\
import numpy as np


def positions(n_cached, n_new):
    return n_cached + np.arange(n_new)""",
    mistakes={
        "from_zero": """\
import numpy as np


def positions(n_cached, n_new):
    return np.arange(n_new)""",
        "one_too_high": """\
import numpy as np


def positions(n_cached, n_new):
    return n_cached + 1 + np.arange(n_new)""",
        "all_positions": """\
import numpy as np


def positions(n_cached, n_new):
    return np.arange(n_cached + n_new)""",
        "last_only": """\
import numpy as np


def positions(n_cached, n_new):
    return np.full(n_new, n_cached)""",
    },
)

progress = Progress([q1, q2, q3, q4, q5])
