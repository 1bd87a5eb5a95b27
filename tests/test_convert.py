"""Checkpoints become the right file, GGUFs smaller ones; or nothing changes."""

import json
import shutil
import subprocess
import sys
from collections import namedtuple

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from course_lib import TINY_MODEL_PATH, convert
from course_lib.config import TINY_MISTRAL
from course_lib.convert import DTYPES, ConversionError, convert_checkpoint, quantize_gguf
from course_lib.gguf_cursor import InvalidGGUFError
from course_lib.gguf_file import inspect_gguf
from course_lib.local_llm import LocalLLM
from course_lib.model_size import gguf_bytes
from course_lib.safetensors_file import CheckpointError
from tools.tiny_mistral.hugging_face import write_checkpoint

VOCABULARY_KEYS = [f"tokenizer.ggml.{name}" for name in ("tokens", "scores", "token_type", "model")]
VOCABULARY_KEYS += [f"tokenizer.ggml.{name}_token_id" for name in ("bos", "eos", "unknown")]
VOCABULARY_KEYS += [f"tokenizer.ggml.add_{name}" for name in ("bos_token", "space_prefix")]
VOCABULARY_KEYS += ["tokenizer.chat_template"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """tiny-mistral as Hugging Face would publish it, in two shards."""
    return write_checkpoint(tmp_path_factory.mktemp("hf") / "tiny-mistral", n_shards=2)


@pytest.fixture
def checkpoint(published, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(published, tmp_path / "checkpoint")


# --- from a checkpoint


@pytest.mark.parametrize("tokenizer", ["tokenizer.model", "tokenizer.json"])
def test_the_shipped_model_is_made_again(checkpoint, tmp_path, tokenizer):
    other = {"tokenizer.model": "tokenizer.json", "tokenizer.json": "tokenizer.model"}[tokenizer]
    (checkpoint / other).unlink()
    path = convert_checkpoint(checkpoint, tmp_path / "new.gguf")
    found, expected = gguf.GGUFReader(path), gguf.GGUFReader(TINY_MODEL_PATH)
    assert [t.name for t in found.tensors] == [t.name for t in expected.tensors]
    for new, old in zip(found.tensors, expected.tensors):
        assert new.tensor_type == old.tensor_type
        np.testing.assert_array_equal(new.data, old.data)
    for key in VOCABULARY_KEYS:
        assert found.fields[key].contents() == expected.fields[key].contents(), key


def test_llama_cpp_writes_the_same(published, tmp_path):
    path = convert_checkpoint(published, tmp_path / "new.gguf")
    questions = [
        "프랑스의 수도는 어디예요?",
        "What is 12 plus 7?",
        "Tell me a story about a robot.",
    ]
    with LocalLLM(path) as new, LocalLLM() as old:
        for question in questions:
            messages = [{"role": "user", "content": question}]
            assert new.chat(messages) == old.chat(messages)


@pytest.mark.parametrize("dtype", DTYPES)
def test_matrices_are_stored_as_asked_and_take_what_was_predicted(published, tmp_path, dtype):
    path = convert_checkpoint(published, tmp_path / "new.gguf", dtype)
    info = inspect_gguf(path)
    types = {tensor.name: tensor.type_name for tensor in info.tensors}
    assert types["blk.2.ffn_gate.weight"] == dtype
    assert types["output_norm.weight"] == "F32"
    header_bytes = info.tensors[0].offset
    assert info.size_bytes == gguf_bytes(TINY_MISTRAL, dtype, header_bytes=header_bytes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_is_that_of_llama_cpps_quantizer(published, tmp_path, dtype):
    ours = convert_checkpoint(published, tmp_path / "ours.gguf", dtype)
    theirs = quantize_gguf(TINY_MODEL_PATH, tmp_path / "theirs.gguf", dtype)
    expected = {tensor.name: tensor for tensor in gguf.GGUFReader(theirs).tensors}
    for tensor in gguf.GGUFReader(ours).tensors:
        if tensor.tensor_type == expected[tensor.name].tensor_type:  # it may keep output at Q8_0
            np.testing.assert_array_equal(tensor.data, expected[tensor.name].data)


def test_a_single_file_will_do(tmp_path):
    folder = write_checkpoint(tmp_path / "one", dtype="F32")
    assert (folder / "model.safetensors").is_file()
    path = convert_checkpoint(folder, tmp_path / "new.gguf", "F16")
    assert inspect_gguf(path).n_params == TINY_MISTRAL.n_params


def test_tied_weights_are_written_once(checkpoint, tmp_path):
    set_config(checkpoint, tie_word_embeddings=True)
    path = convert_checkpoint(checkpoint, tmp_path / "new.gguf")
    assert "output.weight" not in {tensor.name for tensor in inspect_gguf(path).tensors}
    with LocalLLM(path) as llm:
        llm.generate("나는", max_tokens=2)


def set_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def remove(folder, pattern):
    for path in folder.glob(pattern):
        path.unlink()


def cut(folder, pattern):
    for path in folder.glob(pattern):
        path.write_bytes(path.read_bytes()[:-100])


def change_tensors(folder, change):
    """Read all shards with Hugging Face's own package, and write what `change` makes of them."""
    shards = sorted(folder.glob("*.safetensors"))
    tensors = {name: x for shard in shards for name, x in load_file(shard).items()}
    remove(folder, "*.safetensors*")
    save_file(change(tensors), folder / "model.safetensors")


def with_number(name, number):
    def change(tensors):
        tensors[name] = np.array(tensors[name], np.float32)
        tensors[name].flat[7] = number
        return tensors

    return change


V_PROJ = "model.layers.1.self_attn.v_proj.weight"
DAMAGE = {
    "another architecture": (lambda f: set_config(f, model_type="gpt2"), "type 'gpt2'"),
    "experts": (lambda f: set_config(f, model_type="mixtral"), "type 'mixtral'"),
    "no type": (lambda f: set_config(f, model_type=None), "type None"),
    "quantized": (lambda f: set_config(f, quantization_config={}), "quantized already"),
    "another activation": (lambda f: set_config(f, hidden_act="gelu"), "gelu"),
    "a size missing": (lambda f: set_config(f, hidden_size=None), "describe such a model"),
    "absurd heads": (lambda f: set_config(f, num_attention_heads=0), "describe such a model"),
    "another width": (lambda f: set_config(f, intermediate_size=512), "config.json asks for"),
    "unknown stretching": (
        lambda f: set_config(f, rope_scaling={"rope_type": "longrope", "factor": 2}),
        "longrope",
    ),
    "no config": (lambda f: remove(f, "config.json"), "config.json is missing"),
    "config cut": (lambda f: cut(f, "config.json"), "config.json is damaged"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "no JSON object"),
    "a shard missing": (lambda f: remove(f, "*-00002-*"), "00002-of-00002.safetensors is missing"),
    "all shards missing": (lambda f: remove(f, "*.safetensors*"), "model.safetensors is missing"),
    "a shard cut": (lambda f: cut(f, "*-00001-*"), "bytes expected"),
    "index cut": (lambda f: cut(f, "*.index.json"), "index.json is damaged"),
    "no tokenizer": (lambda f: remove(f, "tokenizer.*"), "neither tokenizer.model nor"),
    "tokenizer cut": (lambda f: cut(f, "tokenizer.model"), "no SentencePiece model"),
    "vocabulary too large": (lambda f: set_config(f, vocab_size=2000), "different models"),
    "a tensor missing": (
        lambda f: change_tensors(f, lambda t: {k: x for k, x in t.items() if k != V_PROJ}),
        "has no tensor",
    ),
    "an unknown tensor": (
        lambda f: change_tensors(
            f, lambda t: t | {"model.layers.0.self_attn.q_proj.bias": t["model.norm.weight"]}
        ),
        "no part of Mistral",
    ),
    "NaN": (lambda f: change_tensors(f, with_number(V_PROJ, np.nan)), "NaN or infinite"),
    "integers": (
        lambda f: change_tensors(f, lambda t: t | {V_PROJ: np.zeros(t[V_PROJ].shape, np.int8)}),
        "stored as I8",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_bad_checkpoint_is_refused_and_nothing_changes(checkpoint, tmp_path, name):
    damage, words = DAMAGE[name]
    damage(checkpoint)
    output = tmp_path / "new.gguf"
    output.write_text("old")
    with pytest.raises(CheckpointError, match=words):
        convert_checkpoint(checkpoint, output)
    assert output.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [checkpoint, output]


def test_a_shard_outside_the_folder_is_not_read(checkpoint, tmp_path):
    index = checkpoint / "model.safetensors.index.json"
    for shard in checkpoint.glob("*-00002-*"):
        shard.rename(tmp_path / shard.name)
    index.write_text(index.read_text().replace("model-00002", "../model-00002"))
    with pytest.raises(CheckpointError, match="no file name"):
        convert_checkpoint(checkpoint, tmp_path / "new.gguf")


def test_a_number_that_f16_cannot_hold_is_named(checkpoint, tmp_path):
    change_tensors(checkpoint, with_number(V_PROJ, 70_000.0))
    with pytest.raises(ConversionError, match=r"attn_v.* 70000.*BF16"):
        convert_checkpoint(checkpoint, tmp_path / "new.gguf")
    assert convert_checkpoint(checkpoint, tmp_path / "new.gguf", "BF16").is_file()


def test_a_level_needs_a_second_step(published, tmp_path):
    with pytest.raises(ValueError, match=r"'Q4_K_M'.*quantize_gguf"):
        convert_checkpoint(published, tmp_path / "new.gguf", "Q4_K_M")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no folder"):
        convert_checkpoint(tmp_path / "absent", tmp_path / "new.gguf")


def test_a_checkpoint_is_not_written_over_itself(checkpoint, tmp_path):
    change_tensors(checkpoint, dict)
    with pytest.raises(ValueError, match="the source itself"):
        convert_checkpoint(checkpoint, checkpoint / "model.safetensors")


# --- what the file system refuses, for both steps


@pytest.fixture(params=["convert", "quantize"])
def write(request, published):
    if request.param == "convert":
        return lambda output: convert_checkpoint(published, output)
    return lambda output: quantize_gguf(TINY_MODEL_PATH, output, "F16")


def test_output_needs_a_folder_that_is_there(write, tmp_path):
    with pytest.raises(FileNotFoundError, match="Make it first"):
        write(tmp_path / "absent" / "new.gguf")


def test_a_folder_is_no_output(write, tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write(tmp_path)


def test_a_disk_without_room_is_noticed_first(published, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1_000_000))
    with pytest.raises(ConversionError, match=r"needs 0\.01 GB"):
        convert_checkpoint(published, tmp_path / "new.gguf")
    assert list(tmp_path.iterdir()) == []


LIMITED = """if True:
    import resource, signal, sys
    from course_lib.convert import ConversionError, convert_checkpoint, quantize_gguf
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
    step, source, output = sys.argv[1:]
    try:
        if step == "convert":
            convert_checkpoint(source, output)
        else:
            quantize_gguf(source, output, "F16")
    except ConversionError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no limit of a file's size")
@pytest.mark.parametrize("step", ["convert", "quantize"])
def test_a_disk_that_fills_leaves_the_old_output(published, tmp_path, step):
    source = published if step == "convert" else TINY_MODEL_PATH
    output = tmp_path / "new.gguf"
    output.write_text("old")
    command = [sys.executable, "-c", LIMITED, step, str(source), str(output)]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert "new.gguf could not be written" in child.stdout
    assert output.read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


# --- from a GGUF


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


def test_the_bar_moves_once_for_each_tensor(tmp_path, monkeypatch):
    moves = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, n):
            moves.append(int(n))

    monkeypatch.setattr(convert, "progress_bar", lambda **options: Bar())
    path = quantize_gguf(TINY_MODEL_PATH, tmp_path / "new.gguf", "Q8_0")
    assert sum(moves) == len(inspect_gguf(path).tensors)


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
