"""SwiGLU against its formula."""

import warnings

import numpy as np

from course_lib.feed_forward import silu, swiglu

RNG = np.random.default_rng(0)


def test_it_equals_the_formula():
    x, gate, up = RNG.standard_normal(4), *RNG.standard_normal((2, 6, 4))
    down = RNG.standard_normal((4, 6))
    z = gate @ x
    expected = down @ (z / (1 + np.exp(-z)) * (up @ x))
    np.testing.assert_allclose(swiglu(x, gate, up, down), expected)


def test_each_token_is_on_its_own():
    x = RNG.standard_normal((5, 4))
    gate, up = RNG.standard_normal((2, 6, 4))
    down = RNG.standard_normal((4, 6))
    together = swiglu(x, gate, up, down)
    np.testing.assert_allclose(together[3], swiglu(x[3], gate, up, down))


def test_very_negative_values_fade_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert silu(np.float32([-1000.0, 1000.0])).tolist() == [0.0, 1000.0]


def test_float32_stays_float32():
    assert silu(np.float32([1.0])).dtype == np.float32
