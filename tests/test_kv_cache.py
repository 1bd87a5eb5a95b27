"""The cache: what it keeps, in which order, and when it is full."""

from dataclasses import replace

import numpy as np
import pytest

from course_lib.config import TINY_MISTRAL
from course_lib.kv_cache import CacheFullError, KVCache

CONFIG = replace(TINY_MISTRAL, n_layers=2, n_kv_heads=1, n_heads=1, head_dim=2, dim=2)
ROLLING = replace(CONFIG, sliding_window=4)


def tokens(start, n):
    """Keys that tell their position: (n, 1, 2)."""
    return np.repeat(np.arange(start, start + n, dtype=np.float32), 2).reshape(n, 1, 2)


def feed(cache, n):
    """Append n tokens to all layers; return the visible positions by key and by claim."""
    new = tokens(cache.n_tokens, n)
    claimed = cache.key_positions(n)
    for layer in range(len(cache.keys)):
        keys, values = cache.append(layer, new, -new)
        np.testing.assert_array_equal(keys, -values)
    visible = keys[0, :, 0].copy()
    cache.advance(n)
    return visible.tolist(), claimed.tolist()


def test_all_tokens_stay_in_order():
    cache = KVCache(CONFIG, 8)
    assert feed(cache, 3) == ([0, 1, 2], [0, 1, 2])
    assert feed(cache, 1)[0] == [0, 1, 2, 3]
    assert feed(cache, 4)[0] == list(range(8))


def test_a_full_cache_says_so_and_keeps_what_it_has():
    cache = KVCache(CONFIG, 4)
    feed(cache, 3)
    with pytest.raises(CacheFullError, match="2 more tokens do not fit: 3 of 4"):
        cache.append(0, tokens(3, 2), tokens(3, 2))
    assert feed(cache, 1)[0] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "steps", [[1] * 12, [3, 1, 1, 1, 1, 1], [9, 1, 1], [2, 5, 3, 1], [4, 4, 4]]
)
def test_a_rolling_cache_shows_at_least_the_window_and_knows_the_positions(steps):
    cache, start = KVCache(ROLLING, 64), 0
    for n in steps:
        visible, claimed = feed(cache, n)
        assert visible == claimed
        needed = range(max(0, start - 3), start + n)
        assert set(needed) <= set(visible)
        assert len(set(visible)) == len(visible)
        start += n
    assert cache.n_slots == 4
    assert cache.keys.shape[2] == 4


def test_a_rolling_cache_never_fills():
    cache = KVCache(ROLLING, 4)
    for _ in range(50):
        visible, _ = feed(cache, 1)
    assert sorted(visible) == [46, 47, 48, 49]


def test_a_window_beyond_the_length_is_no_reason_to_roll():
    cache = KVCache(replace(CONFIG, sliding_window=100), 4)
    feed(cache, 4)
    with pytest.raises(CacheFullError):
        feed(cache, 1)


def test_memory_is_two_vectors_a_layer_head_and_token():
    cache = KVCache(TINY_MISTRAL, 100)
    assert cache.n_bytes == 2 * 5 * 2 * 100 * 32 * 4


def test_a_cache_of_nothing_is_refused():
    with pytest.raises(ValueError, match="max_seq_len=0"):
        KVCache(CONFIG, 0)
