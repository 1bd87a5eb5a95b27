"""Float formats taken apart: sign, exponent and mantissa, bit by bit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from course_lib.quantization import dequantize, quantize
from course_lib.quantization_blocks import QuantizationError

N_BITS = {"F32": (8, 23), "F16": (5, 10), "BF16": (8, 7)}
"""Bits of the exponent and of the mantissa; one more is the sign."""


@dataclass(frozen=True)
class FloatParts:
    """A number as a float format stores it.

    Attributes
    ----------
    sign, exponent, mantissa : str
        The bits, highest first.
    value : float
        What they stand for.
    """

    sign: str
    exponent: str
    mantissa: str
    value: float

    @property
    def kind(self) -> str:
        """``"normal"``, ``"subnormal"``, ``"zero"``, ``"infinity"`` or ``"not a number"``."""
        if not math.isfinite(self.value):
            return "infinity" if math.isinf(self.value) else "not a number"
        if "1" in self.exponent:
            return "normal"
        return "subnormal" if self.value else "zero"


def float_parts(x: float, name: str) -> FloatParts:
    """Round a number to a float format, and take it apart.

    As in a model, it is rounded to float32 first.

    Parameters
    ----------
    x : float
    name : str
        ``"F32"``, ``"F16"`` or ``"BF16"``.

    Raises
    ------
    QuantizationError
        For another format.

    Examples
    --------
    >>> float_parts(-0.375, "F16")
    FloatParts(sign='1', exponent='01101', mantissa='1000000000', value=-0.375)
    """
    if name not in N_BITS:
        raise QuantizationError(f"no float format {name!r}. Choose one of: {', '.join(N_BITS)}.")
    with np.errstate(over="ignore"):  # too large becomes infinity
        rounded = np.float32(x)
    n_exponent, n_mantissa = N_BITS[name]
    value, whole = _stored(rounded, name)
    bits = f"{whole:0{1 + n_exponent + n_mantissa}b}"
    return FloatParts(bits[0], bits[1 : 1 + n_exponent], bits[1 + n_exponent :], value)


def _stored(x: np.float32, name: str) -> tuple[float, int]:
    """Return the value of `x` in a format, and its bits as a whole number."""
    if np.isfinite(x):
        raw = quantize(x.reshape(1, 1), name)
        return float(dequantize(raw, name)[0, 0]), int.from_bytes(raw.tobytes(), "little")
    n_dropped = 32 - 1 - sum(N_BITS[name])
    if name == "F16":
        return float(x), int(np.float16(x).view(np.uint16))
    return float(x), int(x.view(np.uint32)) >> n_dropped
