"""Exercises of lesson 02, embeddings and positions."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.problem import FunctionProblem
from course_lib.exercises.progress import Progress

q1 = FunctionProblem(
    key="embeddings.one_hot",
    cases=[
        (([2, 0], 4), np.array([[0, 0, 1, 0], [1, 0, 0, 0]])),
        (([1, 1, 3], 4), np.array([[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])),
        (([0], 2), np.array([[1, 0]])),
    ],
    solution="""\
import numpy as np


def one_hot(ids, vocab_size):
    rows = np.zeros((len(ids), vocab_size))
    rows[np.arange(len(ids)), ids] = 1
    return rows""",
    mistakes={
        "transposed": """\
import numpy as np


def one_hot(ids, vocab_size):
    columns = np.zeros((vocab_size, len(ids)))
    columns[ids, np.arange(len(ids))] = 1
    return columns""",
        "all_columns": """\
import numpy as np


def one_hot(ids, vocab_size):
    rows = np.zeros((len(ids), vocab_size))
    rows[:, ids] = 1
    return rows""",
        "id_as_value": """\
import numpy as np


def one_hot(ids, vocab_size):
    rows = np.zeros((len(ids), vocab_size))
    rows[np.arange(len(ids)), ids] = ids
    return rows""",
        "one_row": """\
import numpy as np


def one_hot(ids, vocab_size):
    row = np.zeros(vocab_size)
    row[ids] = 1
    return row""",
    },
)

_TABLE = np.array([[1.0, 2.0, 2.0], [-2.0, 0.0, 0.0], [0.0, 3.0, -3.0], [4.0, 8.0, 8.0]])

q2 = FunctionProblem(
    key="embeddings.cosine_similarity",
    cases=[
        ((np.array([1.0, 2.0, 2.0]), _TABLE), np.array([1.0, -1 / 3, 0.0, 1.0])),
        ((np.array([0.0, 5.0, 0.0]), _TABLE), np.array([2 / 3, 0.0, 0.5**0.5, 2 / 3])),
    ],
    solution="""\
import numpy as np


def cosine_similarity(vector, table):
    lengths = np.linalg.norm(table, axis=-1) * np.linalg.norm(vector)
    return table @ vector / lengths""",
    mistakes={
        "dot_product": """\
def cosine_similarity(vector, table):
    return table @ vector""",
        "one_length": """\
import numpy as np


def cosine_similarity(vector, table):
    return table @ vector / np.linalg.norm(vector)""",
        "whole_table": """\
import numpy as np


def cosine_similarity(vector, table):
    return table @ vector / (np.linalg.norm(table) * np.linalg.norm(vector))""",
        "distance": """\
import numpy as np


def cosine_similarity(vector, table):
    return np.linalg.norm(table - vector, axis=-1)""",
    },
)

_X = np.array([[3.0, 4.0], [30.0, 40.0], [-1.0, 1.0]])
_WEIGHT = np.array([1.0, 2.0])


def _rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight


q3 = FunctionProblem(
    key="embeddings.rms_norm",
    cases=[
        ((_X, np.ones(2), 0.0), _rms_norm(_X, np.ones(2), 0.0)),
        ((_X, _WEIGHT, 0.5), _rms_norm(_X, _WEIGHT, 0.5)),
        ((np.zeros((1, 2)), _WEIGHT, 1e-5), np.zeros((1, 2))),
    ],
    solution="""\
import numpy as np


def rms_norm(x, weight, eps):
    mean_square = (x**2).mean(axis=-1, keepdims=True)
    return x / np.sqrt(mean_square + eps) * weight""",
    mistakes={
        "sum": """\
import numpy as np


def rms_norm(x, weight, eps):
    return x / np.sqrt((x**2).sum(axis=-1, keepdims=True) + eps) * weight""",
        "mean_subtracted": """\
import numpy as np


def rms_norm(x, weight, eps):
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * weight""",
        "eps_outside": """\
import numpy as np


def rms_norm(x, weight, eps):
    return x / (np.sqrt((x**2).mean(axis=-1, keepdims=True)) + eps) * weight""",
        "whole_array": """\
import numpy as np


def rms_norm(x, weight, eps):
    return x / np.sqrt((x**2).mean() + eps) * weight""",
        "no_root": """\
def rms_norm(x, weight, eps):
    return x / ((x**2).mean(axis=-1, keepdims=True) + eps) * weight""",
        "no_weight": """\
import numpy as np


def rms_norm(x, weight, eps):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps)""",
    },
)


def _rotate(x: float, y: float, angle: float) -> tuple[float, float]:
    cos, sin = np.cos(angle), np.sin(angle)
    return float(x * cos - y * sin), float(x * sin + y * cos)


q4 = FunctionProblem(
    key="embeddings.rotate",
    cases=[
        ((1.0, 0.0, np.pi / 2), (0.0, 1.0)),
        ((2.0, 1.0, np.pi / 6), _rotate(2.0, 1.0, np.pi / 6)),
        ((3.0, -4.0, -1.0), _rotate(3.0, -4.0, -1.0)),
    ],
    solution="""\
import numpy as np


def rotate(x, y, angle):
    new_x = x * np.cos(angle) - y * np.sin(angle)
    new_y = x * np.sin(angle) + y * np.cos(angle)
    return new_x, new_y""",
    mistakes={
        "clockwise": """\
import numpy as np


def rotate(x, y, angle):
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)""",
        "already_changed": """\
import numpy as np


def rotate(x, y, angle):
    x = x * np.cos(angle) - y * np.sin(angle)
    y = x * np.sin(angle) + y * np.cos(angle)
    return x, y""",
        "degrees": """\
import numpy as np


def rotate(x, y, angle):
    angle = np.radians(angle)
    return x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)""",
        "exchanged": """\
import numpy as np


def rotate(x, y, angle):
    return x * np.sin(angle) + y * np.cos(angle), x * np.cos(angle) - y * np.sin(angle)""",
    },
)


def _rope(x: np.ndarray, theta: float) -> np.ndarray:
    n_tokens, head_dim = x.shape
    angles = np.outer(np.arange(n_tokens), theta ** (-np.arange(0, head_dim, 2) / head_dim))
    even, odd = x[:, 0::2], x[:, 1::2]
    turned = np.empty_like(x)
    turned[:, 0::2] = even * np.cos(angles) - odd * np.sin(angles)
    turned[:, 1::2] = even * np.sin(angles) + odd * np.cos(angles)
    return turned


_ROWS = np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0], [2.0, -1.0, 0.5, 3.0]])
_TURN = """\
    even, odd = x[:, 0::2], x[:, 1::2]
    turned = np.empty_like(x)
    turned[:, 0::2] = even * np.cos(angles) - odd * np.sin(angles)
    turned[:, 1::2] = even * np.sin(angles) + odd * np.cos(angles)
    return turned"""
_HEAD = """\
import numpy as np


def rope(x, theta):
    n_tokens, head_dim = x.shape
"""

q5 = FunctionProblem(
    key="embeddings.rope",
    cases=[
        ((_ROWS, 100.0), _rope(_ROWS, 100.0)),
        ((np.ones((3, 6)), 10_000.0), _rope(np.ones((3, 6)), 10_000.0)),
    ],
    solution=_HEAD
    + """\
    pairs = np.arange(head_dim // 2)
    angles = np.outer(np.arange(n_tokens), theta ** (-2 * pairs / head_dim))
"""
    + _TURN,
    mistakes={
        "halves": _HEAD
        + """\
    pairs = np.arange(head_dim // 2)
    angles = np.outer(np.arange(n_tokens), theta ** (-2 * pairs / head_dim))
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)""",
        "positions_from_one": _HEAD
        + """\
    pairs = np.arange(head_dim // 2)
    angles = np.outer(np.arange(1, n_tokens + 1), theta ** (-2 * pairs / head_dim))
"""
        + _TURN,
        "no_two": _HEAD
        + """\
    pairs = np.arange(head_dim // 2)
    angles = np.outer(np.arange(n_tokens), theta ** (-pairs / head_dim))
"""
        + _TURN,
        "no_minus": _HEAD
        + """\
    pairs = np.arange(head_dim // 2)
    angles = np.outer(np.arange(n_tokens), theta ** (2 * pairs / head_dim))
"""
        + _TURN,
        "clockwise": _HEAD
        + """\
    pairs = np.arange(head_dim // 2)
    angles = -np.outer(np.arange(n_tokens), theta ** (-2 * pairs / head_dim))
"""
        + _TURN,
        "one_frequency": _HEAD
        + """\
    angles = np.outer(np.arange(n_tokens), np.ones(head_dim // 2))
"""
        + _TURN,
    },
)

progress = Progress([q1, q2, q3, q4, q5])
