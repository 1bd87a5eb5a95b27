"""Attention against loops over tokens, and against PyTorch's figures where the law is theirs."""

import numpy as np
import pytest

from course_lib.attention import (
    causal_mask,
    position_mask,
    repeat_kv,
    scaled_dot_product_attention,
    sliding_window_mask,
)

RNG = np.random.default_rng(0)


def by_loops(q, k, v, visible):
    """One query at a time, in float64."""
    output = np.zeros((len(q), v.shape[-1]))
    for i, query in enumerate(q):
        seen = [j for j in range(len(k)) if visible(i, j)]
        scores = np.array([query @ k[j] / np.sqrt(len(query)) for j in seen])
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        output[i] = sum(w * v[j] for w, j in zip(weights, seen))
    return output


@pytest.mark.parametrize(
    ("mask", "visible"),
    [
        (None, lambda i, j: True),
        (causal_mask(7), lambda i, j: j <= i),
        (sliding_window_mask(7, 3), lambda i, j: i - 3 < j <= i),
    ],
)
def test_it_equals_loops_over_tokens(mask, visible):
    q, k, v = RNG.standard_normal((3, 7, 8))
    output, weights = scaled_dot_product_attention(q, k, v, mask)
    np.testing.assert_allclose(output, by_loops(q, k, v, visible), atol=1e-12)
    np.testing.assert_allclose(weights.sum(-1), 1)


def test_heads_do_not_see_each_other():
    q, k, v = RNG.standard_normal((3, 4, 7, 8))
    together, _ = scaled_dot_product_attention(q, k, v, causal_mask(7))
    for head in range(4):
        alone, _ = scaled_dot_product_attention(q[head], k[head], v[head], causal_mask(7))
        np.testing.assert_allclose(together[head], alone)


def test_large_scores_do_not_overflow():
    q = np.full((2, 4), 1e4, np.float32)
    output, _ = scaled_dot_product_attention(q, q, q)
    assert np.isfinite(output).all()


def test_float32_stays_float32():
    x = RNG.standard_normal((3, 5, 8)).astype(np.float32)
    output, weights = scaled_dot_product_attention(*x, causal_mask(5))
    assert output.dtype == weights.dtype == np.float32


def test_a_window_as_long_as_the_text_is_the_causal_mask():
    np.testing.assert_array_equal(sliding_window_mask(6, 6), causal_mask(6))


def test_positions_in_any_order_are_masked_by_their_distance():
    mask = position_mask(np.array([5]), np.array([4, 5, 2, 3]), window=3)
    np.testing.assert_array_equal(mask, [[0, 0, -np.inf, 0]])


def test_shared_heads_equal_copied_ones():
    q = RNG.standard_normal((6, 4, 8))
    k, v = RNG.standard_normal((2, 6, 2, 8))
    heads = [x.swapaxes(0, 1) for x in (q, repeat_kv(k, 2), repeat_kv(v, 2))]
    copied, _ = scaled_dot_product_attention(*heads)
    grouped = q.swapaxes(0, 1).reshape(2, 2, 6, 8)
    k, v = (x.swapaxes(0, 1)[:, None] for x in (k, v))
    shared, _ = scaled_dot_product_attention(grouped, k, v)
    np.testing.assert_allclose(shared.reshape(copied.shape), copied)
