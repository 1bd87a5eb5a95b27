"""Block formats against ggml's own quantizer and the `gguf` package's dequantizer, byte by byte."""

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType

from course_lib import TINY_MODEL_PATH
from course_lib.engine_quantization import engine_quantize
from course_lib.gguf_file import inspect_gguf
from course_lib.llama_file import LlamaFile
from course_lib.quantization import bits_per_weight, dequantize, quantize
from course_lib.quantization_blocks import BLOCKS, QuantizationError

SIMPLE = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
K_QUANTS = ["Q4_K", "Q5_K", "Q6_K"]
FLOATS = ["F32", "F16", "BF16"]
RNG = np.random.default_rng(0)
DATA = {
    "gaussian": RNG.standard_normal((64, 1024)),
    "uniform": RNG.uniform(-1, 1, (64, 1024)),
    "heavy-tailed": RNG.standard_t(1.5, (64, 1024)),
    "positive": RNG.uniform(1, 2, (8, 512)),
    "constant": np.full((4, 512), 0.7),
    "negative constant": np.full((4, 512), -0.7),
    "zero": np.zeros((4, 512)),
    "mostly zero": RNG.standard_normal((16, 512)) * (RNG.random((16, 512)) < 0.05),
    "small": RNG.standard_normal((8, 512)) * 1e-6,
    "very small": RNG.standard_normal((8, 512)) * 1e-30,
    "denormal": RNG.standard_normal((8, 512)) * 1e-41,
    "large": RNG.standard_normal((8, 512)) * 1e4,
    "very large": RNG.standard_normal((8, 512)) * 1e30,
    "of all sizes": RNG.standard_normal((16, 512))
    * np.repeat(10.0 ** RNG.integers(-6, 3, (16, 16)), 32, axis=1),
    "one row": RNG.standard_normal((1, 256)),
}
DATA = {name: x.astype(np.float32) for name, x in DATA.items()}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", SIMPLE)
def test_bytes_equal_ggmls(name, data):
    np.testing.assert_array_equal(quantize(DATA[data], name), engine_quantize(DATA[data], name))


def test_bytes_of_a_real_model_equal_ggmls():
    half_way = np.zeros((1, 32), np.float32)
    half_way[0, :2] = -0.16308594, -0.11212158  # of tiny-mistral; 5.5 steps, if rounded twice
    is_fused = (engine_quantize(half_way, "Q4_0")[0, 3] & 15) == 2
    file = LlamaFile(TINY_MODEL_PATH)
    for tensor in inspect_gguf(TINY_MODEL_PATH).tensors:
        if tensor.type_name == "F16":
            x = file.tensor(tensor.name)
            for name in SIMPLE:
                share = (quantize(x, name) == engine_quantize(x, name)).mean()
                assert share == 1 or (is_fused and share > 0.9999), (tensor.name, name)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", K_QUANTS)
def test_bytes_of_k_quants_are_ggmls_but_for_a_rare_tie(name, data):
    x = DATA[data]
    ours, theirs = quantize(x, name), engine_quantize(x, name)
    assert (ours == theirs).mean() >= 0.999
    with np.errstate(all="ignore"):
        error, expected = (
            np.sqrt(np.nanmean((dequantize(blocks, name) - x) ** 2)) for blocks in (ours, theirs)
        )
    np.testing.assert_allclose(error, expected, rtol=1e-3)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", SIMPLE + K_QUANTS + FLOATS)
def test_numbers_equal_the_gguf_packages(name, data):
    blocks = quantize(DATA[data], name)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(blocks, GGMLQuantizationType[name])
    np.testing.assert_array_equal(dequantize(blocks, name), expected.astype(np.float32))


@pytest.mark.parametrize("name", SIMPLE + K_QUANTS)
def test_any_bytes_are_numbers_as_the_gguf_package_reads_them(name):
    blocks = RNG.integers(0, 256, (8, 4 * BLOCKS[name].itemsize), dtype=np.uint8)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(blocks, GGMLQuantizationType[name])
    np.testing.assert_array_equal(dequantize(blocks, name), expected)


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
def test_float_formats_equal_the_gguf_packages(name):
    x = DATA["gaussian"]
    expected = gguf.quants.quantize(x, GGMLQuantizationType[name]).view(np.uint8)
    np.testing.assert_array_equal(quantize(x, name), expected.reshape(len(x), -1))


@pytest.mark.parametrize("name", BLOCKS)
def test_bits_per_weight_are_those_of_ggml(name):
    n_weights, n_bytes = gguf.GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    assert bits_per_weight(name) == 8 * n_bytes / n_weights


@pytest.mark.parametrize("name", SIMPLE + K_QUANTS)
def test_more_bits_mean_smaller_errors(name):
    x = DATA["gaussian"]
    error = np.sqrt(((dequantize(quantize(x, name), name) - x) ** 2).mean())
    assert error < 2.0 ** (1 - int(name[1]))


@pytest.mark.parametrize(
    ("x", "name", "words"),
    [
        (np.zeros((1, 32), np.float32), "Q7_0", "no format 'Q7_0'"),
        (np.zeros((1, 32)), "Q8_0", "float32 array.*float64"),
        (np.zeros(32, np.float32), "Q8_0", r"shape \(32,\)"),
        ([[0.0] * 32], "Q8_0", "not list"),
        (np.zeros((1, 33), np.float32), "Q8_0", "rows of 33"),
        (np.zeros((1, 128), np.float32), "Q4_K", "blocks of 256"),
        (np.zeros((2, 0), np.float32), "Q8_0", "rows of 0"),
        (np.float32([[0.0] * 31 + [np.nan]]), "Q8_0", r"\(0, 31\) is nan"),
        (np.float32([[0.0] * 31 + [np.inf]]), "F16", r"\(0, 31\) is inf"),
    ],
)
def test_weights_that_cannot_be_stored_are_refused(x, name, words):
    with pytest.raises(QuantizationError, match=words):
        quantize(x, name)


@pytest.mark.parametrize(
    ("blocks", "name"),
    [
        (np.zeros((1, 33), np.uint8), "Q8_0"),
        (np.zeros((1, 34), np.int8), "Q8_0"),
        (np.zeros(34, np.uint8), "Q8_0"),
        (np.zeros((1, 34), np.uint8), "Q8_1"),
    ],
)
def test_bytes_that_are_no_blocks_are_refused(blocks, name):
    with pytest.raises(QuantizationError):
        dequantize(blocks, name)
