"""RoPE against complex rotation, the law of distances, and the YaRN paper."""

import numpy as np
import pytest

from course_lib.rope import (
    RopeScaling,
    apply_rope,
    engine_angles,
    rope_angles,
    rope_frequencies,
)

RNG = np.random.default_rng(0)
POSITIONS = np.arange(400)


def test_rotation_is_multiplication_by_a_complex_number():
    x = RNG.standard_normal((6, 3, 8))
    cos, sin = rope_angles(6, 8, 10_000.0)
    turned = (x[..., ::2] + 1j * x[..., 1::2]) * (cos + 1j * sin)[:, None]
    expected = np.stack([turned.real, turned.imag], -1).reshape(x.shape)
    np.testing.assert_allclose(apply_rope(x, cos, sin), expected, atol=1e-12)


@pytest.mark.parametrize("distance", [0, 1, 7, 30])
def test_a_dot_product_depends_on_the_distance_alone(distance):
    q, k = RNG.standard_normal((2, 16))
    cos, sin = rope_angles(64, 16, 10_000.0)
    q, k = (apply_rope(np.tile(x, (64, 1)), cos, sin) for x in (q, k))
    products = [q[p + distance] @ k[p] for p in range(64 - distance)]
    np.testing.assert_allclose(products, products[0], atol=1e-5)


def test_rotation_keeps_lengths():
    x = RNG.standard_normal((5, 2, 8))
    cos, sin = rope_angles(5, 8, 1e6)
    lengths = np.linalg.norm(apply_rope(x, cos, sin), axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(x, axis=-1), rtol=1e-6)


def test_angles_at_large_positions_are_exact():
    cos, sin = rope_angles(32_768, 128, 1e6)
    exact = 32_767 * 1e6 ** (-2 * 5 / 128)
    np.testing.assert_allclose([cos[-1, 5], sin[-1, 5]], [np.cos(exact), np.sin(exact)], atol=1e-6)


def test_the_first_pair_turns_by_one_radian_and_the_last_hardly_at_all():
    frequencies = rope_frequencies(128, 10_000.0)
    assert frequencies[0] == 1
    assert frequencies[-1] == pytest.approx(10_000 ** (-126 / 128))


def test_float32_stays_float32():
    cos, sin = rope_angles(2, 4, 10_000.0)
    assert apply_rope(np.ones((2, 1, 4), np.float32), cos, sin).dtype == np.float32


def test_angles_of_the_engine_are_those_of_the_formula_but_for_rounding():
    for found, exact in zip(engine_angles(POSITIONS, 32, 1e4), rope_angles(400, 32, 1e4)):
        assert 0 < np.abs(found - exact).max() < 1e-4


def test_linear_scaling_reads_a_position_as_one_nearer():
    scaled = engine_angles(POSITIONS * 4, 32, 1e4, RopeScaling("linear", factor=4.0))
    np.testing.assert_allclose(scaled, rope_angles(400, 32, 1e4), atol=1e-4)


def test_divisors_slow_each_pair_down():
    divisors = np.linspace(1, 8, 16)
    cos, _ = engine_angles(POSITIONS, 32, 1e4, divisors=divisors)
    exact = np.cos(np.outer(POSITIONS, rope_frequencies(32, 1e4) / divisors))
    np.testing.assert_allclose(cos, exact, atol=1e-4)


def test_yarn_keeps_fast_pairs_and_stretches_slow_ones():
    """Section 3.2 of arXiv:2309.00071: a pair is judged by its turns within the old context."""
    scaling = RopeScaling("yarn", factor=8.0, original_seq_len=2048)
    cos, sin = engine_angles(np.array([1]), 128, 1e4, scaling)
    angles = np.arctan2(sin, cos)[0]
    frequencies = rope_frequencies(128, 1e4)
    turns = 2048 * frequencies / (2 * np.pi)
    np.testing.assert_allclose(angles[turns > 33], frequencies[turns > 33], rtol=1e-5)
    np.testing.assert_allclose(angles[turns < 0.9], frequencies[turns < 0.9] / 8, rtol=1e-4)


def test_yarn_makes_attention_sharper():
    """Eq. 22: the size of queries and keys grows by 0.1 ln(factor) + 1."""
    scaling = RopeScaling("yarn", factor=8.0, original_seq_len=2048)
    size = np.hypot(*engine_angles(np.array([3]), 128, 1e4, scaling))
    np.testing.assert_allclose(size, 0.1 * np.log(8) + 1, rtol=1e-5)
