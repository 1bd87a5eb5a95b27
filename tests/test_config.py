"""ModelConfig, against the numbers that Mistral AI published."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from course_lib.config import (
    MISTRAL_7B_V01,
    MISTRAL_7B_V02,
    MISTRAL_7B_V03,
    TINY_MISTRAL,
    ModelConfig,
)


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (MISTRAL_7B_V01, 7_241_732_096),
        (MISTRAL_7B_V02, 7_241_732_096),
        (MISTRAL_7B_V03, 7_248_023_552),
    ],
)
def test_n_params_equals_the_published_number(config, published):
    assert config.n_params == published


def test_n_params_counts_every_array_of_a_model():
    c = TINY_MISTRAL
    layer = [
        np.empty((c.n_heads * c.head_dim, c.dim)),
        np.empty((c.n_kv_heads * c.head_dim, c.dim)),
        np.empty((c.n_kv_heads * c.head_dim, c.dim)),
        np.empty((c.dim, c.n_heads * c.head_dim)),
        np.empty((c.hidden_dim, c.dim)),
        np.empty((c.hidden_dim, c.dim)),
        np.empty((c.dim, c.hidden_dim)),
        np.empty(c.dim),
        np.empty(c.dim),
    ]
    ends = [np.empty((c.vocab_size, c.dim)), np.empty((c.vocab_size, c.dim)), np.empty(c.dim)]
    assert c.n_params == c.n_layers * sum(a.size for a in layer) + sum(a.size for a in ends)


def test_only_the_first_version_has_a_sliding_window():
    windows = [c.sliding_window for c in (MISTRAL_7B_V01, MISTRAL_7B_V02, MISTRAL_7B_V03)]
    assert windows == [4096, None, None]


def test_versions_differ_as_published():
    assert [c.rope_theta for c in (MISTRAL_7B_V01, MISTRAL_7B_V02)] == [1e4, 1e6]
    assert [c.vocab_size for c in (MISTRAL_7B_V02, MISTRAL_7B_V03)] == [32000, 32768]


def test_tiny_mistral_suits_k_quants():
    assert TINY_MISTRAL.dim % 256 == 0
    assert TINY_MISTRAL.hidden_dim % 256 == 0


def test_config_is_frozen():
    with pytest.raises(FrozenInstanceError):
        MISTRAL_7B_V01.dim = 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_kv_heads": 3}, "n_heads=8 is not a multiple of n_kv_heads=3"),
        ({"head_dim": 33}, "head_dim=33 is odd"),
        ({"dim": 0}, "dim=0 is not a positive whole number"),
        ({"n_layers": -1}, "n_layers=-1"),
        ({"n_heads": True}, "n_heads=True"),
        ({"hidden_dim": 768.0}, "hidden_dim=768.0"),
        ({"vocab_size": "2048"}, "vocab_size='2048'"),
        ({"sliding_window": 0}, "sliding_window=0"),
        ({"norm_eps": 0.0}, "norm_eps=0.0 is not a positive number"),
        ({"rope_theta": float("nan")}, "rope_theta=nan"),
        ({"rope_theta": float("inf")}, "rope_theta=inf"),
        ({"max_seq_len": None}, "max_seq_len=None"),
    ],
)
def test_impossible_size_is_named_in_the_error(change, words):
    with pytest.raises(ValueError, match=words):
        replace(TINY_MISTRAL, **change)


def test_numpy_integers_are_whole_numbers():
    assert replace(TINY_MISTRAL, dim=np.int64(256)) == TINY_MISTRAL


def test_head_dim_need_not_be_dim_over_heads():
    assert isinstance(replace(MISTRAL_7B_V01, dim=5120), ModelConfig)
