"""Rounded activations against the `gguf` package's Q8_0, and against llama.cpp's own products."""

from dataclasses import replace

import gguf
import numpy as np
import pytest

from course_lib.activations import round_activations
from course_lib.config import TINY_MISTRAL
from course_lib.engine_logits import engine_logits
from course_lib.random_model import write_random_model
from course_lib.transformer import Transformer

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 512)).astype(np.float32) * 10


def test_blocks_of_32_equal_q8_0():
    q8_0 = gguf.GGMLQuantizationType.Q8_0
    expected = gguf.quants.dequantize(gguf.quants.quantize(X, q8_0), q8_0)
    found = round_activations(X, "Q4_0")
    assert (np.abs(found - expected) > 1e-6).mean() < 0.001  # ties are rounded another way


def test_blocks_of_256_are_within_half_a_step():
    found = round_activations(X, "Q6_K").reshape(-1, 256)
    step = np.abs(X.reshape(-1, 256)).max(-1, keepdims=True) / 127
    assert (np.abs(found - X.reshape(-1, 256)) <= step * 0.5001).all()


def test_bfloat16_keeps_eight_bits_of_precision():
    found = round_activations(X, "BF16")
    assert not (found.view(np.uint32) & 0xFFFF).any()
    np.testing.assert_allclose(found, X, rtol=2**-8)


def test_full_precision_is_left_alone():
    assert round_activations(X, "F32") is X


@pytest.mark.parametrize("weight_type", ["F16", "Q4_0", "Q4_K"])
def test_zeros_stay_zeros(weight_type):
    assert not round_activations(np.zeros((2, 256), np.float32), weight_type).any()


@pytest.mark.parametrize("type_name", ["F16", "Q8_0", "Q4_0", "Q5_0", "Q4_K", "Q5_K", "Q6_K"])
def test_with_them_a_token_gets_llama_cpps_logits_in_every_format(tmp_path, type_name):
    config = replace(TINY_MISTRAL, n_layers=1, vocab_size=512)
    path = write_random_model(tmp_path / "random.gguf", config, type_name, rng=RNG)
    model = Transformer.from_gguf(path, rounds_activations=True)
    unrounded = Transformer.from_gguf(path)
    differences = []
    for token_id in range(300, 310):
        theirs = engine_logits(path, [token_id])
        differences.append(
            [np.abs(m.forward([token_id]) - theirs).max() for m in (model, unrounded)]
        )
    # A number half way between two steps goes up here and down there, or the reverse: that spoils
    # some tokens, so the best of ten counts.
    with_rounding, without = np.min(differences, axis=0)
    assert with_rounding < 1e-5 < 1e-4 < without
