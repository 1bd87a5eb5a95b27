"""Vocabularies of checkpoints, against SentencePiece, `tokenizers` and the published pieces."""

import json

import pytest
import tokenizers
from sentencepiece import SentencePieceProcessor

from course_lib import TINY_MODEL_PATH
from course_lib.hf_vocabulary import read_hf_vocabulary
from course_lib.safetensors_file import CheckpointError
from course_lib.tokenizer import Tokenizer
from course_lib.vocabulary import TokenType, Vocabulary, read_vocabulary
from tools.tiny_mistral.hugging_face import sentencepiece_model, tokenizer_json

CONTROL = ("<s>", "</s>", "<unk>", "[INST]", "[/INST]")


@pytest.fixture(scope="module")
def tiny():
    return read_vocabulary(TINY_MODEL_PATH)


@pytest.fixture
def folder(tmp_path, tiny):
    """A checkpoint's tokenizer, to be changed: ``folder(key=value)`` of tokenizer.json."""

    def write(**changes):
        content = tokenizer_json(tiny) | changes
        (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
        return tmp_path

    write()
    write.path = tmp_path
    return write


def without_control(texts):
    """Hugging Face's tokenizer turns them into control tokens, which ours never does."""
    return [text for text in texts if not any(token in text for token in CONTROL)]


# --- what the course writes is what others read


def test_our_tokenizer_json_gives_hugging_faces_tokenizer_the_same_ids(
    folder, tiny_tokenizer, hard_texts
):
    theirs = tokenizers.Tokenizer.from_file(str(folder.path / "tokenizer.json"))
    for text in without_control(hard_texts):
        expected = tiny_tokenizer.encode(text, add_bos=False)
        assert theirs.encode(text, add_special_tokens=False).ids == expected, text


def test_our_tokenizer_model_gives_sentencepiece_the_same_ids(tiny, tiny_tokenizer, hard_texts):
    theirs = SentencePieceProcessor(model_proto=sentencepiece_model(tiny))
    for text in hard_texts:
        if "\0" not in text and "▁" not in text:
            expected = tiny_tokenizer.encode(text, add_bos=False)
            assert theirs.encode(text) == expected, text


# --- what others wrote is read


@pytest.mark.parametrize("version", ["mistral_v1", "mistral_v3"])
def test_mistrals_tokenizer_model_is_read_as_published(request, tmp_path, version):
    model_path, gguf_path, _ = request.getfixturevalue(version)
    (tmp_path / "tokenizer.model").write_bytes(model_path.read_bytes())
    expected = read_vocabulary(gguf_path)
    assert read_hf_vocabulary(tmp_path, len(expected)) == expected


@pytest.mark.parametrize("version", ["mistral_v1", "mistral_v3"])
def test_merges_alone_lead_to_mistrals_tokens(request, tmp_path, version, hard_texts):
    _, gguf_path, expected = request.getfixturevalue(version)
    published = read_vocabulary(gguf_path)
    content = json.dumps(tokenizer_json(published))
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    found = Tokenizer(read_hf_vocabulary(tmp_path, len(published)))
    for text in hard_texts[:1000]:
        assert found.encode(text) == expected.encode(text), text


def test_merges_may_be_pairs_or_texts(folder, tiny):
    content = json.loads((folder.path / "tokenizer.json").read_text())
    model = content["model"]
    older = model | {"merges": [" ".join(merge) for merge in model["merges"]]}
    assert read_hf_vocabulary(folder(model=older), len(tiny)) == tiny


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({"normalizer": None}, False),
        ({"normalizer": {"type": "Prepend", "prepend": "▁"}}, True),
        ({"normalizer": None, "pre_tokenizer": {"type": "Metaspace"}}, True),
        (
            {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"}},
            True,
        ),
        (
            {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "never"}},
            False,
        ),
        (
            {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "add_prefix_space": False}},
            False,
        ),
    ],
)
def test_a_space_before_the_text_is_noticed(folder, tiny, steps, expected):
    assert read_hf_vocabulary(folder(**steps), len(tiny)).add_space_prefix is expected


def test_free_ids_become_unused_tokens(folder, tiny):
    found = read_hf_vocabulary(folder.path, len(tiny) + 3)
    assert found.pieces[: len(tiny)] == tiny.pieces
    assert found.token_types[-3:] == (TokenType.UNUSED,) * 3


def test_added_tokens_are_control_or_user_defined(folder, tiny):
    n = len(tiny)
    added = {
        str(n): {"content": "<|tool|>", "special": True},
        str(n + 1): {"content": "<tag>", "special": False},
        "7": {"content": tiny.pieces[7], "special": True},
        str(n + 5): {"content": "<without a row>", "special": True},
    }
    config = {"added_tokens_decoder": added, "bos_token": {"content": "<|tool|>"}}
    (folder.path / "tokenizer_config.json").write_text(json.dumps(config))
    (folder.path / "added_tokens.json").write_text(json.dumps({"<last>": n + 2}))
    found = read_hf_vocabulary(folder.path, n + 3)
    assert found.pieces[n:] == ("<|tool|>", "<tag>", "<last>")
    expected = (TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.USER_DEFINED)
    assert found.token_types[n:] == expected
    assert found.token_types[7] == TokenType.BYTE
    assert (found.bos_id, found.eos_id) == (n, 2)


def test_the_end_token_of_the_configuration_counts(folder, tiny):
    (folder.path / "config.json").write_text(json.dumps({"eos_token_id": [4, 2]}))
    assert read_hf_vocabulary(folder.path, len(tiny)).eos_id == 4


# --- what is refused


def test_an_end_token_beyond_the_vocabulary_is_refused(folder, tiny):
    (folder.path / "config.json").write_text(json.dumps({"eos_token_id": 99_999}))
    with pytest.raises(CheckpointError, match=r"eos_token_id .* 99999"):
        read_hf_vocabulary(folder.path, len(tiny))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"type": "Unigram", "vocab": []}}, "another kind"),
        ({"pre_tokenizer": {"type": "ByteLevel"}}, "another kind"),
        ({"model": None}, "another kind"),
        ({"model": {"vocab": {"a": 0}}}, "damaged"),
        ({"model": {"vocab": ["a"], "merges": []}}, "damaged"),
        ({"model": {"vocab": {"a": 0}, "merges": ["a b c"]}}, "damaged"),
        ({"added_tokens": [{"id": 3}]}, "added tokens .* damaged"),
    ],
)
def test_another_tokenizer_is_refused(folder, changes, words):
    with pytest.raises(CheckpointError, match=words):
        read_hf_vocabulary(folder(**changes), 2048)


def test_a_vocabulary_of_its_own_kind_survives(tmp_path):
    pieces = ("<unk>", "<s>", "</s>", "a", "b", "ab", "c", "abc")
    types = (TokenType.UNKNOWN, *(TokenType.CONTROL,) * 2, *(TokenType.NORMAL,) * 5)
    expected = Vocabulary(pieces, (0.0, 0.0, 0.0, -2.0, -3.0, 0.0, -4.0, -1.0), types)
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_json(expected)))
    assert read_hf_vocabulary(tmp_path, 8) == expected
