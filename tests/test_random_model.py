"""Random models: the right shape and size, and numbers that behave."""

from dataclasses import replace

import numpy as np
import pytest

from course_lib.config import TINY_MISTRAL
from course_lib.gguf_file import inspect_gguf
from course_lib.llama_file import LlamaFile
from course_lib.random_model import write_random_model
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
