"""Predicted sizes against files that llama.cpp wrote, and against published ones."""

from dataclasses import replace

import gguf
import numpy as np
import pytest

from course_lib import TINY_MODEL_PATH
from course_lib.config import MISTRAL_7B_V02, MISTRAL_7B_V03, TINY_MISTRAL
from course_lib.convert import quantize_gguf
from course_lib.gguf_file import inspect_gguf
from course_lib.model_size import LEVELS, gguf_bytes, tensor_shapes, tensor_types
from course_lib.quantization_blocks import QuantizationError
from course_lib.random_model import write_random_model
from course_lib.tensor_layout import BLOCK_SIZES


@pytest.mark.parametrize("level", LEVELS)
def test_the_size_of_tiny_mistral_is_exact_at_every_level(tmp_path, level):
    path = quantize_gguf(TINY_MODEL_PATH, tmp_path / "new.gguf", level)
    tensors = inspect_gguf(path).tensors
    assert {t.name: t.type_name for t in tensors} == tensor_types(TINY_MISTRAL, level)
    header_bytes = min(t.offset for t in tensors)
    assert gguf_bytes(TINY_MISTRAL, level, header_bytes=header_bytes) == path.stat().st_size


@pytest.mark.parametrize(
    ("config", "tied"),
    [
        (replace(TINY_MISTRAL, n_layers=16, vocab_size=300, n_kv_heads=8), False),
        (replace(TINY_MISTRAL, n_layers=3, vocab_size=300), True),
        (replace(TINY_MISTRAL, n_layers=2, vocab_size=300, hidden_dim=96, head_dim=16), False),
        (replace(TINY_MISTRAL, n_layers=2, vocab_size=300, dim=96, hidden_dim=200), False),
        (replace(TINY_MISTRAL, n_layers=80, vocab_size=300, hidden_dim=256), False),
    ],
)
@pytest.mark.parametrize("level", ["Q2_K", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q4_0"])
def test_mixtures_are_those_of_llama_cpp_for_other_shapes(tmp_path, config, tied, level):
    rng = np.random.default_rng(0)
    source = write_random_model(tmp_path / "source.gguf", config, "F16", rng=rng, tied=tied)
    path = quantize_gguf(source, tmp_path / "new.gguf", level)
    found = {t.name: t.type_name for t in inspect_gguf(path).tensors}
    assert found == tensor_types(config, level, tied)


@pytest.mark.parametrize(
    ("config", "level", "published"),
    [
        (MISTRAL_7B_V03, "Q4_K_M", 4_372_812_000),
        (MISTRAL_7B_V03, "Q6_K", 5_947_248_864),
        (MISTRAL_7B_V02, "Q4_K_M", 4_368_439_584),
    ],
)
def test_published_files_are_predicted_closely(config, level, published):
    assert gguf_bytes(config, level) == pytest.approx(published, rel=1e-5)


def test_shapes_hold_every_weight():
    shapes = tensor_shapes(MISTRAL_7B_V03).values()
    assert sum(int(np.prod(shape)) for shape in shapes) == MISTRAL_7B_V03.n_params


def test_block_sizes_are_those_of_the_gguf_package():
    for name, sizes in BLOCK_SIZES.items():
        assert sizes == gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]


def test_an_unknown_level_is_named():
    with pytest.raises(QuantizationError, match=r"no level 'Q7'.*Q4_K_M"):
        gguf_bytes(TINY_MISTRAL, "Q7")
