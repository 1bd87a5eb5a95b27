"""Checkpoints: the order of rows, the numbers, what configurations say."""

import json
import shutil
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from course_lib.config import TINY_MISTRAL
from course_lib.convert import convert_checkpoint
from course_lib.hf_checkpoint import HFCheckpoint, halves_from_pairs, pairs_from_halves
from course_lib.llama_file import LlamaFile
from course_lib.rope import apply_rope, rope_angles
from course_lib.safetensors_file import CheckpointError, SafetensorsFile
from tools.tiny_mistral.hugging_face import write_checkpoint

N_HEADS, HEAD_DIM, DIM, N_TOKENS = 4, 8, 16, 6


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("hf") / "tiny-mistral")


@pytest.fixture
def checkpoint(published, tmp_path):
    return shutil.copytree(published, tmp_path / "checkpoint")


def set_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --- the order of rows


def rotate_halves(x, cos, sin):
    """Hugging Face's rotary embedding: each number turns with the one half a head away."""
    cos, sin = np.concatenate([cos, cos], -1), np.concatenate([sin, sin], -1)
    swapped = np.concatenate([-x[..., HEAD_DIM // 2 :], x[..., : HEAD_DIM // 2]], -1)
    return x * cos[:, None] + swapped * sin[:, None]


def test_scores_of_attention_stay_the_same():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N_TOKENS, DIM))
    wq, wk = rng.standard_normal((2, N_HEADS * HEAD_DIM, DIM))
    cos, sin = rope_angles(N_TOKENS, HEAD_DIM, 10_000.0)

    def heads(w):
        return (x @ w.T).reshape(N_TOKENS, N_HEADS, HEAD_DIM)

    def scores(q, k):
        return np.einsum("ihd,jhd->hij", q, k)

    expected = scores(*(rotate_halves(heads(w), cos, sin) for w in (wq, wk)))
    turned = (apply_rope(heads(pairs_from_halves(w, N_HEADS)), cos, sin) for w in (wq, wk))
    np.testing.assert_allclose(scores(*turned), expected, atol=1e-12)
    wrong = (apply_rope(heads(w), cos, sin) for w in (wq, wk))
    assert np.abs(scores(*wrong) - expected).max() > 1


def test_one_order_undoes_the_other():
    w = np.random.default_rng(0).standard_normal((N_HEADS * HEAD_DIM, DIM))
    np.testing.assert_array_equal(halves_from_pairs(pairs_from_halves(w, N_HEADS), N_HEADS), w)


# --- what a configuration says


def test_the_configuration_is_read(published):
    assert HFCheckpoint(published).config == TINY_MISTRAL


def test_defaults_of_older_configurations(checkpoint):
    path = checkpoint / "config.json"
    older = json.loads(path.read_text())
    for name in ("head_dim", "rope_theta", "sliding_window", "tie_word_embeddings", "hidden_act"):
        del older[name]
    path.write_text(json.dumps(older))
    assert HFCheckpoint(checkpoint).config == TINY_MISTRAL


def test_rope_may_stand_where_newer_configurations_have_it(checkpoint, tmp_path):
    set_config(
        checkpoint,
        rope_theta=None,
        rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 5e5},
    )
    file = LlamaFile(convert_checkpoint(checkpoint, tmp_path / "new.gguf"))
    assert file.config.rope_theta == 5e5
    assert (file.rope_scaling.kind, file.rope_scaling.factor) == ("linear", 4.0)


def test_yarn_is_carried_over(checkpoint, tmp_path):
    yarn = {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 256}
    set_config(checkpoint, rope_scaling=yarn)
    scaling = LlamaFile(convert_checkpoint(checkpoint, tmp_path / "new.gguf")).rope_scaling
    assert (scaling.kind, scaling.factor, scaling.original_seq_len) == ("yarn", 2.0, 256)


def test_a_chat_template_may_have_a_file_of_its_own(checkpoint):
    (checkpoint / "chat_template.jinja").write_text("{{ messages }}")
    assert HFCheckpoint(checkpoint).chat_template == "{{ messages }}"


def test_of_several_chat_templates_the_default_counts(checkpoint):
    templates = [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]
    settings = {"chat_template": templates, "add_bos_token": False}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(settings))
    found = HFCheckpoint(checkpoint)
    assert (found.chat_template, found.add_bos) == ("d", False)


# --- safetensors


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_numbers_are_those_that_the_safetensors_package_wrote(tmp_path, dtype):
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(dtype)
    save_file({"x": x, "한글": x[:1]}, tmp_path / "x.safetensors", metadata={"format": "pt"})
    file = SafetensorsFile(tmp_path / "x.safetensors")
    assert file.shapes == {"x": (3, 5), "한글": (1, 5)}
    np.testing.assert_array_equal(file.tensor("x"), x.astype(np.float32))
    assert file.tensor("x").dtype == np.float32


def test_bf16_is_the_upper_half_of_float32(tmp_path):
    x = np.float32([1.0, -2.5, 3.140625, 1e30])
    stored = (x.view(np.uint32) >> 16).astype("<u2").tobytes()
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors({"x": entry("BF16", [4], [0, 8])}, stored))
    found = SafetensorsFile(path).tensor("x")
    np.testing.assert_allclose(found, x, rtol=2**-7)
    np.testing.assert_array_equal(found[:3], x[:3])


def entry(dtype, shape, data_offsets):
    return {"dtype": dtype, "shape": shape, "data_offsets": data_offsets}


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not fit"),
        (b"\1\2\3", "does not fit"),
        (struct.pack("<Q", 2**63) + b"{}", "does not fit"),
        (safetensors(b"{"), "damaged"),
        (safetensors(b"[1]"), "damaged"),
        (safetensors(b"\xff\xff"), "damaged"),
        (safetensors(b"[" * 100_000), "damaged"),
        (safetensors({"x": 1}), "damaged"),
        (safetensors({"x": {"dtype": "F32", "shape": [1]}}), "damaged"),
        (safetensors({"x": entry("F32", [2], [0, 4])}, bytes(4)), "do not hold"),
        (safetensors({"x": entry("F32", [-1], [0, 4])}, bytes(4)), "natural number"),
        (safetensors({"x": entry("F32", [1.5], [0, 6])}, bytes(6)), "natural number"),
        (safetensors({"x": entry("F32", [1], [-4, 0])}, bytes(4)), "natural number"),
        (safetensors({"x": entry("F32", [2], [0, 8])}, bytes(7)), "bytes expected"),
        (safetensors({"x": entry("F32", [2**61], [0, 2**63])}), "bytes expected"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, data, words):
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=words):
        SafetensorsFile(path)
