"""Quantizing through llama.cpp: the right file, or the old one."""

import gguf
import numpy as np
import pytest

from course_lib import TINY_MODEL_PATH
from course_lib.convert import ConversionError, quantize_gguf
from course_lib.gguf_cursor import InvalidGGUFError
from course_lib.gguf_file import inspect_gguf


@pytest.mark.parametrize(
    ("level", "type_name"),
    [("F32", "F32"), ("BF16", "BF16"), ("Q8_0", "Q8_0"), ("Q4_0", "Q4_0"), ("Q4_K_M", "Q4_K")],
)
def test_most_weights_are_stored_as_asked(tmp_path, level, type_name):
    path = quantize_gguf(TINY_MODEL_PATH, tmp_path / "new.gguf", level)
    types = {tensor.name: tensor.type_name for tensor in inspect_gguf(path).tensors}
    assert types["blk.2.ffn_gate.weight"] == type_name
    assert list(tmp_path.iterdir()) == [path]


def test_widening_changes_no_number(tmp_path):
    path = quantize_gguf(TINY_MODEL_PATH, tmp_path / "new.gguf", "F32")
    new = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    for old in gguf.GGUFReader(TINY_MODEL_PATH).tensors:
        np.testing.assert_array_equal(old.data.astype(np.float32), new[old.name])


def test_an_unknown_level_is_named():
    with pytest.raises(ValueError, match=r"no level 'Q7'.*Q4_K_M"):
        quantize_gguf(TINY_MODEL_PATH, "new.gguf", "Q7")


def test_a_file_is_not_written_over_itself(tmp_path):
    path = quantize_gguf(TINY_MODEL_PATH, tmp_path / "new.gguf", "Q8_0")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="the source itself"):
        quantize_gguf(path, path, "Q4_0")
    assert path.read_bytes() == before


def test_a_failure_leaves_the_old_output_and_nothing_else(tmp_path):
    source, output = tmp_path / "cut.gguf", tmp_path / "new.gguf"
    source.write_bytes(TINY_MODEL_PATH.read_bytes()[:-1000])
    output.write_text("old")
    with pytest.raises(InvalidGGUFError, match="truncated"):
        quantize_gguf(source, output, "Q8_0")
    assert output.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [source, output]


def test_what_llama_cpp_says_is_in_the_error(tmp_path):
    source = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(source, "unheard-of")
    writer.add_tensor("w", np.ones((2, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ConversionError, match="unheard-of"):
        quantize_gguf(source, tmp_path / "new.gguf", "Q8_0")
    assert list(tmp_path.iterdir()) == [source]
