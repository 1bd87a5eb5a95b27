"""Sliders that look into a model: what they say is what the numbers say."""

import re
import struct

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from course_lib.model_widgets import (
    attention_explorer,
    float_explorer,
    rope_explorer,
    rope_similarity,
    sampling_explorer,
)
from course_lib.quantization import dequantize, quantize
from course_lib.rope import apply_rope, rope_angles

matplotlib.use("Agg")


def test_similarity_is_that_of_a_vector_with_its_turned_copy():
    x = np.ones((200, 32)) / 32**0.5
    turned = apply_rope(x, *rope_angles(200, 32, 1e4))
    np.testing.assert_allclose(
        turned @ turned[0], rope_similarity(np.arange(200), 32, 1e4), atol=1e-5
    )


def test_the_rope_explorer_follows_its_sliders():
    theta, distance, words, picture = rope_explorer(128).children
    before = bytes(picture.value)
    theta.value, distance.value = 1e6, 1000
    value = float(rope_similarity(1000, 128, 1e6))
    assert words.value == f"theta 1,000,000, distance 1,000: {value:.3f}"
    assert bytes(picture.value).startswith(b"\x89PNG")
    assert bytes(picture.value) != before
    assert plt.get_fignums() == []


@pytest.fixture
def attention():
    rng = np.random.default_rng(0)
    weights = np.tril(rng.random((3, 4, 5, 5)))
    return list(weights / weights.sum(-1, keepdims=True))


def test_the_attention_explorer_names_the_largest_weights(attention):
    pieces = ["<s>", "a", "b", "c", "d"]
    layer, head, token, words, picture = attention_explorer(attention, pieces).children
    layer.value, head.value, token.value = 2, 3, 1
    row = attention[2][3][1]
    best = sorted(range(2), key=lambda i: -row[i])
    shown = ", ".join(f"{pieces[i]} {row[i]:.2f}" for i in best)
    assert words.value == f"a → {shown}".replace("<s>", "&lt;s&gt;")
    assert bytes(picture.value).startswith(b"\x89PNG")
    assert (layer.max, head.max, token.max) == (2, 3, 4)


def test_pieces_are_text_and_never_markup(attention):
    box = attention_explorer(attention, ["<b>", "<script>", "&", "'", '"'])
    assert "<b>" not in box.children[3].value


def test_the_sampling_explorer_says_what_stays(tiny_tokenizer):
    logits = np.log(np.full(2048, 0.1 / 2044, np.float32))
    logits[300:304] = np.log(np.float32([0.4, 0.3, 0.15, 0.05]))
    temperature, k, p, m, words, picture = sampling_explorer(logits, tiny_tokenizer).children
    assert words.value.startswith("tokens that stay: 2048, with 100% of the probability")
    before = bytes(picture.value)
    p.value = 0.6
    assert words.value == "tokens that stay: 2, with 70% of the probability, 1.0 bits"
    assert bytes(picture.value) != before
    p.value, k.value = 1.0, 3
    assert words.value.startswith("tokens that stay: 3, with 85%")
    k.value, m.value = 0, 0.5
    assert words.value.startswith("tokens that stay: 2,")
    m.value, temperature.value = 0, 0
    assert words.value == "tokens that stay: 1, with 40% of the probability, 0.0 bits"


def float_rows(table):
    """Name, bits, value, error and kind of each format in the float explorer's table."""
    rows = re.findall(r"<tr>(.*?)</tr>", table.value)[1:]
    return [re.sub(r"(<[^>]*>)+", "|", row).strip("|").split("|") for row in rows]


def test_the_float_explorer_shows_bits_values_and_errors():
    x = np.float32(np.pi)
    number, _, table = float_explorer(float(x)).children
    half, brain = (
        float(dequantize(quantize(x.reshape(1, 1), n), n)[0, 0]) for n in ("F16", "BF16")
    )
    (f32, f16, bf16) = float_rows(table)
    bits = f"{struct.unpack('>I', struct.pack('>f', x))[0]:032b}"
    assert f32 == ["F32", bits[0], bits[1:9], bits[9:], f"{x:.9g}", "0"]
    bits = f"{np.float16(x).view(np.uint16):016b}"
    assert f16[:5] == ["F16", bits[0], bits[1:6], bits[6:], f"{half:.9g}"]
    assert bf16[4:] == [f"{brain:.9g}", f"{abs(brain - x) / x:.1e}"]
    number.value = -2.0
    assert [row[1] for row in float_rows(table)] == ["1", "1", "1"]


@pytest.mark.parametrize(
    ("x", "kinds"),
    [
        (1e5, ["normal", "infinity", "normal"]),
        (1e-7, ["normal", "subnormal", "normal"]),
        (1e-9, ["normal", "zero", "normal"]),
        (1e-40, ["subnormal", "zero", "subnormal"]),
        (1e300, ["infinity"] * 3),
        (0.0, ["zero"] * 3),
        (np.inf, ["infinity"] * 3),
        (np.nan, ["not a number"] * 3),
    ],
)
def test_the_float_explorer_tells_what_does_not_fit(x, kinds):
    number, _, table = float_explorer().children
    number.value = x
    shown = [
        row[-1] if row[-1].isalpha() or " " in row[-1] else "normal" for row in float_rows(table)
    ]
    assert shown == kinds
    if kinds[1] == "zero" and x:
        assert float_rows(table)[1][4:6] == ["0", "1.0e+00"]  # nothing is left of it


def test_slider_and_number_follow_each_other():
    number, size, _ = float_explorer(-0.1).children
    assert size.value == pytest.approx(0.1)
    size.value = 10**2.5
    assert number.value == -316.0
    assert size.value == 10**2.5  # not pushed back to 316
    number.value = 7.0
    assert size.value == pytest.approx(7.0)
    number.value = 0.0
    assert size.value == pytest.approx(7.0)
