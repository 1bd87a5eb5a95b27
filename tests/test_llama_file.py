"""Reading models of the llama architecture: sizes, tensors, and what is refused."""

from dataclasses import replace

import gguf
import numpy as np
import pytest

from course_lib import TINY_MODEL_PATH
from course_lib.config import TINY_MISTRAL
from course_lib.llama_file import LlamaFile, UnsupportedModelError, read_config
from course_lib.random_model import write_random_model

CONFIG = replace(TINY_MISTRAL, n_layers=1, vocab_size=300)


@pytest.fixture
def written(tmp_path):
    def write(config=CONFIG, type_name="F16", **options):
        path = tmp_path / "random.gguf"
        return write_random_model(path, config, type_name, rng=np.random.default_rng(0), **options)

    return write


def test_the_shipped_model_has_the_sizes_of_tiny_mistral():
    assert read_config(TINY_MODEL_PATH) == TINY_MISTRAL


def test_config_is_what_was_written(written):
    config = replace(CONFIG, rope_theta=1e6, sliding_window=64, norm_eps=1e-6)
    assert read_config(written(config)) == config


@pytest.mark.parametrize(
    "type_name", ["F32", "F16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
)
def test_tensors_are_those_that_the_gguf_package_reads(written, type_name):
    path = written(type_name=type_name)
    file = LlamaFile(path)
    for tensor in gguf.GGUFReader(path).tensors:
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        found = file.tensor(tensor.name)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_some_rows_are_those_of_the_whole(written):
    file = LlamaFile(written(type_name="Q4_K"))
    rows = np.array([5, 0, 5, 299])
    whole = file.tensor("token_embd.weight")
    np.testing.assert_array_equal(file.rows("token_embd.weight", rows), whole[rows])


def test_another_architecture_is_refused(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "qwen3")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedModelError, match="'qwen3'"):
        LlamaFile(tmp_path / "other.gguf")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("llama.embedding_length", None, "llama.embedding_length is None, not a number"),
        ("llama.embedding_length", "wide", "wide, not a number"),
        ("llama.block_count", 0, "n_layers=0"),
        ("llama.attention.head_count_kv", 3, "n_kv_heads=3"),
        ("llama.rope.dimension_count", 16, "rope.dimension_count is 16"),
        ("llama.attention.value_length", 64, "value_length is 64"),
        ("llama.expert_count", 8, "experts"),
        ("llama.rope.scaling.type", "longrope", "longrope"),
    ],
)
def test_sizes_that_make_no_sense_are_named(written, key, value, words):
    def change(writer):
        writer.kv_data[0].pop(key, None)
        if isinstance(value, str):
            writer.add_string(key, value)
        elif value is not None:
            writer.add_uint32(key, value)

    with pytest.raises(UnsupportedModelError, match=words):
        LlamaFile(written(describe=change))


def test_the_end_of_text_is_read(written):
    def leave_it_out(writer):
        del writer.kv_data[0]["tokenizer.ggml.eos_token_id"]

    assert LlamaFile(TINY_MODEL_PATH).eos_id == 2
    assert LlamaFile(written(describe=leave_it_out)).eos_id is None
