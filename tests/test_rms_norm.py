"""RMSNorm against its formula and its laws."""

import numpy as np

from course_lib.rms_norm import rms_norm

RNG = np.random.default_rng(0)


def test_vectors_come_out_with_a_root_mean_square_of_one():
    x = RNG.standard_normal((3, 5, 64)) * 100
    y = rms_norm(x, np.ones(64), eps=0.0)
    np.testing.assert_allclose(np.sqrt((y**2).mean(-1)), 1.0)


def test_the_size_of_a_vector_does_not_matter():
    x, weight = RNG.standard_normal(64), RNG.standard_normal(64)
    np.testing.assert_allclose(rms_norm(7 * x, weight, 0.0), rms_norm(x, weight, 0.0))


def test_a_zero_vector_stays_zero():
    assert not rms_norm(np.zeros(4, np.float32), np.ones(4, np.float32)).any()


def test_float32_stays_float32():
    x = np.ones((2, 4), np.float32)
    assert rms_norm(x, x[0], 1e-5).dtype == np.float32
