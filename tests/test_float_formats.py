"""Bits of floats against `struct`, NumPy and ggml's bfloat16."""

import math
import struct

import numpy as np
import pytest

from course_lib.engine_quantization import engine_quantize
from course_lib.float_formats import N_BITS, float_parts
from course_lib.quantization_blocks import QuantizationError

NUMBERS = [0.1, -0.1, 1.0, -2.5, 3.14159, 65504.0, 1e-3, 6e-5, 3e-8, -1e-38, 1e-45, 0.0, -0.0, 1e38]


def joined(parts):
    return parts.sign + parts.exponent + parts.mantissa


@pytest.mark.parametrize("x", [*NUMBERS, math.inf, -math.inf, 1e39, 7e4])
@pytest.mark.parametrize(("name", "code"), [("F32", ">f"), ("F16", ">e")])
def test_bits_are_those_of_struct(name, code, x):
    rounded = np.float32(x) if abs(x) < 1e39 else np.float32(math.copysign(math.inf, x))
    if name == "F16" and abs(rounded) > 65519:  # struct refuses what rounds to infinity
        rounded = math.copysign(math.inf, rounded)
    expected = int.from_bytes(struct.pack(code, rounded), "big")
    parts = float_parts(x, name)
    assert int(joined(parts), 2) == expected
    assert len(joined(parts)) == 1 + sum(N_BITS[name])
    assert struct.pack(code, parts.value) == struct.pack(code, rounded)


@pytest.mark.parametrize("x", NUMBERS)
def test_bfloat16_is_ggmls(x):
    (raw,) = engine_quantize(np.full((1, 1), x, np.float32), "BF16").tolist()
    assert int(joined(float_parts(x, "BF16")), 2) == int.from_bytes(bytes(raw), "little")


@pytest.mark.parametrize(
    ("x", "name", "kind"),
    [
        (0.1, "F16", "normal"),
        (6e-5, "F16", "subnormal"),
        (1e-8, "F16", "zero"),
        (70_000.0, "F16", "infinity"),
        (70_000.0, "BF16", "normal"),
        (1e-8, "BF16", "normal"),
        (1e-40, "BF16", "subnormal"),
        (1e-45, "F32", "subnormal"),
        (1e-46, "F32", "zero"),
        (1e39, "F32", "infinity"),
        (3.4e38, "BF16", "infinity"),
        (-math.inf, "BF16", "infinity"),
        (math.nan, "F32", "not a number"),
        (math.nan, "F16", "not a number"),
        (math.nan, "BF16", "not a number"),
    ],
)
def test_kinds_are_told_apart(x, name, kind):
    assert float_parts(x, name).kind == kind


@pytest.mark.parametrize("name", N_BITS)
def test_parts_make_up_the_value(name):
    n_exponent, n_mantissa = N_BITS[name]
    bias = 2 ** (n_exponent - 1) - 1
    for x in (0.1, -123.456, 1e-7):
        parts = float_parts(x, name)
        exponent, mantissa = int(parts.exponent, 2), int(parts.mantissa, 2) / 2**n_mantissa
        size = mantissa * 2.0 ** (1 - bias)
        if exponent:
            size = (1 + mantissa) * 2.0 ** (exponent - bias)
        assert parts.value == (-1) ** int(parts.sign) * size


def test_another_format_is_refused_by_name():
    with pytest.raises(QuantizationError, match=r"no float format 'Q8_0'.*F32, F16, BF16"):
        float_parts(0.1, "Q8_0")
