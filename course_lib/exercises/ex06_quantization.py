"""Exercises of lesson 06, quantization."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.problem import Case, FunctionProblem
from course_lib.exercises.progress import Progress
from course_lib.quantization import quantize

q1 = FunctionProblem(
    key="quantization.half_value",
    cases=[
        ((0, 15, 0), 1.0),
        ((1, 16, 512), -3.0),
        ((0, 11, 614), float(np.float16(0.1))),
        ((0, 1, 0), 2.0**-14),
        ((0, 0, 3), 3 * 2.0**-24),
        ((1, 0, 1023), float(-np.float16(2.0**-14) + np.float16(2.0**-24))),
    ],
    rtol=1e-6,
    atol=0.0,
    solution="""\
def half_value(sign, exponent, mantissa):
    if exponent == 0:
        size = 2.0**-14 * mantissa / 1024
    else:
        size = 2.0 ** (exponent - 15) * (1 + mantissa / 1024)
    return -size if sign else size""",
    mistakes={
        "no_leading_one": """\
def half_value(sign, exponent, mantissa):
    power = -14 if exponent == 0 else exponent - 15
    return (-1) ** sign * 2.0**power * mantissa / 1024""",
        "subnormals_forgotten": """\
def half_value(sign, exponent, mantissa):
    return (-1) ** sign * 2.0 ** (exponent - 15) * (1 + mantissa / 1024)""",
        "subnormals_at_minus_15": """\
def half_value(sign, exponent, mantissa):
    if exponent == 0:
        return (-1) ** sign * 2.0**-15 * mantissa / 1024
    return (-1) ** sign * 2.0 ** (exponent - 15) * (1 + mantissa / 1024)""",
        "bias_missing": """\
def half_value(sign, exponent, mantissa):
    if exponent == 0:
        return (-1) ** sign * 2.0**-14 * mantissa / 1024
    return (-1) ** sign * 2.0**exponent * (1 + mantissa / 1024)""",
        "sign_ignored": """\
def half_value(sign, exponent, mantissa):
    if exponent == 0:
        return 2.0**-14 * mantissa / 1024
    return 2.0 ** (exponent - 15) * (1 + mantissa / 1024)""",
    },
)

_WHOLE_NUMBERS = """\
import numpy as np


def absmax(x, most):
    {scale}
    return scale, {whole}"""

q2 = FunctionProblem(
    key="quantization.absmax",
    cases=[
        ((np.array([0.1, -0.52, 0.27, 0.0]), 127), (0.52 / 127, np.array([24, -127, 66, 0]))),
        ((np.array([0.1, -0.52, 0.27, 0.0]), 7), (0.52 / 7, np.array([1, -7, 4, 0]))),
        ((np.array([6.0, 2.6, -4.4, 3.4]), 3), (2.0, np.array([3, 1, -2, 2]))),
        ((np.array([[1.0, -9.0], [14.0, 5.2]]), 7), (2.0, np.array([[0, -4], [7, 3]]))),
    ],
    solution="""\
import numpy as np


def absmax(x, most):
    scale = np.abs(x).max() / most
    return scale, np.rint(x / scale)""",
    mistakes={
        "sign_overlooked": _WHOLE_NUMBERS.format(
            scale="scale = x.max() / most", whole="np.rint(x / scale)"
        ),
        "cut_off": _WHOLE_NUMBERS.format(
            scale="scale = np.abs(x).max() / most", whole="(x / scale).astype(int)"
        ),
        "not_rounded": _WHOLE_NUMBERS.format(
            scale="scale = np.abs(x).max() / most", whole="x / scale"
        ),
        "upside_down": _WHOLE_NUMBERS.format(
            scale="scale = most / np.abs(x).max()", whole="np.rint(x * scale)"
        ),
        "multiplied_back": _WHOLE_NUMBERS.format(
            scale="scale = np.abs(x).max() / most", whole="np.rint(x / scale) * scale"
        ),
        "from_the_spread": _WHOLE_NUMBERS.format(
            scale="scale = (x.max() - x.min()) / (2 * most)", whole="np.rint(x / scale)"
        ),
    },
)


def _block_cases(name: str) -> list[Case]:
    """Blocks whose largest number is negative, or positive, or nearly matched on both sides."""
    rng = np.random.default_rng(10)
    blocks = [size * rng.uniform(-1, 1, 32) for size in (0.2, 0.3)]
    blocks[0][20], blocks[1][3] = -0.2489, 0.3731
    blocks[0][7] = 0.21662  # 110.5 steps, and a few less of a step that was rounded up
    matched = np.linspace(0.79, -0.81, 32)
    rows = np.array([*blocks, matched], dtype=np.float32)
    return [((row,), quantize(row[None], name).tobytes()) for row in rows]


q3 = FunctionProblem(
    key="quantization.q8_0_block",
    cases=lambda: _block_cases("Q8_0"),
    solution="""\
import numpy as np


def q8_0_block(x):
    scale = np.abs(x).max() / 127
    whole = np.rint(x / scale).astype(np.int8)
    return np.float16(scale).tobytes() + whole.tobytes()""",
    mistakes={
        "scale_of_four_bytes": """\
import numpy as np


def q8_0_block(x):
    scale = np.abs(x).max() / 127
    whole = np.rint(x / scale).astype(np.int8)
    return np.float32(scale).tobytes() + whole.tobytes()""",
        "scale_last": """\
import numpy as np


def q8_0_block(x):
    scale = np.abs(x).max() / 127
    whole = np.rint(x / scale).astype(np.int8)
    return whole.tobytes() + np.float16(scale).tobytes()""",
        "cut_off": """\
import numpy as np


def q8_0_block(x):
    scale = np.abs(x).max() / 127
    whole = (x / scale).astype(np.int8)
    return np.float16(scale).tobytes() + whole.tobytes()""",
        "sign_overlooked": """\
import numpy as np


def q8_0_block(x):
    scale = x.max() / 127
    whole = np.clip(np.rint(x / scale), -127, 127).astype(np.int8)
    return np.float16(scale).tobytes() + whole.tobytes()""",
        "rounded_scale_used": """\
import numpy as np


def q8_0_block(x):
    scale = np.float16(np.abs(x).max() / 127)
    whole = np.rint(x / np.float32(scale)).astype(np.int8)
    return scale.tobytes() + whole.tobytes()""",
        "wide_integers": """\
import numpy as np


def q8_0_block(x):
    scale = np.abs(x).max() / 127
    whole = np.rint(x / scale).astype(np.int64)
    return np.float16(scale).tobytes() + whole.tobytes()""",
        "largest_byte_first": """\
import numpy as np


def q8_0_block(x):
    scale = np.abs(x).max() / 127
    whole = np.rint(x / scale).astype(np.int8)
    return np.array(scale, ">f2").tobytes() + whole.tobytes()""",
    },
)

_FOUR_BITS = """\
import numpy as np


def q4_0_block(x):
    largest = x[np.abs(x).argmax()]
    scale = {scale}
    q = {q}
    packed = {packed}
    return np.float16(scale).tobytes() + packed.tobytes()"""
_SIGNED = "largest / -8"
_SHIFTED = "np.minimum(np.floor(x / scale + 8.5), 15).astype(np.uint8)"
_HALVES = "q[:16] | (q[16:] << 4)"

q4 = FunctionProblem(
    key="quantization.q4_0_block",
    cases=lambda: _block_cases("Q4_0"),
    solution=_FOUR_BITS.format(scale=_SIGNED, q=_SHIFTED, packed=_HALVES),
    mistakes={
        "scale_without_sign": _FOUR_BITS.format(
            scale="np.abs(largest) / 8", q=_SHIFTED, packed=_HALVES
        ),
        "scale_by_seven": _FOUR_BITS.format(
            scale="np.abs(largest) / 7", q=_SHIFTED, packed=_HALVES
        ),
        "minus_forgotten": _FOUR_BITS.format(scale="largest / 8", q=_SHIFTED, packed=_HALVES),
        "neighbours_packed": _FOUR_BITS.format(
            scale=_SIGNED, q=_SHIFTED, packed="q[0::2] | (q[1::2] << 4)"
        ),
        "halves_exchanged": _FOUR_BITS.format(
            scale=_SIGNED, q=_SHIFTED, packed="q[16:] | (q[:16] << 4)"
        ),
        "not_cut_at_15": _FOUR_BITS.format(
            scale=_SIGNED, q="np.floor(x / scale + 8.5).astype(np.uint8)", packed=_HALVES
        ),
        "not_shifted": _FOUR_BITS.format(
            scale=_SIGNED, q="np.clip(np.rint(x / scale), -8, 7).astype(int) & 15",
            packed="(q[:16] | (q[16:] << 4)).astype(np.uint8)",
        ),
        "one_byte_each": _FOUR_BITS.format(scale=_SIGNED, q=_SHIFTED, packed="q"),
    },
)  # fmt: skip

q5 = FunctionProblem(
    key="quantization.layout_bits",
    cases=[
        ((32, 8, 32, 0, 1), 8.5),
        ((32, 4, 32, 0, 2), 5.0),
        ((256, 4, 32, 12, 2), 4.5),
        ((256, 6, 16, 8, 1), 6.5625),
        ((256, 3, 16, 6, 1), 3.4375),
    ],
    solution="""\
def layout_bits(n_weights, weight_bits, part_size, part_bits, n_halves):
    n_parts = n_weights // part_size
    return (n_weights * weight_bits + n_parts * part_bits + 16 * n_halves) / n_weights""",
    mistakes={
        "of_the_whole_block": """\
def layout_bits(n_weights, weight_bits, part_size, part_bits, n_halves):
    n_parts = n_weights // part_size
    return n_weights * weight_bits + n_parts * part_bits + 16 * n_halves""",
        "bytes": """\
def layout_bits(n_weights, weight_bits, part_size, part_bits, n_halves):
    n_parts = n_weights // part_size
    return (n_weights * weight_bits + n_parts * part_bits + 16 * n_halves) / n_weights / 8""",
        "halves_of_eight_bits": """\
def layout_bits(n_weights, weight_bits, part_size, part_bits, n_halves):
    n_parts = n_weights // part_size
    return (n_weights * weight_bits + n_parts * part_bits + 8 * n_halves) / n_weights""",
        "parts_forgotten": """\
def layout_bits(n_weights, weight_bits, part_size, part_bits, n_halves):
    return (n_weights * weight_bits + 16 * n_halves) / n_weights""",
        "one_part_only": """\
def layout_bits(n_weights, weight_bits, part_size, part_bits, n_halves):
    return (n_weights * weight_bits + part_bits + 16 * n_halves) / n_weights""",
        "halves_in_each_part": """\
def layout_bits(n_weights, weight_bits, part_size, part_bits, n_halves):
    return weight_bits + (part_bits + 16 * n_halves) / part_size""",
    },
)

_A = np.array([127, -127, 3, 90], dtype=np.int8)
_B = np.array([120, 100, -4, 77], dtype=np.int8)
_LONG = (np.arange(32) * 8 - 127).astype(np.int8)

q6 = FunctionProblem(
    key="quantization.block_product",
    cases=[
        ((0.5, np.int8([1, 2, 3]), 0.25, np.int8([2, -1, 4])), 1.5),
        ((0.01, _A, 0.02, _B), 0.01 * 0.02 * float(_A.astype(int) @ _B.astype(int))),
        ((0.003, _LONG, 0.5, _LONG), 0.003 * 0.5 * float(_LONG.astype(int) @ _LONG.astype(int))),
    ],
    solution="""\
import numpy as np


def block_product(scale_x, x, scale_y, y):
    return scale_x * scale_y * (x.astype(np.int32) @ y.astype(np.int32))""",
    mistakes={
        "products_wrap_around": """\
def block_product(scale_x, x, scale_y, y):
    return scale_x * scale_y * int((x * y).sum())""",
        "sum_wraps_around": """\
def block_product(scale_x, x, scale_y, y):
    return scale_x * scale_y * int(x @ y)""",
        "one_scale": """\
def block_product(scale_x, x, scale_y, y):
    return scale_x * (x.astype(int) @ y.astype(int))""",
        "scales_forgotten": """\
def block_product(scale_x, x, scale_y, y):
    return x.astype(int) @ y.astype(int)""",
        "scales_added": """\
def block_product(scale_x, x, scale_y, y):
    return (scale_x + scale_y) * (x.astype(int) @ y.astype(int))""",
        "not_summed": """\
def block_product(scale_x, x, scale_y, y):
    return scale_x * scale_y * (x.astype(int) * y.astype(int))""",
    },
)

progress = Progress([q1, q2, q3, q4, q5, q6])
