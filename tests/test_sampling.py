"""Softmax against its definition."""

import numpy as np

from course_lib.sampling import softmax

RNG = np.random.default_rng(0)


def test_probabilities_are_positive_and_sum_to_one():
    probabilities = softmax(RNG.standard_normal((3, 100)) * 50)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(-1), 1)


def test_it_equals_the_definition_where_that_does_not_overflow():
    x = RNG.standard_normal(50)
    np.testing.assert_allclose(softmax(x, 0.5), np.exp(x / 0.5) / np.exp(x / 0.5).sum())


def test_large_logits_do_not_overflow():
    assert softmax(np.float32([1e4, 0.0])).tolist() == [1.0, 0.0]


def test_the_argument_is_left_alone():
    x = np.array([1.0, 2.0])
    softmax(x, 2.0)
    assert x.tolist() == [1.0, 2.0]
