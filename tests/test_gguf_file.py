"""Reading and refusing GGUF files, against the `gguf` package and llama.cpp."""

import os
import pickle
import re
import struct
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from course_lib import TINY_MODEL_PATH
from course_lib.config import TINY_MISTRAL, ModelConfig
from course_lib.convert import quantize_gguf
from course_lib.gguf_cursor import InvalidGGUFError
from course_lib.gguf_file import (
    inspect_gguf,
    validate_gguf,
)
from course_lib.gguf_header import ArraySummary, read_header
from course_lib.random_model import write_random_model

SIZES = ModelConfig(
    dim=64,
    n_layers=1,
    n_heads=4,
    n_kv_heads=2,
    head_dim=16,
    hidden_dim=96,
    vocab_size=300,
    norm_eps=1e-5,
    rope_theta=10_000.0,
    sliding_window=None,
    max_seq_len=128,
)


TOKENS = [
    *("<unk>", "<s>", "</s>"),
    *(f"<0x{byte:02X}>" for byte in range(256)),
    *(f"▁서울{i}" for i in range(41)),
]


def write_model(path, architecture="llama", alignment=None, tokens=TOKENS, change=None, types=None):
    """A whole model with random weights, as the `gguf` package writes it.

    `change(writer)` may alter the metadata, and `types` the formats of tensors, by name.
    """
    writer = gguf.GGUFWriter(path, architecture)
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_name("표본\x1b[31m")
    writer.add_embedding_length(SIZES.dim)
    writer.add_block_count(SIZES.n_layers)
    writer.add_head_count(SIZES.n_heads)
    writer.add_head_count_kv(SIZES.n_kv_heads)
    writer.add_key_length(SIZES.head_dim)
    writer.add_feed_forward_length(SIZES.hidden_dim)
    writer.add_layer_norm_rms_eps(SIZES.norm_eps)
    writer.add_rope_freq_base(SIZES.rope_theta)
    writer.add_rope_dimension_count(SIZES.head_dim)
    writer.add_context_length(SIZES.max_seq_len)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(i) for i in range(len(tokens))])
    writer.add_token_types([2, 3, 3] + [6 if "<0x" in token else 1 for token in tokens[3:]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if change:
        change(writer)
    rng = np.random.default_rng(0)
    for name, shape in tensor_shapes(len(tokens)).items():
        weights = rng.standard_normal(shape).astype(np.float32)
        if types and name in types:
            tensor_type = gguf.GGMLQuantizationType[types[name]]
            block_size, n_block_bytes = gguf.GGML_QUANT_SIZES[tensor_type]
            stored = np.zeros((*shape[:-1], shape[-1] // block_size * n_block_bytes), np.uint8)
            writer.add_tensor(name, stored, raw_dtype=tensor_type)
        elif "ffn" in name and len(shape) == 2:
            blocks = gguf.quants.quantize(weights, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, weights if len(shape) == 1 else weights.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)


def tensor_shapes(vocab_size):
    dim, kv_dim, hidden_dim = SIZES.dim, SIZES.n_kv_heads * SIZES.head_dim, SIZES.hidden_dim
    dim_q = SIZES.n_heads * SIZES.head_dim
    return {
        "token_embd.weight": (vocab_size, dim),
        "blk.0.attn_norm.weight": (dim,),
        "blk.0.attn_q.weight": (dim_q, dim),
        "blk.0.attn_k.weight": (kv_dim, dim),
        "blk.0.attn_v.weight": (kv_dim, dim),
        "blk.0.attn_output.weight": (dim, dim_q),
        "blk.0.ffn_norm.weight": (dim,),
        "blk.0.ffn_gate.weight": (hidden_dim, dim),
        "blk.0.ffn_up.weight": (hidden_dim, dim),
        "blk.0.ffn_down.weight": (dim, hidden_dim),
        "output_norm.weight": (dim,),
        "output.weight": (vocab_size, dim),
    }


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("gguf") / "sample.gguf")


@pytest.fixture
def broken(model_path, tmp_path):
    """Write changed bytes, and return the error they meet."""

    def refuse(data):
        path = tmp_path / "broken.gguf"
        path.write_bytes(bytes(data))
        with pytest.raises(InvalidGGUFError) as caught:
            validate_gguf(path)
        assert caught.value.path == str(path)
        assert 0 <= caught.value.offset <= len(data)
        return caught.value

    return refuse


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, value_type, value):
    return text(key) + struct.pack("<I", value_type) + value


def tensor(name, dims, type_number=0, offset=0):
    shape = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return text(name) + shape + struct.pack("<IQ", type_number, offset)


def small_file(entries=(), tensors=(), version=3, weights=0, alignment=32):
    """A GGUF built by hand, to be wrong in one place."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    head += b"".join(entries) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + bytes(weights)


# --- what is read equals what the gguf package reads


def test_tensors_equal_those_of_the_gguf_package(model_path):
    reader = gguf.GGUFReader(model_path)
    expected = [
        (t.name, tuple(t.shape.tolist()[::-1]), t.tensor_type.name, t.n_bytes, t.data_offset)
        for t in reader.tensors
    ]
    found = [
        (t.name, t.shape, t.type_name, t.n_bytes, t.offset)
        for t in inspect_gguf(model_path).tensors
    ]
    assert found == expected


def test_metadata_equals_that_of_the_gguf_package(model_path):
    info = inspect_gguf(model_path)
    fields = {k: f for k, f in gguf.GGUFReader(model_path).fields.items() if "GGUF." not in k}
    assert list(info.metadata) == list(fields)
    for key, field in fields.items():
        expected, found = field.contents(), info.metadata[key]
        if isinstance(found, ArraySummary):
            assert found.n_items == len(expected)
            assert list(found.first_items) == expected[:8]
        else:
            assert found == expected


def test_weights_lie_where_the_offset_says(model_path):
    norm = next(t for t in inspect_gguf(model_path).tensors if t.name == "output_norm.weight")
    found = np.fromfile(model_path, np.float32, count=SIZES.dim, offset=norm.offset)
    expected = next(t for t in gguf.GGUFReader(model_path).tensors if t.name == norm.name)
    np.testing.assert_array_equal(found, expected.data)


def test_n_params_counts_the_weights(model_path):
    assert inspect_gguf(model_path).n_params == SIZES.n_params


@pytest.mark.parametrize("alignment", [8, 32, 128, 4096])
def test_any_power_of_two_is_an_alignment(tmp_path, alignment):
    path = write_model(tmp_path / "aligned.gguf", alignment=alignment)
    expected = [t.data_offset for t in gguf.GGUFReader(path).tensors]
    info = inspect_gguf(path)
    assert (info.alignment, [t.offset for t in info.tensors]) == (alignment, expected)


def test_every_type_of_the_gguf_package_has_the_size_that_it_says(tmp_path):
    for tensor_type, (block_size, n_block_bytes) in gguf.GGML_QUANT_SIZES.items():
        path = tmp_path / "typed.gguf"
        described = tensor("w", (block_size, 2), tensor_type.value)
        path.write_bytes(small_file(tensors=[described], weights=2 * n_block_bytes))
        [found] = inspect_gguf(path).tensors
        assert (found.type_name, found.n_bytes) == (tensor_type.name, 2 * n_block_bytes)


def test_llama_cpp_loads_what_is_accepted(model_path):
    llama_cpp = pytest.importorskip("llama_cpp")
    validate_gguf(model_path)
    model = llama_cpp.Llama(str(model_path), n_ctx=32, verbose=False)
    assert model.n_vocab() == SIZES.vocab_size
    model.close()


# --- the summary


def test_summary_names_what_matters(model_path):
    summary = str(inspect_gguf(model_path))
    for words in ("version 3", "llama, 300 tokens", f"{SIZES.n_params:,}", "3 Q8_0", "6 F16"):
        assert words in summary


def test_summary_shows_control_characters_escaped(model_path):
    summary = str(inspect_gguf(model_path))
    assert "표본\\x1b[31m" in summary
    assert "\x1b" not in summary


def test_tensor_table_has_a_line_for_each_tensor(model_path):
    info = inspect_gguf(model_path)
    lines = info.tensor_table().splitlines()
    assert len(lines) == 1 + len(info.tensors)
    assert lines[1].split()[:4] == ["token_embd.weight", "300", "×", "64"]


# --- what is refused


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "magic number takes 4 bytes, but only 0 are left"),
        (b"GG", "only 2 are left"),
        (b"GGUF", "the version takes 4 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (b"RIFF" + bytes(100), "b'RIFF'"),
        (small_file(version=1), "version is 1"),
        (small_file(version=4), "version is 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**62), "claims 4,611,686,018,427,387,904 metadata"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**62, 0), "4,611,686,018,427,387,904 tensors"),
        (small_file([entry("", 4, bytes(4))]), "a metadata key is empty"),
        (small_file([entry("a", 4, bytes(4))] * 2), "'a' comes twice"),
        (small_file([entry(b"\xff", 4, bytes(4))]), "not UTF-8"),
        (small_file([entry("a\0b", 4, bytes(4))]), "zero byte"),
        (small_file([entry("a", 13, bytes(8))]), "unknown value type 13"),
        (small_file([entry("a", 8, text(b"\xed\xa0\x80"))]), "not UTF-8"),
        (small_file([entry("a", 9, struct.pack("<IQ", 9, 1))]), "array of arrays"),
        (small_file([entry("a", 9, struct.pack("<IQ", 4, 2**40))]), "claims 1,099,511,627,776"),
        (small_file([entry("a", 9, struct.pack("<IQ", 8, 9) + text("x") * 8)]), "takes|claims"),
        (
            small_file([entry("a", 9, struct.pack("<IQ", 8, 9) + text("x") * 8 + text(b"\xff"))]),
            "not UTF-8",
        ),
        (small_file([entry("general.alignment", 4, struct.pack("<I", 0))]), "is 0"),
        (small_file([entry("general.alignment", 4, struct.pack("<I", 48))]), "is 48"),
        (small_file([entry("general.alignment", 10, struct.pack("<Q", 32))]), "is 32, not"),
        (small_file(tensors=[tensor("w", (1,) * 5)]), "5 dimensions"),
        (small_file(tensors=[tensor("w", (0, 4))]), "impossible shape"),
        (small_file(tensors=[tensor("w", (2**63, 1))]), "impossible shape"),
        (small_file(tensors=[tensor("w", (2**32, 2**32))]), "impossible shape"),
        (small_file(tensors=[tensor("w", (1,), 99)]), "unknown type 99"),
        (small_file(tensors=[tensor("w", (1,), 4)]), "unknown type 4"),
        (small_file(tensors=[tensor("w", (48,), 8)], weights=64), "Q8_0 cannot store"),
        (small_file(tensors=[tensor("w" * 64, (8,))], weights=32), "longer than 63 bytes"),
        (small_file(tensors=[tensor("w", (8,))], weights=31), "truncated: .* expected"),
        (small_file(tensors=[tensor("w", (8,), 0, 32)], weights=64), "lie at 32, not at 0"),
        (
            small_file(tensors=[tensor("w", (8,)), tensor("w", (8,), 0, 32)], weights=64),
            "'w' comes twice",
        ),
        (small_file(tensors=[tensor("v", (8,)), tensor("w", (8,))], weights=64), "not at 32"),
        (
            small_file(tensors=[tensor("v", (9,)), tensor("w", (8,), 0, 36)], weights=80),
            "lie at 36, not at 64",
        ),
    ],
)
def test_damage_is_refused_with_its_reason(broken, data, words):
    error = broken(data)
    assert re.search(words, error.reason), error.reason


def test_offset_of_an_error_is_where_the_damage_is(broken):
    data = bytearray(small_file([entry("key", 4, bytes(4)), entry("other", 4, bytes(4))]))
    place = data.index(b"other")
    data[place + 2] = 0xFF
    assert broken(data).offset == place + 2


def test_truncated_file_says_how_many_bytes_are_missing(model_path, broken):
    info = inspect_gguf(model_path)
    end = info.tensors[-1].offset + info.tensors[-1].n_bytes
    message = str(broken(model_path.read_bytes()[:-1000]))
    assert f"{end:,} bytes expected, {info.size_bytes - 1000:,} found" in message
    assert "Download" in message


def test_every_shorter_header_is_refused(model_path, broken):
    data = model_path.read_bytes()
    header_bytes = inspect_gguf(model_path).tensors[0].offset
    for n_bytes in range(0, header_bytes, 97):
        broken(data[:n_bytes])


def test_error_survives_pickling():
    error = pickle.loads(pickle.dumps(InvalidGGUFError("why", 7, "a.gguf")))
    assert (error.reason, error.offset, error.path) == ("why", 7, "a.gguf")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*absent\.gguf"):
        validate_gguf(tmp_path / "absent.gguf")


def test_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        validate_gguf(tmp_path)


def test_unreadable_file_is_named(model_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read anything, so it is simulated
    with pytest.raises(PermissionError, match=r"no permission to read .*sample\.gguf"):
        validate_gguf(model_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidGGUFError, match="pipe"):
        validate_gguf(tmp_path / "pipe")


# --- what is well-formed, and would end the process in llama.cpp


def setting(key, kind, value):
    """A change of metadata for `write_model`; a kind of None leaves the key out."""

    def change(writer):
        writer.kv_data[0].pop(key, None)
        if kind:
            getattr(writer, f"add_{kind}")(key, value)

    return change


def several(*settings):
    def change(writer):
        for one in settings:
            setting(*one)(writer)

    return change


def with_token(i, text):
    tokens = list(TOKENS)
    tokens[i] = text
    return {"tokens": tokens}


EPS = "llama.attention.layer_norm_rms_epsilon"
CRASHES = {
    "no blocks": ({"change": setting("llama.block_count", "uint32", 0)}, "is 0, not from 1 to 512"),
    "blocks": ({"change": setting("llama.block_count", "uint32", 513)}, "is 513, not from 1"),
    "experts": ({"change": setting("llama.expert_count", "uint32", 1025)}, "is 1,025, not from 0"),
    "unused experts": ({"change": setting("llama.expert_count", "uint32", 8)}, "no expert is ever"),
    "used experts": ({"change": setting("llama.expert_used_count", "uint32", 2)}, "2 of 0 experts"),
    "expert groups": (
        {"change": setting("llama.expert_group_count", "uint32", 1)},
        "is 1, and there are 0 experts",
    ),
    "used expert groups": (
        {
            "change": several(
                ("llama.expert_count", "uint32", 8),
                ("llama.expert_used_count", "uint32", 2),
                ("llama.expert_group_count", "uint32", 4),
            )
        },
        "is 4, with 0 groups used and 8 experts",
    ),
    "predicting": (
        {"change": setting("llama.nextn_predict_layers", "uint32", 2)},
        "is 2, more than there are blocks",
    ),
    "negative eps": ({"change": setting(EPS, "float32", -1e-5)}, "is -9.9.*e-06, not from 0"),
    "eps is no number": ({"change": setting(EPS, "float32", np.nan)}, "is nan, not from 0"),
    "scaling": (
        {"change": setting("llama.rope.scaling.type", "string", "lineal")},
        "is 'lineal', not one of none, linear, yarn, longrope",
    ),
    "no tokenizer": (
        {
            "change": several(
                ("tokenizer.ggml.model", "string", "none"), ("llama.vocab_size", "uint32", 300)
            )
        },
        "is 'none', which cannot write text",
    ),
    "other tokenizer": ({"change": setting("tokenizer.ggml.model", "string", "bert")}, "is 'bert'"),
    "alignment": ({"alignment": 8}, r"is 8, which lets '.*' begin at byte .*multiples of 32"),
    "same tokens": (with_token(298, TOKENS[297]), "the tokens 297 and 298 are both '▁서울38'"),
    "same as C strings": (with_token(298, TOKENS[297] + "\0x"), "297 and 298 are both '▁서울38'"),
    "same as an empty one": (
        {"tokens": [*TOKENS[:298], "", "[EMPTY_298]"]},
        r"298 and 299 are both '\[EMPTY_298\]'",
    ),
    "a byte is lost": (with_token(100, "<0x6!>"), "token 100 stands for a byte, but is '<0x6!>'"),
    "a byte is lost without types": (
        {
            **with_token(100, "zz"),
            "change": setting("tokenizer.ggml.token_type", None, None),
        },
        "no token stands for the byte 0x61",
    ),
    "F16 norm": ({"types": {"output_norm.weight": "F16"}}, "'output_norm.weight' is .* F16, and"),
    "Q8_0 norm": ({"types": {"blk.0.attn_norm.weight": "Q8_0"}}, "Q8_0, .* vectors of F32 only"),
    "integers": ({"types": {"blk.0.attn_q.weight": "I32"}}, "I32, with which .* not multiply"),
    "F64": ({"types": {"token_embd.weight": "F64"}}, "'token_embd.weight' is stored as F64"),
}
ENDLESS = 2**31 - 1
OTHER_DAMAGE = {  # an error of llama.cpp, numbers that mean nothing, or gigabytes
    "text as number": (
        {"change": setting("llama.block_count", "string", "1")},
        "string, and .*uint",
    ),
    "wrong number": (
        {"change": setting("llama.block_count", "uint64", 1)},
        "stored as uint64, and",
    ),
    "number as array": (
        {"change": setting("llama.embedding_length", "array", [64])},
        r"is stored as int32\[\], and llama.cpp reads uint32",
    ),
    "scores": (
        {"change": setting("tokenizer.ggml.scores", "array", ["a"])},
        r"stored as string\[\], and llama.cpp reads float32\[\] or int32\[\]",
    ),
    "token id": (
        {"change": setting("tokenizer.ggml.bos_token_id", "float32", 1.0)},
        "bos_token_id' is stored as float32",
    ),
    "few scores": (
        {"change": setting("tokenizer.ggml.scores", "array", [0.5] * 299)},
        "has 299 items for 300 tokens",
    ),
    "many types": (
        {"change": setting("tokenizer.ggml.token_type", "array", [1] * 301)},
        "has 301 items for 300 tokens",
    ),
    "no context": ({"change": setting("llama.context_length", "uint32", 0)}, "is 0, not from 1 to"),
    "context": ({"change": setting("llama.context_length", "uint32", ENDLESS)}, "is 2,147,483,647"),
    "base": ({"change": setting("llama.rope.freq_base", "float32", np.nan)}, "is nan"),
    "no heads": ({"change": setting("llama.attention.head_count", "uint32", 0)}, "is 0"),
    "heads": (
        {"change": setting("llama.attention.head_count_kv", "uint32", 3)},
        "is 3, which does not divide the 4 heads",
    ),
    "heads by block": (
        {"change": setting("llama.attention.head_count", "array", [4])},
        "is an array, not one number",
    ),
    "values": (
        {"change": setting("llama.attention.value_length", "uint32", 8)},
        "makes a head 16 wide for keys and 8 for the rest",
    ),
    "keys": (
        {"change": setting("llama.attention.key_length", "uint32", 8)},
        "key_length' makes a head 8 wide for keys and 16",
    ),
    "rotation": (
        {"change": setting("llama.rope.dimension_count", "uint32", 8)},
        "dimension_count' makes a head 16 wide",
    ),
    "odd": (
        {
            "change": several(
                ("llama.attention.key_length", "uint32", 15),
                ("llama.attention.value_length", "uint32", 15),
                ("llama.rope.dimension_count", "uint32", 15),
            )
        },
        "makes a head 15 wide, and RoPE rotates pairs",
    ),
    "no block left": (
        {"change": setting("llama.nextn_predict_layers", "uint32", 1)},
        "is 1, which leaves no block",
    ),
    "width": (
        {"change": setting("llama.embedding_length", "uint32", 65)},
        r"'token_embd.weight' has the shape \(300, 64\), .* ask for \(300, 65\)",
    ),
    "hidden width": (
        {"change": setting("llama.feed_forward_length", "uint32", 97)},
        r"'blk.0.ffn_gate.weight' has the shape \(96, 64\), .* \(97, 64\)",
    ),
    "vocabulary": (
        {"change": setting("tokenizer.ggml.tokens", "array", TOKENS[:-1])},
        r"has the shape \(300, 64\), .* \(299, 64\)",
    ),
}


@pytest.mark.parametrize("name", [*CRASHES, *OTHER_DAMAGE])
def test_values_that_make_no_sense_are_refused_with_their_reason(tmp_path, name):
    options, words = (CRASHES | OTHER_DAMAGE)[name]
    path = write_model(tmp_path / "senseless.gguf", **options)
    inspect_gguf(path)  # whoever wants to know what is wrong can look
    with pytest.raises(InvalidGGUFError, match=words) as caught:
        validate_gguf(path)
    assert 0 < caught.value.offset < path.stat().st_size


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each file needs a process of its own, fast")
def test_each_of_these_would_end_the_process(tmp_path):
    pytest.importorskip("llama_cpp")
    paths = [
        write_model(tmp_path / f"{i}.gguf", **options)
        for i, (options, _) in enumerate(CRASHES.values())
    ]
    fates = run_in_child(
        LOAD
        + """
for path in sys.stdin.read().split():
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        use(path)
        os._exit(0)
    print(os.WIFSIGNALED(os.waitpid(child, 0)[1]))
""",
        paths,
    )
    assert dict(zip(CRASHES, fates)) == dict.fromkeys(CRASHES, "True")


@pytest.mark.parametrize(
    ("options", "place_of"),
    [
        (CRASHES["blocks"][0], lambda data: data.index(b"llama.block_count") + 17 + 4),
        (OTHER_DAMAGE["wrong number"][0], lambda data: data.index(b"llama.block_count") + 17),
        (OTHER_DAMAGE["few scores"][0], lambda data: data.index(struct.pack("<IQ", 6, 299)) + 4),
        (CRASHES["a byte is lost"][0], lambda data: data.index(b"<0x6!>") - 8),
        (CRASHES["same tokens"][0], lambda data: data.rindex("▁서울38".encode()) - 8),
        (CRASHES["F16 norm"][0], lambda data: data.index(b"output_norm.weight") + 18 + 4 + 8),
        (OTHER_DAMAGE["width"][0], lambda data: data.index(b"token_embd.weight") + 17 + 4),
    ],
)
def test_offset_of_a_value_is_where_it_lies(tmp_path, options, place_of):
    path = write_model(tmp_path / "senseless.gguf", **options)
    with pytest.raises(InvalidGGUFError) as caught:
        validate_gguf(path)
    assert caught.value.offset == place_of(path.read_bytes())


@pytest.mark.parametrize("architecture", ["qwen3", "gemma3", "phi3", "mamba", "unheard-of"])
def test_the_rules_of_llama_are_not_those_of_others(tmp_path, architecture):
    types = {"output_norm.weight": "F16", "blk.0.attn_q.weight": "I32"}
    heads = setting(f"{architecture}.attention.head_count", "array", [4, 0])
    validate_gguf(write_model(tmp_path / "other.gguf", architecture, types=types, change=heads))


@pytest.mark.parametrize(
    "change",
    [
        several(("tokenizer.ggml.model", None, None), ("tokenizer.ggml.tokens", None, None)),
        several(*((f"tokenizer.ggml.{key}", None, None) for key in ("scores", "token_type"))),
        several(("split.no", "uint16", 0), ("split.count", "uint16", 2)),
        setting("tokenizer.ggml.padding_token_id", "uint32", 2**32 - 1),
        setting("general.architecture", None, None),
        setting("llama.context_length", None, None),
    ],
)
def test_what_is_missing_or_more_than_needed_is_no_damage(tmp_path, change):
    validate_gguf(write_model(tmp_path / "other.gguf", change=change))


@pytest.mark.parametrize("vocab_size", [3, 100, 258, 259, 300, 2000])
@pytest.mark.parametrize("type_name", ["F16", "Q4_K"])
def test_random_models_are_accepted(tmp_path, vocab_size, type_name):
    config = replace(TINY_MISTRAL, n_layers=1, vocab_size=vocab_size)
    rng = np.random.default_rng(0)
    path = tmp_path / "random.gguf"
    validate_gguf(write_random_model(path, config, type_name, rng=rng, tied=vocab_size > 300))


def test_a_vocabulary_without_weights_is_accepted(mistral_v3):
    validate_gguf(mistral_v3[1])


@pytest.mark.parametrize("level", ["Q8_0", "Q4_0", "Q2_K", "Q5_K_M"])
def test_what_llama_cpp_quantizes_is_accepted(tmp_path, level):
    pytest.importorskip("llama_cpp")
    validate_gguf(TINY_MODEL_PATH)
    validate_gguf(quantize_gguf(TINY_MODEL_PATH, tmp_path / "small.gguf", level))


# --- hostile bytes


ABSURD = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1]


def mutate(data, header, rng):
    """One of the ways in which a file goes wrong."""
    data = bytearray(data)
    place = int(rng.integers(4, header.tensors[0].offset - 8))
    value_place = rng.choice([place.offset for place in header.places.values()])
    type_place = rng.choice(header.type_offsets)
    match rng.integers(9):
        case 0:
            del data[int(rng.integers(len(data))) :]
        case 1:
            data[place] ^= 1 << int(rng.integers(8))
        case 2:
            data[place] = int(rng.integers(256))
        case 3:
            data[place : place + 8] = struct.pack("<Q", ABSURD[rng.integers(len(ABSURD))])
        case 4:
            del data[place : place + int(rng.integers(1, 64))]
        case 5:
            data[place:place] = data[place : place + int(rng.integers(1, 64))]
        case 6:
            data[value_place : value_place + 4] = struct.pack("<I", ABSURD[rng.integers(5)])
        case 7:
            data[value_place - 4 : value_place] = struct.pack("<I", rng.integers(13))
        case 8:
            data[type_place : type_place + 4] = struct.pack("<I", rng.integers(42))
    return bytes(data)


def test_mutated_files_are_refused_or_do_llama_cpp_no_harm(model_path, tmp_path):
    rng = np.random.default_rng(2024)
    data, header = model_path.read_bytes(), header_of(model_path)
    accepted = []
    for i in range(600):
        path = tmp_path / f"{i}.gguf"
        path.write_bytes(mutate(data, header, rng))
        try:
            validate_gguf(path)
        except InvalidGGUFError as error:
            assert 0 <= error.offset <= path.stat().st_size
            path.unlink()
        else:
            accepted.append(path)
    assert 20 < len(accepted) < 500  # the mutations reach both sides
    assert ggml_reads(accepted) == [True] * len(accepted)
    llama_cpp_survives(accepted)


def header_of(path):
    with path.open("rb") as file:
        return read_header(file, path.stat().st_size)


def run_in_child(code, paths):
    """Run code that reads paths from its input, and return the lines that it prints."""
    pytest.importorskip("llama_cpp")
    names = "\n".join(map(str, paths))
    child = subprocess.run(
        [sys.executable, "-c", code], input=names, capture_output=True, text=True
    )
    assert child.returncode == 0, (child.stdout[-200:], child.stderr[-2000:])
    return child.stdout.split()


def ggml_reads(paths):
    """Whether ggml's own reader accepts each file; in a child, which it might crash."""
    code = """if True:
        import ctypes, sys
        from llama_cpp import llama_cpp
        from llama_cpp._ctypes_extensions import load_shared_library
        ggml = load_shared_library("ggml-base", llama_cpp._base_path)
        read = ggml.gguf_init_from_file
        class Params(ctypes.Structure):
            _fields_ = [("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p)]
        read.argtypes, read.restype = [ctypes.c_char_p, Params], ctypes.c_void_p
        for path in sys.stdin.read().split():
            print(int(bool(read(path.encode(), Params(True, None)))))
    """
    return [line == "1" for line in run_in_child(code, paths)]


LOAD = """
import os, sys
import llama_cpp
os.environ["GGML_NO_BACKTRACE"] = "1"  # else each abort starts a debugger
try:
    import resource
except ImportError:
    pass
def use(path):
    try:
        model = llama_cpp.Llama(path, n_ctx=64, n_threads=1, n_threads_batch=1, verbose=False)
        model.create_completion([1, 2, 150], max_tokens=3, seed=0)
        model.create_completion("서울 abc", max_tokens=3, seed=0)
        model.close()
    except Exception as error:
        return repr(error)
"""


def llama_cpp_survives(paths):
    """Load each file, and let it write: an error is fine, the end of the process is not."""
    code = (
        LOAD
        + """
for path in sys.stdin.read().split():
    print(path, flush=True)
    use(path)
"""
    )
    assert run_in_child(code, paths) == list(map(str, paths))


def test_absurd_counts_take_no_memory(broken, model_path):
    data = bytearray(model_path.read_bytes())
    place = data.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens") + 8
    for absurd in (2**24, 2**32, 2**60, 2**64 - 1):
        data[place : place + 8] = struct.pack("<Q", absurd)
        tracemalloc.start()
        broken(data)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 4 * len(data)


def test_large_vocabulary_is_checked_in_a_tenth_of_a_second(tmp_path):
    tokens = ["<unk>", "<s>", "</s>", *(f"▁단어{i}" for i in range(31_997))]
    path = write_model(tmp_path / "large.gguf", tokens=tokens)
    elapsed_s = []
    for _ in range(5):
        start = time.process_time()
        validate_gguf(path)
        elapsed_s.append(time.process_time() - start)
    assert min(elapsed_s) < 0.1


def test_only_the_header_is_read(model_path, tmp_path):
    path = tmp_path / "sparse.gguf"
    described = tensor("w", (2**16, 2**16))
    path.write_bytes(small_file(tensors=[described]))
    with path.open("r+b") as file:
        file.truncate(2**34 + 64 + 64)
    start = time.perf_counter()
    assert inspect_gguf(path).n_params == 2**32
    assert time.perf_counter() - start < 0.1


def test_import_is_light():
    code = (
        "import sys, course_lib.gguf_file; "
        "print({'llama_cpp', 'matplotlib', 'torch'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
