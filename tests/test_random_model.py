"""Random models: the right shape and size, and numbers that behave."""

from dataclasses import replace

import numpy as np
import pytest

from course_lib.config import MISTRAL_7B_V03, TINY_MISTRAL
from course_lib.gguf_file import inspect_gguf
from course_lib.gguf_package import gguf
from course_lib.llama_file import LlamaFile
from course_lib.memory_estimate import estimate_memory
from course_lib.random_model import write_hollow_model, write_random_model
from course_lib.transformer import Transformer

CONFIG = replace(TINY_MISTRAL, n_layers=2, vocab_size=512)
TYPES = ["F32", "F16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]


@pytest.mark.parametrize("type_name", TYPES)
def test_logits_are_neither_huge_nor_all_alike(tmp_path, type_name):
    path = write_random_model(tmp_path / "r.gguf", CONFIG, type_name, rng=np.random.default_rng(0))
    logits = Transformer.from_gguf(path).forward([1, 2, 3])
    assert 0.3 < logits.std() < 3
    assert inspect_gguf(path).n_params == CONFIG.n_params


@pytest.mark.parametrize("type_name", TYPES)
def test_matrices_keep_the_size_of_vectors(tmp_path, type_name):
    path = write_random_model(tmp_path / "r.gguf", CONFIG, type_name, rng=np.random.default_rng(0))
    weights = LlamaFile(path).tensor("blk.1.ffn_up.weight")
    assert weights.std() == pytest.approx(CONFIG.dim**-0.5, rel=0.1)


def test_the_same_seed_gives_the_same_file(tmp_path):
    paths = [
        write_random_model(tmp_path / name, CONFIG, "Q4_0", rng=np.random.default_rng(3))
        for name in ("a.gguf", "b.gguf")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


# --- without weights


def test_the_gguf_package_reads_a_hollow_model(tmp_path):
    path = write_hollow_model(tmp_path / "h.gguf", CONFIG, "Q4_K_M")
    tensors = gguf.GGUFReader(path).tensors
    assert sum(tensor.n_elements for tensor in tensors) == CONFIG.n_params
    assert tensors[-1].data_offset + tensors[-1].n_bytes == path.stat().st_size
    assert not any(tensor.data.any() for tensor in tensors)


@pytest.mark.parametrize("level", ["F16", "Q8_0", "Q4_K_M", "Q2_K"])
def test_a_hollow_model_takes_the_memory_of_its_configuration(tmp_path, level):
    path = write_hollow_model(tmp_path / "h.gguf", CONFIG, level)
    inspect_gguf(path)
    features = ("AVX2",)
    expected = estimate_memory(CONFIG, level, n_ctx=512, features=features)
    assert estimate_memory(path, n_ctx=512, features=features) == expected


def test_a_hollow_model_is_as_long_as_the_published_file(tmp_path):
    path = write_hollow_model(tmp_path / "h.gguf", MISTRAL_7B_V03, "Q4_K_M")
    vocabulary_bytes = 4_372_812_000 - path.stat().st_size
    assert 20 < vocabulary_bytes / MISTRAL_7B_V03.vocab_size < 25
