"""Training a vocabulary and encoding with it, against the loops of the textbooks.

Two texts of 150 KB, both in English and Korean. One is the corpus of tiny-mistral: questions,
answers and stories of a small world that repeats itself, which suits our cache of words. The other
is made of invented names, nearly every word a new one, which does not. Each is described as it is
measured. Both sides do the same work on the same text, and the run stops if their results differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from course_lib.bpe_training import _TRAINING_WORDS, train_bpe
from course_lib.tokenizer import Tokenizer
from course_lib.vocabulary import SPACE, TokenType, Vocabulary
from tools.bench import Result, timed
from tools.tiny_mistral.corpus import draw_corpus, example_text, pick
from tools.tiny_mistral.names import draw_name
from tools.tiny_mistral.world import LANGUAGES

N_BYTES = 150_000
VOCAB_SIZE = 2048
BAR = 20.0
SEED = 20_240_229  # not one of those that tiny-mistral was trained with


def corpus_texts() -> Iterator[str]:
    """Draw texts of the small world."""
    return map(example_text, draw_corpus(SEED))


def invented_texts() -> Iterator[str]:
    """Draw lines of ten invented names, each in one of the two languages."""
    rng = np.random.default_rng(SEED)
    while True:
        yield " ".join(draw_name(rng, pick(rng, LANGUAGES)) for _ in range(10))


def take(texts: Iterator[str], n_bytes: int) -> list[str]:
    """Take texts until they have `n_bytes` of UTF-8."""
    taken, n_taken = [], 0
    while n_taken < n_bytes:
        taken.append(next(texts))
        n_taken += len(taken[-1].encode()) + 1
    return taken


# --- the textbook ------------------------------------------------------------------------


def merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Replace every occurrence of `pair` by one symbol, from left to right."""
    found, i = [], 0
    while i < len(symbols):
        if i + 1 < len(symbols) and symbols[i] == pair[0] and symbols[i + 1] == pair[1]:
            found.append(pair[0] + pair[1])
            i += 2
        else:
            found.append(symbols[i])
            i += 1
    return found


def textbook_training(texts: Iterable[str], characters: set[str], n_merges: int) -> list[str]:
    """Count all pairs of the whole text again before each merge."""
    words = [
        list(word)
        for text in texts
        for word in _TRAINING_WORDS.findall((" " + text).replace(" ", SPACE))
        if characters.issuperset(word)
    ]
    learnt: dict[str, None] = {}
    while len(learnt) < n_merges:
        counts: Counter[tuple[str, str]] = Counter()
        for word in words:
            counts.update(pairwise(word))
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        learnt["".join(best)] = None
        words = [merged(word, best) for word in words]
    return list(learnt)


def textbook_encoding(text: str, vocabulary: Vocabulary) -> list[int]:
    """Look at all pairs again before each merge; merge the best one everywhere."""
    kinds, pieces = vocabulary.token_types, vocabulary.pieces
    ids = {p: i for i, (p, kind) in enumerate(zip(pieces, kinds)) if kind is TokenType.NORMAL}
    byte_ids = {p: i for i, (p, kind) in enumerate(zip(pieces, kinds)) if kind is TokenType.BYTE}
    scores = {piece: vocabulary.scores[i] for piece, i in ids.items()}
    symbols = list((" " + text).replace(" ", SPACE))
    while True:
        candidates = {pair for pair in pairwise(symbols) if pair[0] + pair[1] in scores}
        if not candidates:
            break
        symbols = merged(symbols, max(candidates, key=lambda pair: scores[pair[0] + pair[1]]))
    found = []
    for symbol in symbols:
        fallback = (byte_ids[f"<0x{byte:02X}>"] for byte in symbol.encode())
        found += [ids[symbol]] if symbol in ids else fallback
    return found


def textbook_encoding_by_words(text: str, vocabulary: Vocabulary) -> int:
    """As `textbook_encoding`, with the text cut at spaces first: no cache, no heap."""
    scores = {
        piece: score
        for piece, score, kind in zip(vocabulary.pieces, vocabulary.scores, vocabulary.token_types)
        if kind is TokenType.NORMAL
    }
    n_symbols = 0
    for word in text.split(" "):
        symbols = [SPACE, *word]
        while candidates := [p for p in pairwise(symbols) if p[0] + p[1] in scores]:
            symbols = merged(symbols, max(candidates, key=lambda p: scores[p[0] + p[1]]))
        n_symbols += len(symbols)
    return n_symbols


# --- the comparison ----------------------------------------------------------------------


def run() -> list[Result]:
    """Compare training and encoding on both texts."""
    return [
        *_compare("corpus", take(corpus_texts(), N_BYTES)),
        *_compare("new words", take(invented_texts(), N_BYTES)),
    ]


def _compare(name: str, texts: list[str]) -> list[Result]:
    text = "\n".join(texts)
    megabytes, words = len(text.encode()) / 1e6, text.split()
    print(
        f"{name}: {megabytes * 1000:.0f} KB of UTF-8, {len(text):,} characters, "
        f"{len(words):,} words, {len(set(words)):,} of them different",
        flush=True,
    )
    training, vocabulary = _compare_training(f"training, {name}", texts, megabytes)
    return [training, *_compare_encoding(f"encoding, {name}", text, vocabulary, megabytes)]


def _compare_training(name: str, texts: list[str], megabytes: float) -> tuple[Result, Vocabulary]:
    ours_s, vocabulary = timed(lambda: train_bpe(texts, VOCAB_SIZE), repeats=3)
    kinds = zip(vocabulary.pieces, vocabulary.token_types)
    learnt = [piece for piece, kind in kinds if kind is TokenType.NORMAL]
    merges = [piece for piece in learnt if len(piece) > 1]
    characters = {piece for piece in learnt if len(piece) == 1}
    reference_s, expected = timed(lambda: textbook_training(texts, characters, len(merges)))
    if merges != expected:
        raise AssertionError("the textbook trainer learnt something else")
    note = f"{len(merges):,} merges, {megabytes / ours_s:.2f} MB/s"
    return Result(name, reference_s, ours_s, BAR, note), vocabulary


def _compare_encoding(
    name: str, text: str, vocabulary: Vocabulary, megabytes: float
) -> list[Result]:
    # A new tokenizer each time: its cache of words is empty.
    ours_s, ids = timed(lambda: Tokenizer(vocabulary).encode(text, add_bos=False), repeats=5)
    reference_s, expected = timed(lambda: textbook_encoding(text, vocabulary))
    if ids != expected:
        raise AssertionError("the textbook encoder gives other ids")
    by_words_s, _ = timed(lambda: textbook_encoding_by_words(text, vocabulary))
    note = f"{len(ids):,} ids, {megabytes / ours_s:.2f} MB/s"
    return [
        Result(name, reference_s, ours_s, BAR, note),
        Result(f"{name}, textbook by words", by_words_s, ours_s, None, "for information"),
    ]
