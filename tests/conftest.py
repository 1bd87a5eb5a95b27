"""What several test files share: vocabularies, and texts that are hard to tokenize."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from course_lib import TINY_MODEL_PATH
from course_lib.tokenizer import Tokenizer

WORDS = [
    "한국의",
    "수도는",
    "서울입니다",
    "나는",
    "학교에",
    "간다",
    "안녕하세요",
    "the",
    "capital",
    "of",
    "Korea",
    "is",
    "Seoul",
    "token",
    "quantization",
    "GGUF",
    "12",
    "+",
    "7",
    "=",
    "19",
    "naïve",
    "Straße",
    "Привет",
    "東京",
    "こんにちは",
    "مرحبا",
    "שלום",
    "ไทย",
    "हिन्दी",
]
CONTROL_LOOKALIKES = [
    "<s>",
    "</s>",
    "<unk>",
    "[INST]",
    "[/INST]",
    "[INST][/INST]",
    "<s></s>",
    "[INST",
    "[/INST",
    "</",
    "s>",
    "INST]",
    "<0x41>",
    "<0xEA>",
    "<<SYS>>",
    "<|im_start|>",
    "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]",
    "[control_8]",
    "]INST[",
    "[/INST]</s>",
]
EMOJI = ("👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇰🇷", "1️⃣", "😀", "\u200d", "\ufe0f", "🧑‍💻")
SPACES = (" ", "  ", "   ", " " * 17, "\t", "\t\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028")


def draw_hard_text(rng):
    """Draw a text of up to a dozen parts, each of another kind of trouble."""
    makers = (
        lambda: WORDS[rng.integers(len(WORDS))],
        lambda: " " + WORDS[rng.integers(len(WORDS))],
        lambda: "".join(chr(0xAC00 + int(i)) for i in rng.integers(11172, size=rng.integers(1, 6))),
        lambda: unicodedata.normalize("NFD", WORDS[rng.integers(7)]),
        lambda: EMOJI[rng.integers(len(EMOJI))],
        lambda: SPACES[rng.integers(len(SPACES))],
        lambda: chr(int(rng.integers(0x20))),  # control characters, NUL among them
        lambda: CONTROL_LOOKALIKES[rng.integers(len(CONTROL_LOOKALIKES))],
        lambda: chr(int(rng.integers(0x20, 0x7F))) * int(rng.integers(1, 9)),
        lambda: _any_character(rng),
    )
    return "".join(makers[rng.integers(len(makers))]() for _ in range(int(rng.integers(13))))


def _any_character(rng):
    code = int(rng.integers(0x110000))
    return chr(code) if not 0xD800 <= code < 0xE000 else "▁"


@pytest.fixture(scope="session")
def hard_texts():
    """5,000 random texts, always the same."""
    rng = np.random.default_rng(0)
    return ["", " ", "▁", "\0", *(draw_hard_text(rng) for _ in range(4996))]


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """Our tokenizer with the vocabulary of tiny-mistral."""
    return Tokenizer.from_gguf(TINY_MODEL_PATH)


@pytest.fixture(scope="session")
def llama_cpp_tokenizer():
    """How to get llama.cpp's own ``tokenize(text, parse_control=False)`` for a GGUF."""
    from llama_cpp import Llama

    from course_lib.quiet_engine import captured_chatter

    def load(path):
        with captured_chatter():
            llama = Llama(str(path), vocab_only=True, verbose=False)
        return lambda text, parse_control=False: llama.tokenize(
            text.encode(), add_bos=False, special=parse_control
        )

    return load


@pytest.fixture(scope="session")
def mistral_v1(tmp_path_factory):
    """The 32,000 pieces of Mistral 7B v0.1: (SentencePiece file, GGUF, our tokenizer)."""
    return _published_vocabulary("tokenizer.model.v1", tmp_path_factory.mktemp("v1"))


@pytest.fixture(scope="session")
def mistral_v3(tmp_path_factory):
    """The 32,768 pieces of Mistral 7B v0.3, ``[INST]`` a control token, likewise."""
    name = "mistral_instruct_tokenizer_240323.model.v3"
    return _published_vocabulary(name, tmp_path_factory.mktemp("v3"))


def _published_vocabulary(name, folder):
    mistral_common = pytest.importorskip("mistral_common")
    model_path = Path(mistral_common.__file__).with_name("data") / name
    gguf_path = _write_gguf(model_path, folder / f"{name}.gguf")
    return model_path, gguf_path, Tokenizer.from_gguf(gguf_path)


def _write_gguf(model_path, path):
    """Write the vocabulary of a SentencePiece model as a GGUF without weights."""
    import gguf
    from sentencepiece import SentencePieceProcessor

    model = SentencePieceProcessor(str(model_path))
    ids = range(model.get_piece_size())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([model.id_to_piece(i) for i in ids])
    writer.add_token_scores([model.get_score(i) for i in ids])
    writer.add_token_types([_token_type(model, i) for i in ids])
    writer.add_bos_token_id(model.bos_id())
    writer.add_eos_token_id(model.eos_id())
    writer.add_unk_token_id(model.unk_id())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _token_type(model, i):
    from gguf import TokenType

    if model.is_unknown(i):
        return TokenType.UNKNOWN
    if model.is_control(i):
        return TokenType.CONTROL
    return TokenType.BYTE if model.is_byte(i) else TokenType.NORMAL
