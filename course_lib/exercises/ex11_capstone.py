"""Exercises of lesson 11, the capstone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from course_lib.exercises.compare import compare
from course_lib.exercises.problem import CodeProblem, FunctionProblem, ValueProblem
from course_lib.exercises.progress import Progress
from course_lib.exercises.verdict import Verdict

q1 = ValueProblem(
    key="capstone.chosen_names",
    expected=["ministral-3-3b", "exaone-3.5-2.4b", "llama-3.2-1b"],
    solution="""\
from course_lib.model_catalog import select_model

choices = [
    select_model(4, language="ko", commercial_use=True),
    select_model(4, language="ko"),
    select_model(2, commercial_use=True),
]
chosen_names = [entry.name for entry, reason in choices]""",
    starter="chosen_names = ...",
    mistakes={
        "licence_ignored": ["exaone-3.5-2.4b", "exaone-3.5-2.4b", "llama-3.2-1b"],
        "always_commercial": ["ministral-3-3b", "ministral-3-3b", "llama-3.2-1b"],
        "kiosk_in_korean": ["ministral-3-3b", "exaone-3.5-2.4b", "qwen3-0.6b"],
        "nothing_left_free": ["qwen3-4b", "exaone-3.5-2.4b", "llama-3.2-1b"],
        "memory_ignored": ["qwen3-4b", "exaone-3.5-2.4b", "qwen3-4b"],
        "titles": ["Ministral 3 3B Instruct", "EXAONE 3.5 2.4B Instruct", "Llama 3.2 1B Instruct"],
    },
)

q2 = FunctionProblem(
    key="capstone.fits",
    cases=[
        ((8000, 2000, 2500, 300, 1, 2000), True),
        ((8000, 2000, 2500, 300, 1, 4000), False),
        ((8000, 2000, 2500, 300, 1, 3200), True),
        ((8000, 2000, 2500, 300, 1, 3201), False),
        ((8000, 2000, 6100, 0, 0, 10), False),
        ((8000, 2000, 5900, 200, 0, 10), False),
        ((8000, 0, 5900, 200, 10, 150), True),
        ((8000, 0, 5900, 200, 10, 200), False),
        ((8000, 4000, 4000, 0, 1, 1), False),
    ],
    solution="""\
def fits(ram, spare, weights, buffers, a_token, n_ctx):
    return weights + buffers + a_token * n_ctx <= ram - spare""",
    mistakes={
        "file_alone": """\
def fits(ram, spare, weights, buffers, a_token, n_ctx):
    return weights <= ram - spare""",
        "spare_forgotten": """\
def fits(ram, spare, weights, buffers, a_token, n_ctx):
    return weights + buffers + a_token * n_ctx <= ram""",
        "cache_forgotten": """\
def fits(ram, spare, weights, buffers, a_token, n_ctx):
    return weights + buffers <= ram - spare""",
        "buffers_forgotten": """\
def fits(ram, spare, weights, buffers, a_token, n_ctx):
    return weights + a_token * n_ctx <= ram - spare""",
        "one_token": """\
def fits(ram, spare, weights, buffers, a_token, n_ctx):
    return weights + buffers + a_token <= ram - spare""",
        "filled_exactly": """\
def fits(ram, spare, weights, buffers, a_token, n_ctx):
    return weights + buffers + a_token * n_ctx < ram - spare""",
        "bytes_left": """\
def fits(ram, spare, weights, buffers, a_token, n_ctx):
    return ram - spare - weights - buffers - a_token * n_ctx""",
        "turned_around": """\
def fits(ram, spare, weights, buffers, a_token, n_ctx):
    return weights + buffers + a_token * n_ctx > ram - spare""",
    },
)

_LEVELS = [
    ("F16", 14000, 0.97, 0.0),
    ("Q8_0", 7700, 0.97, 0.001),
    ("Q4_K_M", 4400, 0.96, 0.03),
    ("Q2_K", 2700, 0.90, 0.20),
]

q3 = FunctionProblem(
    key="capstone.choose_level",
    cases=[
        ((_LEVELS, 0.95, 0.05), "Q4_K_M"),
        ((_LEVELS, 0.95, 0.5), "Q4_K_M"),
        ((_LEVELS, 0.8, 0.05), "Q4_K_M"),
        ((_LEVELS, 0.8, 0.5), "Q2_K"),
        ((_LEVELS, 0.97, 0.03), "Q8_0"),
        ((_LEVELS, 0.96, 0.03), "Q4_K_M"),
        ((_LEVELS[::-1], 0.95, 0.05), "Q4_K_M"),
        ((_LEVELS, 0.99, 0.05), None),
        (([("Q6_K", 5900, 0.97, 0.004), ("Q4_0", 4100, 0.97, 0.06)], 0.95, 0.05), "Q6_K"),
    ],
    solution="""\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[2] >= least_right and row[3] <= most_kl]
    return min(passed, key=lambda row: row[1])[0] if passed else None""",
    mistakes={
        "first": """\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[2] >= least_right and row[3] <= most_kl]
    return passed[0][0] if passed else None""",
        "last": """\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[2] >= least_right and row[3] <= most_kl]
    return passed[-1][0] if passed else None""",
        "best": """\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[2] >= least_right and row[3] <= most_kl]
    return min(passed, key=lambda row: row[3])[0] if passed else None""",
        "divergence_ignored": """\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[2] >= least_right]
    return min(passed, key=lambda row: row[1])[0] if passed else None""",
        "answers_ignored": """\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[3] <= most_kl]
    return min(passed, key=lambda row: row[1])[0] if passed else None""",
        "either": """\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[2] >= least_right or row[3] <= most_kl]
    return min(passed, key=lambda row: row[1])[0] if passed else None""",
        "on_the_line": """\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[2] > least_right and row[3] < most_kl]
    return min(passed, key=lambda row: row[1])[0] if passed else None""",
        "smallest_anyway": """\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[2] >= least_right and row[3] <= most_kl]
    return min(passed or rows, key=lambda row: row[1])[0]""",
        "whole_row": """\
def choose_level(rows, least_right, most_kl):
    passed = [row for row in rows if row[2] >= least_right and row[3] <= most_kl]
    return min(passed, key=lambda row: row[1]) if passed else None""",
    },
)

q4 = FunctionProblem(
    key="capstone.turns_remembered",
    cases=[
        ((512, 12, 20, 100, 60), 6),
        ((256, 16, 20, 100, 30), 4),
        ((256, 16, 20, 100, 24), 5),
        ((128, 12, 20, 80, 30), 0),
        ((128, 20, 40, 100, 30), 0),
        ((300, 90, 20, 100, 45), 2),
    ],
    solution="""\
def turns_remembered(context, system, newest, answer, a_turn):
    return max(0, (context - system - newest - answer) // a_turn)""",
    mistakes={
        "answer_forgotten": """\
def turns_remembered(context, system, newest, answer, a_turn):
    return max(0, (context - system - newest) // a_turn)""",
        "system_forgotten": """\
def turns_remembered(context, system, newest, answer, a_turn):
    return max(0, (context - newest - answer) // a_turn)""",
        "newest_forgotten": """\
def turns_remembered(context, system, newest, answer, a_turn):
    return max(0, (context - system - answer) // a_turn)""",
        "everything_forgotten": """\
def turns_remembered(context, system, newest, answer, a_turn):
    return context // a_turn""",
        "below_zero": """\
def turns_remembered(context, system, newest, answer, a_turn):
    return (context - system - newest - answer) // a_turn""",
        "part_of_a_turn": """\
def turns_remembered(context, system, newest, answer, a_turn):
    return max(0, (context - system - newest - answer) / a_turn)""",
        "rounded_up": """\
def turns_remembered(context, system, newest, answer, a_turn):
    return max(0, -(-(context - system - newest - answer) // a_turn))""",
        "tokens": """\
def turns_remembered(context, system, newest, answer, a_turn):
    return max(0, context - system - newest - answer)""",
        "newest_counted": """\
def turns_remembered(context, system, newest, answer, a_turn):
    return max(0, (context - system - newest - answer) // a_turn) + 1""",
    },
)

_VERDICTS = [False, False, False, True, False, False, True, False, True, True]


def _flipped(place: int) -> list[bool]:
    return [stands ^ (n == place) for n, stands in enumerate(_VERDICTS)]


def _first_wrong_guess(guesses: Any) -> str | Verdict | None:
    """Name the first claim that was guessed wrongly."""
    if isinstance(guesses, str) or not isinstance(guesses, (Sequence, np.ndarray)):
        return compare(guesses, _VERDICTS)
    guesses = [x.item() if isinstance(x, np.generic) else x for x in guesses]
    if len(guesses) != len(_VERDICTS):
        return "not_ten"
    if not all(guess is True or guess is False for guess in guesses):
        return "not_truth_values"
    if not any(guesses):
        return "all_myths"
    if all(guesses):
        return "all_facts"
    wrong = [n for n, pair in enumerate(zip(guesses, _VERDICTS), 1) if pair[0] is not pair[1]]
    return f"claim_{wrong[0]}" if wrong else None


q5 = CodeProblem(
    key="capstone.guesses",
    judge=_first_wrong_guess,
    solution=f"guesses = {_VERDICTS}",
    starter="guesses = ...",
    mistakes={
        "all_myths": [False] * 10,
        "all_facts": [True] * 10,
        "not_ten": _VERDICTS[:5],
        "not_truth_values": [int(stands) for stands in _VERDICTS],
    }
    | {f"claim_{n + 1}": _flipped(n) for n in range(10)},
)

progress = Progress([q1, q2, q3, q4, q5])
