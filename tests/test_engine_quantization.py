"""ggml's quantizer, called directly: the `gguf` package reads and writes the same bytes."""

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType

from course_lib.engine_quantization import engine_quantize
from course_lib.quantization_blocks import BLOCKS, QuantizationError

X = np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32)


@pytest.mark.parametrize("name", ["F32", "F16", "BF16", "Q8_0"])
def test_bytes_equal_the_gguf_packages(name):
    expected = gguf.quants.quantize(X, GGMLQuantizationType[name]).view(np.uint8)
    np.testing.assert_array_equal(engine_quantize(X, name), expected.reshape(len(X), -1))


@pytest.mark.parametrize("name", BLOCKS)
def test_the_gguf_package_reads_nearly_the_same_numbers_back(name):
    back = gguf.quants.dequantize(engine_quantize(X, name), GGMLQuantizationType[name])
    assert np.sqrt(((back - X) ** 2).mean()) < 0.1


@pytest.mark.parametrize("name", BLOCKS)
def test_rows_of_any_layout_in_memory_give_the_same_bytes(name):
    turned = np.asfortranarray(X)
    np.testing.assert_array_equal(engine_quantize(turned, name), engine_quantize(X, name))
    every_other = engine_quantize(X[::2], name)
    np.testing.assert_array_equal(every_other, engine_quantize(X, name)[::2])


@pytest.mark.parametrize(
    ("x", "name", "words"),
    [
        (X, "Q7_0", "no format 'Q7_0'"),
        (X.astype(np.float64), "Q8_0", "float64"),
        (X[:, :33], "Q8_0", "rows of 33"),
        (np.full((1, 32), np.nan, np.float32), "Q4_0", r"\(0, 0\) is nan"),
    ],
)
def test_what_would_crash_or_mislead_c_code_is_refused(x, name, words):
    with pytest.raises(QuantizationError, match=words):
        engine_quantize(x, name)
