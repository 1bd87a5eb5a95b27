"""Exercises of lesson 09, benchmarking."""

from __future__ import annotations

from course_lib.exercises.problem import FunctionProblem
from course_lib.exercises.progress import Progress

q1 = FunctionProblem(
    key="benchmarking.speeds",
    cases=[
        ((48, [0.5, 0.6, 0.7, 0.8, 0.9]), (96.0, 10.0)),
        ((10, [2.0, 2.5]), (5.0, 2.0)),
        ((100, [0.25, 0.5, 1.25]), (400.0, 2.0)),
    ],
    solution="""\
def speeds(n_prompt, arrivals):
    decode_s = arrivals[-1] - arrivals[0]
    return n_prompt / arrivals[0], (len(arrivals) - 1) / decode_s""",
    mistakes={
        "first_counted": """\
def speeds(n_prompt, arrivals):
    return n_prompt / arrivals[0], len(arrivals) / (arrivals[-1] - arrivals[0])""",
        "from_the_call": """\
def speeds(n_prompt, arrivals):
    return n_prompt / arrivals[0], (len(arrivals) - 1) / arrivals[-1]""",
        "prefill_included": """\
def speeds(n_prompt, arrivals):
    return n_prompt / arrivals[0], len(arrivals) / arrivals[-1]""",
        "prompt_counted": """\
def speeds(n_prompt, arrivals):
    return n_prompt / arrivals[0], (n_prompt + len(arrivals)) / arrivals[-1]""",
        "hundred": """\
def speeds(n_prompt, arrivals):
    return n_prompt / arrivals[0], 100 / arrivals[-1]""",
        "swapped": """\
def speeds(n_prompt, arrivals):
    decode_s = arrivals[-1] - arrivals[0]
    return (len(arrivals) - 1) / decode_s, n_prompt / arrivals[0]""",
        "mean_of_speeds": """\
def speeds(n_prompt, arrivals):
    steps = [b - a for a, b in zip(arrivals, arrivals[1:])]
    return n_prompt / arrivals[0], sum(1 / s for s in steps) / len(steps)""",
        "first_token_time": """\
def speeds(n_prompt, arrivals):
    decode_s = arrivals[-1] - arrivals[0]
    return arrivals[0], (len(arrivals) - 1) / decode_s""",
    },
)

q2 = FunctionProblem(
    key="benchmarking.median_ratio",
    cases=[
        (([(2.0, 1.0), (3.0, 2.0), (9.0, 3.0)],), 2.0),
        (([(1.0, 2.0), (8.0, 2.0), (1.5, 1.0), (5.0, 2.0)],), 2.0),
        (([(1.0, 0.8), (1.2, 1.0), (6.0, 1.1), (1.5, 1.2), (1.6, 1.2)],), 1.25),
    ],
    solution="""\
def median_ratio(pairs):
    return float(np.median([a / b for a, b in pairs]))""",
    mistakes={
        "inverted": """\
def median_ratio(pairs):
    return float(np.median([b / a for a, b in pairs]))""",
        "ratio_of_medians": """\
def median_ratio(pairs):
    a, b = np.transpose(pairs)
    return float(np.median(a) / np.median(b))""",
        "mean": """\
def median_ratio(pairs):
    return float(np.mean([a / b for a, b in pairs]))""",
        "ratio_of_sums": """\
def median_ratio(pairs):
    a, b = np.transpose(pairs)
    return float(a.sum() / b.sum())""",
        "ratio_of_minima": """\
def median_ratio(pairs):
    a, b = np.transpose(pairs)
    return float(a.min() / b.min())""",
        "unsorted": """\
def median_ratio(pairs):
    return [a / b for a, b in pairs][len(pairs) // 2]""",
        "upper_middle": """\
def median_ratio(pairs):
    return sorted(a / b for a, b in pairs)[len(pairs) // 2]""",
    },
)

q3 = FunctionProblem(
    key="benchmarking.intensity",
    cases=[((1, 16), 1.0), ((1, 4.5), 32 / 9), ((64, 8.5), 2048 / 17), ((3, 32), 1.5)],
    solution="""\
def intensity(n_tokens, bits_per_weight):
    return 2 * n_tokens / (bits_per_weight / 8)""",
    mistakes={
        "bits_not_bytes": """\
def intensity(n_tokens, bits_per_weight):
    return 2 * n_tokens / bits_per_weight""",
        "one_operation": """\
def intensity(n_tokens, bits_per_weight):
    return n_tokens / (bits_per_weight / 8)""",
        "read_for_each_token": """\
def intensity(n_tokens, bits_per_weight):
    return 2 / (bits_per_weight / 8)""",
        "inverted": """\
def intensity(n_tokens, bits_per_weight):
    return (bits_per_weight / 8) / (2 * n_tokens)""",
        "multiplied": """\
def intensity(n_tokens, bits_per_weight):
    return 2 * n_tokens * (bits_per_weight / 8)""",
    },
)

q4 = FunctionProblem(
    key="benchmarking.roof",
    cases=[
        ((0.5, 50e9, 200e9), (25e9, "memory")),
        ((100, 50e9, 200e9), (200e9, "arithmetic")),
        ((4, 50e9, 200e9), (200e9, "arithmetic")),
        ((16, 10e9, 400e9), (160e9, "memory")),
    ],
    solution="""\
def roof(intensity, bandwidth, arithmetic):
    by_memory = intensity * bandwidth
    if by_memory < arithmetic:
        return by_memory, "memory"
    return arithmetic, "arithmetic\"""",
    mistakes={
        "larger": """\
def roof(intensity, bandwidth, arithmetic):
    by_memory = intensity * bandwidth
    if by_memory > arithmetic:
        return by_memory, "memory"
    return arithmetic, "arithmetic\"""",
        "names_swapped": """\
def roof(intensity, bandwidth, arithmetic):
    by_memory = intensity * bandwidth
    if by_memory < arithmetic:
        return by_memory, "arithmetic"
    return arithmetic, "memory\"""",
        "ridge": """\
def roof(intensity, bandwidth, arithmetic):
    by_memory = intensity * bandwidth
    if by_memory <= arithmetic:
        return by_memory, "memory"
    return arithmetic, "arithmetic\"""",
        "divided": """\
def roof(intensity, bandwidth, arithmetic):
    by_memory = bandwidth / intensity
    if by_memory < arithmetic:
        return by_memory, "memory"
    return arithmetic, "arithmetic\"""",
        "slope_only": """\
def roof(intensity, bandwidth, arithmetic):
    name = "memory" if intensity * bandwidth < arithmetic else "arithmetic"
    return intensity * bandwidth, name""",
        "name_alone": """\
def roof(intensity, bandwidth, arithmetic):
    return "memory" if intensity * bandwidth < arithmetic else "arithmetic\"""",
    },
)

q5 = FunctionProblem(
    key="benchmarking.ceiling",
    cases=[
        ((50e9, 4e9, 131072, 0), 12.5),
        ((50e9, 4e9, 125000, 32000), 6.25),
        ((100e9, 1e9, 500000, 3000), 40.0),
    ],
    solution="""\
def ceiling(bandwidth, weight_bytes, token_bytes, n_cached):
    return bandwidth / (weight_bytes + n_cached * token_bytes)""",
    mistakes={
        "cache_forgotten": """\
def ceiling(bandwidth, weight_bytes, token_bytes, n_cached):
    return bandwidth / weight_bytes""",
        "one_cached_token": """\
def ceiling(bandwidth, weight_bytes, token_bytes, n_cached):
    return bandwidth / (weight_bytes + token_bytes)""",
        "seconds": """\
def ceiling(bandwidth, weight_bytes, token_bytes, n_cached):
    return (weight_bytes + n_cached * token_bytes) / bandwidth""",
        "weights_for_each": """\
def ceiling(bandwidth, weight_bytes, token_bytes, n_cached):
    return bandwidth / ((weight_bytes + token_bytes) * max(n_cached, 1))""",
        "subtracted": """\
def ceiling(bandwidth, weight_bytes, token_bytes, n_cached):
    return (bandwidth - n_cached * token_bytes) / weight_bytes""",
    },
)


def _answers(n_both: int, n_only_a: int, n_only_b: int, n_neither: int) -> tuple[list, list]:
    """Two lists of right and wrong answers to the same questions."""
    pairs = [(True, True)] * n_both + [(True, False)] * n_only_a
    pairs += [(False, True)] * n_only_b + [(False, False)] * n_neither
    a, b = zip(*pairs)
    return list(a), list(b)


q6 = FunctionProblem(
    key="benchmarking.only_one",
    cases=[
        (_answers(3, 2, 1, 1), (2, 1, False)),
        (_answers(10, 9, 1, 0), (9, 1, True)),
        (_answers(1, 0, 5, 1), (0, 5, True)),
        (_answers(2, 4, 0, 1), (4, 0, False)),
        (_answers(4, 0, 0, 2), (0, 0, False)),
    ],
    solution="""\
def only_one(right_a, right_b):
    only_a = sum(a and not b for a, b in zip(right_a, right_b))
    only_b = sum(b and not a for a, b in zip(right_a, right_b))
    return only_a, only_b, abs(only_a - only_b) > 2 * (only_a + only_b) ** 0.5""",
    mistakes={
        "totals": """\
def only_one(right_a, right_b):
    n_a, n_b = sum(right_a), sum(right_b)
    return n_a, n_b, abs(n_a - n_b) > 2 * (n_a + n_b) ** 0.5""",
        "swapped": """\
def only_one(right_a, right_b):
    only_a = sum(b and not a for a, b in zip(right_a, right_b))
    only_b = sum(a and not b for a, b in zip(right_a, right_b))
    return only_a, only_b, abs(only_a - only_b) > 2 * (only_a + only_b) ** 0.5""",
        "one_sided": """\
def only_one(right_a, right_b):
    only_a = sum(a and not b for a, b in zip(right_a, right_b))
    only_b = sum(b and not a for a, b in zip(right_a, right_b))
    return only_a, only_b, only_a - only_b > 2 * (only_a + only_b) ** 0.5""",
        "one_error": """\
def only_one(right_a, right_b):
    only_a = sum(a and not b for a, b in zip(right_a, right_b))
    only_b = sum(b and not a for a, b in zip(right_a, right_b))
    return only_a, only_b, abs(only_a - only_b) > (only_a + only_b) ** 0.5""",
        "equal_is_clear": """\
def only_one(right_a, right_b):
    only_a = sum(a and not b for a, b in zip(right_a, right_b))
    only_b = sum(b and not a for a, b in zip(right_a, right_b))
    return only_a, only_b, abs(only_a - only_b) >= 2 * (only_a + only_b) ** 0.5""",
        "any_difference": """\
def only_one(right_a, right_b):
    only_a = sum(a and not b for a, b in zip(right_a, right_b))
    only_b = sum(b and not a for a, b in zip(right_a, right_b))
    return only_a, only_b, only_a != only_b""",
        "all_questions": """\
def only_one(right_a, right_b):
    only_a = sum(a and not b for a, b in zip(right_a, right_b))
    only_b = sum(b and not a for a, b in zip(right_a, right_b))
    return only_a, only_b, abs(only_a - only_b) > 2 * len(right_a) ** 0.5""",
    },
)

progress = Progress([q1, q2, q3, q4, q5, q6])
