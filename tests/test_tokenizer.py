"""The tokenizer, against llama.cpp, SentencePiece and a textbook trainer."""

import itertools
import random
import shutil
from collections import Counter
from dataclasses import replace

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import TINY_MODEL_PATH
from course_lib.bpe_training import _TRAINING_WORDS, _frequent_characters
from course_lib.gguf_cursor import InvalidGGUFError
from course_lib.tokenizer import (
    StreamDecoder,
    Tokenizer,
    TokenizerError,
    TokenType,
    Vocabulary,
    train_bpe,
)
from course_lib.vocabulary import SPACE
from tools.tiny_mistral.corpus import draw_corpus, example_text

CONTROL_TOKENS = ["<s>", "</s>", "[INST]", "[/INST]"]
TEXT = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("한국의 수도는 \t\n\0\u200d▁<s>[INST]/0x41"),
    )
)


def corpus_texts(n_texts, seed=3):
    examples = draw_corpus(seed)
    return [example_text(next(examples)) for _ in range(n_texts)]


# --- encoding equals the references ------------------------------------------------------


@pytest.mark.parametrize("parse_control", [False, True])
def test_ids_equal_llama_cpp_s_with_the_tiny_vocabulary(
    tiny_tokenizer, llama_cpp_tokenizer, hard_texts, parse_control
):
    reference = llama_cpp_tokenizer(TINY_MODEL_PATH)
    for text in hard_texts:
        ids = tiny_tokenizer.encode(text, add_bos=False, parse_control=parse_control)
        assert ids == reference(text, parse_control), text


@pytest.mark.parametrize("published", ["mistral_v1", "mistral_v3"])
def test_ids_equal_llama_cpp_s_and_sentencepiece_s_with_mistral_s_vocabularies(
    published, llama_cpp_tokenizer, hard_texts, request
):
    sentencepiece = pytest.importorskip("sentencepiece")
    model_path, gguf_path, tokenizer = request.getfixturevalue(published)
    llama_cpp = llama_cpp_tokenizer(gguf_path)
    reference = sentencepiece.SentencePieceProcessor(str(model_path))
    for text in hard_texts:
        ids = tokenizer.encode(text, add_bos=False)
        assert ids == llama_cpp(text) == reference.encode(text), text
        parsed = tokenizer.encode(text, add_bos=False, parse_control=True)
        assert parsed == llama_cpp(text, parse_control=True), text
        assert tokenizer.decode(ids) == text.replace(SPACE, " ")


def test_ids_equal_llama_cpp_s_with_user_defined_tokens(tmp_path, llama_cpp_tokenizer, hard_texts):
    path = tmp_path / "user_defined.gguf"
    base = Tokenizer.from_gguf(TINY_MODEL_PATH).vocabulary
    write_vocabulary(
        path,
        tokens=[*base.pieces, "수도는", "수도", "[INST", "  "],
        scores=[*base.scores, 0.0, 0.0, 0.0, 0.0],
        types=[*base.token_types, *[TokenType.USER_DEFINED] * 4],
    )
    tokenizer, reference = Tokenizer.from_gguf(path), llama_cpp_tokenizer(path)
    for text in hard_texts[:1000]:
        assert tokenizer.encode(text, add_bos=False) == reference(text), text


def test_encoding_word_by_word_equals_encoding_the_whole_text(tiny_tokenizer, hard_texts):
    whole = Tokenizer(tiny_tokenizer.vocabulary)
    whole._words_are_independent = False
    for text in hard_texts[:1000]:
        assert tiny_tokenizer.encode(text) == whole.encode(text), text


def test_a_piece_with_a_space_inside_is_found(llama_cpp_tokenizer, tmp_path):
    path = tmp_path / "phrases.gguf"
    base = Tokenizer.from_gguf(TINY_MODEL_PATH).vocabulary
    phrases = ["e▁", "▁the▁", "▁the▁capital"]
    write_vocabulary(
        path,
        tokens=[*base.pieces, *phrases],
        scores=[*base.scores, 9.0, 10.0, 11.0],
        types=[*base.token_types, *[TokenType.NORMAL] * 3],
    )
    tokenizer, reference = Tokenizer.from_gguf(path), llama_cpp_tokenizer(path)
    for text in ("the capital of the river", "the  capital", "see the\tcapital the"):
        assert tokenizer.encode(text, add_bos=False) == reference(text)


# --- decoding is the inverse -------------------------------------------------------------


def test_decoding_gives_the_text_back(tiny_tokenizer, hard_texts):
    for text in hard_texts:
        assert tiny_tokenizer.decode(tiny_tokenizer.encode(text)) == text.replace(SPACE, " ")


@settings(max_examples=300)
@given(text=TEXT)
def test_decoding_gives_any_text_back_and_no_text_becomes_a_control_token(tiny_tokenizer, text):
    ids = tiny_tokenizer.encode(text, add_bos=False)
    assert tiny_tokenizer.decode(ids) == text.replace(SPACE, " ")
    assert not set(ids) & {0, *tiny_tokenizer.control_ids.values()}


def test_texts_that_look_like_control_tokens_stay_text(tiny_tokenizer, mistral_v3):
    for tokenizer in (tiny_tokenizer, mistral_v3[2]):
        kinds = tokenizer.vocabulary.token_types
        for control in tokenizer.control_ids:
            for text in (control, f" {control}", f"a{control}b", f"{control}{control}"):
                ids = tokenizer.encode(text, add_bos=False)
                assert {kinds[i] for i in ids} <= {TokenType.NORMAL, TokenType.BYTE}
                assert tokenizer.decode(ids) == text


def test_parse_control_reads_control_tokens_of_your_own_text(tiny_tokenizer):
    text = "<s>[INST]한국[/INST] 서울</s>"
    pieces = [tiny_tokenizer.piece(i) for i in tiny_tokenizer.encode(text, parse_control=True)]
    assert pieces[:3] == ["<s>", "<s>", "[INST]"]  # the first one is add_bos's
    assert pieces[-1] == "</s>"


def test_the_beginning_of_a_sequence_is_marked_once_and_only_when_wanted(tiny_tokenizer):
    with_bos, without = tiny_tokenizer.encode("한국"), tiny_tokenizer.encode("한국", add_bos=False)
    assert with_bos == [tiny_tokenizer.bos_id, *without]
    assert tiny_tokenizer.encode("") == [tiny_tokenizer.bos_id]
    assert tiny_tokenizer.encode("", add_bos=False) == []


# --- streaming ---------------------------------------------------------------------------


@settings(max_examples=300)
@given(ids=st.lists(st.integers(0, 2047), max_size=40))
def test_streamed_pieces_joined_are_the_decoded_text_of_any_ids(tiny_tokenizer, ids):
    decoder = StreamDecoder(tiny_tokenizer)
    assert "".join(map(decoder.push, ids)) + decoder.finish() == tiny_tokenizer.decode(ids)


def test_any_ids_decode_to_their_bytes_read_as_utf_8(tiny_tokenizer):
    rng = np.random.default_rng(1)
    for _ in range(300):
        ids = rng.integers(2048, size=20)
        data = b"".join(tiny_tokenizer.token_bytes(i) for i in ids)
        assert tiny_tokenizer.decode(ids) == data.removeprefix(b" ").decode(errors="replace")


def test_no_prefix_of_a_stream_shows_half_a_character(tiny_tokenizer, hard_texts):
    for text in hard_texts[:1000]:
        decoder, shown = StreamDecoder(tiny_tokenizer), ""
        for token_id in tiny_tokenizer.encode(text):
            shown += decoder.push(token_id)
            assert text.replace(SPACE, " ").startswith(shown)
        assert decoder.finish() == ""


def test_a_stream_that_ends_inside_a_character_says_so(tiny_tokenizer):
    decoder = StreamDecoder(tiny_tokenizer)
    ids = tiny_tokenizer.encode("뷁", add_bos=False)
    shown = "".join(decoder.push(i) for i in ids[:-1])
    assert (shown, decoder.finish()) == ("", "�")
    assert tiny_tokenizer.decode(ids[:-1]) == "�"


def test_a_stream_that_continues_a_text_keeps_its_first_space(tiny_tokenizer):
    ids = tiny_tokenizer.encode("서울", add_bos=False)
    decoder = StreamDecoder(tiny_tokenizer, continues=True)
    assert "".join(map(decoder.push, ids)) == " 서울"


def test_control_tokens_are_silent(tiny_tokenizer):
    control_ids = list(tiny_tokenizer.control_ids.values())
    assert tiny_tokenizer.decode(control_ids) == ""
    ids = [*control_ids, *tiny_tokenizer.encode("서울", add_bos=False), *control_ids]
    assert tiny_tokenizer.decode(ids) == "서울"


# --- bad input ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\udc55", "ok \udfff", "\ud83d"])
def test_half_a_surrogate_pair_is_refused_with_its_place(tiny_tokenizer, text):
    with pytest.raises(TokenizerError, match=rf"character {len(text) - 1} .*surrogate"):
        tiny_tokenizer.encode(text)
    with pytest.raises(TokenizerError, match="surrogate"):
        train_bpe([text], 300)


@pytest.mark.parametrize("text", [None, 7, b"bytes", ["a"]])
def test_what_is_not_a_text_is_refused(tiny_tokenizer, text):
    with pytest.raises(TokenizerError, match=f"not {type(text).__name__}"):
        tiny_tokenizer.encode(text)


@pytest.mark.parametrize("token_id", [-1, 2048, 10**9])
def test_an_id_out_of_range_is_refused(tiny_tokenizer, token_id):
    for use in (tiny_tokenizer.piece, lambda i: tiny_tokenizer.decode([i])):
        with pytest.raises(TokenizerError, match="ids run from 0 to 2047"):
            use(token_id)


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(FileNotFoundError, match="Check the name"):
            Tokenizer.from_gguf(path)


@pytest.mark.parametrize("n_bytes", [0, 3, 4, 100, 20_000, 60_000, 1_000_000])
def test_a_truncated_file_is_refused(tmp_path, n_bytes):
    path = tmp_path / "truncated.gguf"
    path.write_bytes(TINY_MODEL_PATH.read_bytes()[:n_bytes])
    with pytest.raises(InvalidGGUFError) as caught:
        Tokenizer.from_gguf(path)
    assert caught.value.path == str(path)


def write_vocabulary(path, tokens, scores, types, model="llama"):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_token_list(tokens)
    if scores:
        writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


@pytest.mark.parametrize(
    ("tokens", "scores", "types", "model", "message"),
    [
        (["a", "b"], [0.0, 0.0], [1, 1], "gpt2", "'gpt2' tokenizer"),
        (["a", "b"], [], [1, 1], "llama", "'llama' tokenizer|scores"),
        (["a", "b"], [0.0], [1, 1], "llama", "2 tokens, 1 scores"),
        (["a", "b"], [0.0, 0.0], [1], "llama", "1 types"),
        (["a", "b"], [0.0, 0.0], [1, 99], "llama", "unknown type"),
        (["a", "<0xZZ>"], [0.0, 0.0], [1, 6], "llama", "<0xZZ>"),
    ],
)
def test_a_file_with_another_tokenizer_or_a_broken_one_is_refused(
    tmp_path, tokens, scores, types, model, message
):
    path = tmp_path / "other.gguf"
    write_vocabulary(path, tokens, scores, types, model)
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_gguf(path)


def test_a_file_without_a_tokenizer_is_refused(tmp_path):
    path = tmp_path / "none.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("token_embd.weight", np.zeros((2, 32), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(TokenizerError, match="'missing' tokenizer"):
        Tokenizer.from_gguf(path)


def test_a_vocabulary_without_byte_tokens_says_what_it_cannot_spell():
    tokenizer = Tokenizer(Vocabulary(("▁", "a"), (0.0, 0.0), (TokenType.NORMAL,) * 2))
    assert tokenizer.encode("a", add_bos=False) == [0, 1]
    with pytest.raises(TokenizerError, match="neither a piece for '강'"):
        tokenizer.encode("강")


def test_a_path_with_hangul_and_spaces_is_read(tmp_path):
    path = tmp_path / "나의 모델.gguf"
    shutil.copyfile(TINY_MODEL_PATH, path)
    assert Tokenizer.from_gguf(str(path)).n_vocab == 2048


# --- training ----------------------------------------------------------------------------


def textbook_merges(texts, n_merges, characters):
    """Learn merges as textbooks do: count every pair again before each merge."""
    counts = Counter(
        word
        for text in texts
        for word in _TRAINING_WORDS.findall((" " + text).replace(" ", SPACE))
        if characters.issuperset(word)
    )
    words, merged = {tuple(word): count for word, count in counts.items()}, []
    while len(merged) < n_merges:
        pairs = Counter()
        for word, count in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            break
        if "".join(best) not in merged:
            merged.append("".join(best))
        words = {merge(word, best): count for word, count in words.items()}
    return merged


def merge(word, pair):
    symbols, i = [], 0
    while i < len(word):
        n = 2 if word[i : i + 2] == pair else 1
        symbols.append("".join(word[i : i + n]))
        i += n
    return tuple(symbols)


def learnt_pieces(vocabulary):
    kinds = zip(vocabulary.pieces, vocabulary.token_types)
    return [piece for piece, kind in kinds if kind is TokenType.NORMAL]


def characters_of(texts):
    words = Counter(
        word for t in texts for word in _TRAINING_WORDS.findall((" " + t).replace(" ", SPACE))
    )
    return set(_frequent_characters(words))


def test_the_learnt_merges_are_those_of_the_textbook_trainer():
    texts = corpus_texts(150)
    pieces = learnt_pieces(train_bpe(texts, 259 + 800))
    characters = characters_of(texts)
    expected = textbook_merges(texts, 800 - len(characters), characters)
    assert pieces[: len(expected)] == expected
    assert len(expected) > 300


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text("ab 강", max_size=30), max_size=5))
def test_the_learnt_merges_are_those_of_the_textbook_trainer_on_any_text(texts):
    pieces = learnt_pieces(train_bpe(texts, 259 + 40))
    merges = [piece for piece in pieces if len(piece) > 1]
    characters = {piece for piece in pieces if len(piece) == 1}
    assert merges == textbook_merges(texts, 40 - len(characters), characters)


def test_training_twice_gives_the_same_vocabulary_in_any_order_of_texts():
    texts = corpus_texts(200)
    shuffled = random.Random(0).sample(texts, len(texts))
    assert train_bpe(texts, 700) == train_bpe(iter(texts), 700) == train_bpe(shuffled, 700)


def test_the_vocabulary_is_laid_out_as_llama_s():
    vocabulary = train_bpe(corpus_texts(50), 600, CONTROL_TOKENS)
    assert vocabulary.pieces[:5] == ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")
    assert list(vocabulary.pieces[5:261]) == BYTES
    kinds = [TokenType.UNKNOWN, *[TokenType.CONTROL] * 4, *[TokenType.BYTE] * 256]
    assert list(vocabulary.token_types[:261]) == kinds
    assert set(vocabulary.token_types[261:]) == {TokenType.NORMAL}
    assert len(vocabulary) == 600 == len(set(vocabulary.pieces))
    assert (vocabulary.bos_id, vocabulary.eos_id) == (1, 2)
    learnt_scores = vocabulary.scores[261:]
    assert list(learnt_scores) == sorted(learnt_scores, reverse=True)


def test_the_pieces_of_tiny_mistral_hold_no_space_inside_and_no_two_digits(tiny_tokenizer):
    for piece in learnt_pieces(tiny_tokenizer.vocabulary):
        assert SPACE not in piece[1:]
        assert len(piece) == 1 or not any(c.isdigit() for c in piece)
        assert piece.removeprefix(SPACE).isalpha() or len(piece) == 1


def test_training_on_plain_texts_gives_the_vocabulary_of_the_shipped_file(tiny_tokenizer):
    from tools.tiny_mistral.vocabulary import train_vocabulary

    trained, shipped = train_vocabulary(), tiny_tokenizer.vocabulary
    assert trained.pieces == shipped.pieces
    assert replace(trained, scores=()) == replace(shipped, scores=())
    np.testing.assert_array_equal(np.float32(trained.scores), np.float32(shipped.scores))


def test_a_small_text_gives_a_smaller_vocabulary():
    vocabulary = train_bpe(["low lower lowest"], 5000)
    assert 259 < len(vocabulary) < 300
    assert "▁low" in vocabulary.pieces
    assert len(train_bpe([], 5000)) == 259


def test_a_text_never_seen_in_training_is_still_spelt():
    tokenizer = Tokenizer(train_bpe(["low"], 300))
    assert tokenizer.decode(tokenizer.encode("뷁 \0 🧑‍💻")) == "뷁 \0 🧑‍💻"


@pytest.mark.parametrize("vocab_size", [-1, 0, 256, 261])
def test_a_vocabulary_too_small_for_the_bytes_is_refused(vocab_size):
    with pytest.raises(TokenizerError, match="261 tokens are taken"):
        train_bpe(["low"], vocab_size, CONTROL_TOKENS)


@pytest.mark.parametrize("token", ["", "INST", "[", "한국", "▁a"])
def test_a_control_token_that_text_could_spell_is_refused(token):
    with pytest.raises(TokenizerError, match="Put it in brackets"):
        train_bpe(["low"], 300, [token])


# --- no quadratic loop -------------------------------------------------------------------


class CountedString(str):
    """A text whose concatenations are counted."""

    n_joined = 0

    def __add__(self, other):
        CountedString.n_joined += 1
        return CountedString(str(self) + str(other))


@pytest.mark.parametrize("word", ["강", "a", "\0", "the", " "])
def test_the_work_for_one_long_word_grows_in_proportion_to_its_length(tiny_tokenizer, word):
    def n_joined(n_characters):
        text = (word * n_characters)[:n_characters]
        letters = [CountedString(c) for c in text.replace(" ", SPACE)]
        CountedString.n_joined = 0
        tiny_tokenizer._merge(letters)
        return CountedString.n_joined

    assert n_joined(8000) < 4.4 * n_joined(2000)


def test_a_word_of_100_000_characters_is_encoded_and_decoded(tiny_tokenizer, llama_cpp_tokenizer):
    text = "한국의수도는서울입니다thecapital" * 4000
    ids = tiny_tokenizer.encode(text, add_bos=False)
    assert ids == llama_cpp_tokenizer(TINY_MODEL_PATH)(text)
    assert tiny_tokenizer.decode(ids) == text
