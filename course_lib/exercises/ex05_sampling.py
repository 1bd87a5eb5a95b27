"""Exercises of lesson 05, sampling."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.problem import FunctionProblem
from course_lib.exercises.progress import Progress
from course_lib.sampling import repetition_penalty, softmax, top_k, top_p

q1 = FunctionProblem(
    key="sampling.entropy",
    cases=[
        ((np.array([0.5, 0.25, 0.25]),), 1.5),
        ((np.array([0.9, 0.1]),), float(-0.9 * np.log2(0.9) - 0.1 * np.log2(0.1))),
        ((np.array([0.5, 0.5, 0.0]),), 1.0),
    ],
    solution="""\
import numpy as np


def entropy(probabilities):
    p = probabilities[probabilities > 0]
    return (p * -np.log2(p)).sum()""",
    mistakes={
        "zeros_included": """\
import numpy as np


def entropy(probabilities):
    with np.errstate(all="ignore"):
        return (probabilities * -np.log2(probabilities)).sum()""",
        "natural_logarithm": """\
import numpy as np


def entropy(probabilities):
    p = probabilities[probabilities > 0]
    return (p * -np.log(p)).sum()""",
        "no_minus": """\
import numpy as np


def entropy(probabilities):
    p = probabilities[probabilities > 0]
    return (p * np.log2(p)).sum()""",
        "not_weighted": """\
import numpy as np


def entropy(probabilities):
    p = probabilities[probabilities > 0]
    return (-np.log2(p)).sum()""",
        "plain_mean": """\
import numpy as np


def entropy(probabilities):
    p = probabilities[probabilities > 0]
    return (-np.log2(p)).mean()""",
    },
)

_LOGITS = np.array([2.0, 1.0, -1.0, 0.5])
_LARGE = np.array([500.0, 499.0, 100.0])

q2 = FunctionProblem(
    key="sampling.with_temperature",
    cases=[
        ((_LOGITS, 1.0), softmax(_LOGITS)),
        ((_LOGITS, 0.5), softmax(_LOGITS, 0.5)),
        ((_LARGE, 0.25), softmax(_LARGE, 0.25)),
    ],
    solution="""\
import numpy as np


def with_temperature(logits, temperature):
    scaled = logits / temperature
    exponentials = np.exp(scaled - scaled.max())
    return exponentials / exponentials.sum()""",
    mistakes={
        "multiplied": """\
import numpy as np


def with_temperature(logits, temperature):
    scaled = logits * temperature
    exponentials = np.exp(scaled - scaled.max())
    return exponentials / exponentials.sum()""",
        "ignored": """\
import numpy as np


def with_temperature(logits, temperature):
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()""",
        "too_late": """\
import numpy as np


def with_temperature(logits, temperature):
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum() / temperature""",
        "overflows": """\
import numpy as np


def with_temperature(logits, temperature):
    with np.errstate(all="ignore"):
        exponentials = np.exp(logits / temperature)
        return exponentials / exponentials.sum()""",
        "not_divided": """\
import numpy as np


def with_temperature(logits, temperature):
    scaled = logits / temperature
    return np.exp(scaled - scaled.max())""",
    },
)

_MIXED = np.array([0.3, 2.5, -1.0, 1.7, 0.9])

q3 = FunctionProblem(
    key="sampling.top_k",
    cases=[
        ((_MIXED, 2), top_k(_MIXED, 2)),
        ((_MIXED, 4), top_k(_MIXED, 4)),
        ((_MIXED, 5), _MIXED),
    ],
    solution="""\
import numpy as np


def top_k(logits, k):
    kept = np.full(len(logits), -np.inf)
    best = np.argsort(-logits)[:k]
    kept[best] = logits[best]
    return kept""",
    mistakes={
        "smallest": """\
import numpy as np


def top_k(logits, k):
    kept = np.full(len(logits), -np.inf)
    best = np.argsort(logits)[:k]
    kept[best] = logits[best]
    return kept""",
        "zeros": """\
import numpy as np


def top_k(logits, k):
    kept = np.zeros(len(logits))
    best = np.argsort(-logits)[:k]
    kept[best] = logits[best]
    return kept""",
        "only_the_kept": """\
import numpy as np


def top_k(logits, k):
    return -np.sort(-logits)[:k]""",
        "first_ones": """\
import numpy as np


def top_k(logits, k):
    kept = np.full(len(logits), -np.inf)
    kept[:k] = logits[:k]
    return kept""",
        "ids": """\
import numpy as np


def top_k(logits, k):
    return np.argsort(-logits)[:k]""",
    },
)

_SHARES = np.log(np.array([0.1, 0.4, 0.05, 0.3, 0.15]))

q4 = FunctionProblem(
    key="sampling.top_p",
    cases=[
        ((_SHARES, 0.6), top_p(_SHARES, 0.6)),
        ((_SHARES, 0.8), top_p(_SHARES, 0.8)),
        ((_SHARES, 0.2), top_p(_SHARES, 0.2)),
        ((_SHARES + 3.0, 0.6), top_p(_SHARES + 3.0, 0.6)),
    ],
    solution="""\
import numpy as np

from course_lib.sampling import softmax


def top_p(logits, p):
    probabilities = softmax(logits)
    order = np.argsort(-probabilities)
    before = np.cumsum(probabilities[order]) - probabilities[order]
    best = order[before < p]
    kept = np.full(len(logits), -np.inf)
    kept[best] = logits[best]
    return kept""",
    mistakes={
        "last_one_missing": """\
import numpy as np

from course_lib.sampling import softmax


def top_p(logits, p):
    probabilities = softmax(logits)
    order = np.argsort(-probabilities)
    best = order[np.cumsum(probabilities[order]) <= p]
    kept = np.full(len(logits), -np.inf)
    kept[best] = logits[best]
    return kept""",
        "each_alone": """\
import numpy as np

from course_lib.sampling import softmax


def top_p(logits, p):
    return np.where(softmax(logits) >= p, logits, -np.inf)""",
        "unlikeliest_first": """\
import numpy as np

from course_lib.sampling import softmax


def top_p(logits, p):
    probabilities = softmax(logits)
    order = np.argsort(probabilities)
    before = np.cumsum(probabilities[order]) - probabilities[order]
    best = order[before < p]
    kept = np.full(len(logits), -np.inf)
    kept[best] = logits[best]
    return kept""",
        "not_sorted": """\
import numpy as np

from course_lib.sampling import softmax


def top_p(logits, p):
    probabilities = softmax(logits)
    before = np.cumsum(probabilities) - probabilities
    return np.where(before < p, logits, -np.inf)""",
        "share_of_tokens": """\
import numpy as np


def top_p(logits, p):
    best = np.argsort(-logits)[: round(p * len(logits))]
    kept = np.full(len(logits), -np.inf)
    kept[best] = logits[best]
    return kept""",
    },
)

_SIGNED = np.array([4.0, -4.0, 2.0, 0.5])

q5 = FunctionProblem(
    key="sampling.repetition_penalty",
    cases=[
        ((_SIGNED, [0], 2.0), repetition_penalty(_SIGNED, [0], 2.0)),
        ((_SIGNED, [1, 2], 2.0), repetition_penalty(_SIGNED, [1, 2], 2.0)),
        ((_SIGNED, [0, 0, 0], 2.0), repetition_penalty(_SIGNED, [0], 2.0)),
        ((_SIGNED, [], 2.0), _SIGNED),
    ],
    solution="""\
def repetition_penalty(logits, previous_ids, penalty):
    changed = logits.copy()
    for token_id in set(previous_ids):
        if changed[token_id] > 0:
            changed[token_id] /= penalty
        else:
            changed[token_id] *= penalty
    return changed""",
    mistakes={
        "always_divided": """\
def repetition_penalty(logits, previous_ids, penalty):
    changed = logits.copy()
    for token_id in set(previous_ids):
        changed[token_id] /= penalty
    return changed""",
        "every_time": """\
def repetition_penalty(logits, previous_ids, penalty):
    changed = logits.copy()
    for token_id in previous_ids:
        if changed[token_id] > 0:
            changed[token_id] /= penalty
        else:
            changed[token_id] *= penalty
    return changed""",
        "subtracted": """\
def repetition_penalty(logits, previous_ids, penalty):
    changed = logits.copy()
    for token_id in set(previous_ids):
        changed[token_id] -= penalty
    return changed""",
        "the_others": """\
def repetition_penalty(logits, previous_ids, penalty):
    changed = logits.copy()
    for token_id in range(len(logits)):
        if token_id not in previous_ids:
            changed[token_id] *= penalty if changed[token_id] < 0 else 1 / penalty
    return changed""",
        "forbidden": """\
import numpy as np


def repetition_penalty(logits, previous_ids, penalty):
    changed = logits.copy()
    for token_id in set(previous_ids):
        changed[token_id] = -np.inf
    return changed""",
    },
)

progress = Progress([q1, q2, q3, q4, q5])
