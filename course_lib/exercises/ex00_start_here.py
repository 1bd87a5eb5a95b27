"""Exercises of lesson 00, start here."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.problem import FunctionProblem, ValueProblem
from course_lib.exercises.progress import Progress

q1 = ValueProblem(
    key="start_here.utf8_bytes",
    expected=6,
    solution='n_bytes = len("서울".encode("utf-8"))',
    mistakes={
        "characters": 2,
        "two_bytes_each": 4,
        "bytes_themselves": 'n_bytes = "서울".encode("utf-8")',
    },
)

q2 = ValueProblem(
    key="start_here.stages",
    expected=["text", "tokens", "vectors", "blocks", "logits", "sample"],
    solution='stages = ["text", "tokens", "vectors", "blocks", "logits", "sample"]',
    mistakes={
        "vectors_before_tokens": ["text", "vectors", "tokens", "blocks", "logits", "sample"],
        "sample_before_logits": ["text", "tokens", "vectors", "blocks", "sample", "logits"],
        "blocks_before_vectors": ["text", "tokens", "blocks", "vectors", "logits", "sample"],
    },
)

q3 = FunctionProblem(
    key="start_here.pick_greedy",
    cases=[
        (([0.1, 2.5, -1.0],), 1),
        (([-3.0, -2.0, -0.5],), 2),
        ((np.array([4.0, 1.0, 0.0, 3.5]),), 0),
    ],
    solution="""\
def pick_greedy(logits):
    return max(range(len(logits)), key=lambda token_id: logits[token_id])""",
    mistakes={
        "value_instead_of_index": """\
def pick_greedy(logits):
    return max(logits)""",
        "smallest": """\
def pick_greedy(logits):
    return min(range(len(logits)), key=lambda token_id: logits[token_id])""",
        "counts_from_one": """\
def pick_greedy(logits):
    return max(range(len(logits)), key=lambda token_id: logits[token_id]) + 1""",
    },
)

q4 = FunctionProblem(
    key="start_here.memory_bytes",
    cases=[
        ((8, 4), 4),
        ((1_000_000, 16), 2_000_000),
        ((7_248_023_552, 4.5), 4_077_013_248),
    ],
    solution="""\
def memory_bytes(n_params, bits_per_weight):
    return n_params * bits_per_weight / 8""",
    mistakes={
        "bits": """\
def memory_bytes(n_params, bits_per_weight):
    return n_params * bits_per_weight""",
        "gigabytes": """\
def memory_bytes(n_params, bits_per_weight):
    return n_params * bits_per_weight / 8 / 1e9""",
        "whole_bytes_per_weight": """\
def memory_bytes(n_params, bits_per_weight):
    return n_params * (bits_per_weight // 8)""",
    },
)

q5 = FunctionProblem(
    key="start_here.tokens_per_second",
    cases=[((128, 4.0), 32.0), ((30, 60.0), 0.5), ((7, 2.0), 3.5)],
    solution="""\
def tokens_per_second(n_tokens, elapsed_s):
    return n_tokens / elapsed_s""",
    mistakes={
        "inverted": """\
def tokens_per_second(n_tokens, elapsed_s):
    return elapsed_s / n_tokens""",
        "always_hundred": """\
def tokens_per_second(n_tokens, elapsed_s):
    return 100 / elapsed_s""",
        "whole_numbers": """\
def tokens_per_second(n_tokens, elapsed_s):
    return n_tokens // elapsed_s""",
    },
)

progress = Progress([q1, q2, q3, q4, q5])
