"""Learn a vocabulary by byte-pair encoding: merge the most frequent pair, again and again.

References
----------
Sennrich, Haddow & Birch 2016, arXiv:1508.07909.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from course_lib.vocabulary import (
    SPACE,
    TokenizerError,
    TokenType,
    Vocabulary,
    require_valid_unicode,
)

CHARACTER_COVERAGE = 0.9995  # share of the text whose characters get a piece of their own

# What may grow into one piece: a run of letters of one script, with the space before it.
# Digits and punctuation stay single, so no piece can be half of a control token.
_TRAINING_WORDS = re.compile(rf"{SPACE}?(?:[A-Za-z]+|[가-힣]+|[^\W\d_A-Za-z가-힣]+)|.", re.DOTALL)


def train_bpe(
    texts: Iterable[str], vocab_size: int, control_tokens: Sequence[str] = ()
) -> Vocabulary:
    """Learn a vocabulary: start from characters and keep merging the most frequent pair.

    Ids are laid out as in Llama's vocabulary: ``<unk>``, ``<s>``, ``</s>``, your control tokens,
    256 bytes, merged pieces in the order they were learnt, single characters.

    Parameters
    ----------
    texts : iterable of str
    vocab_size : int
        The number of tokens wanted. A small text may run out of repeated pairs before;
        then the vocabulary is smaller.
    control_tokens : sequence of str
        Tokens that text never becomes. ``<s>`` and ``</s>`` are always among them.

    Returns
    -------
    Vocabulary

    Raises
    ------
    TokenizerError
        When `vocab_size` leaves no room beside the control tokens and the 256 bytes, or when a
        control token is one word, which the text could spell too.

    Examples
    --------
    >>> vocabulary = train_bpe(["low lower lowest"], vocab_size=270)
    >>> vocabulary.pieces[259:262]
    ('lo', 'low', '▁low')
    """
    control = [t for t in dict.fromkeys(control_tokens) if t not in ("<unk>", "<s>", "</s>")]
    for token in control:
        if len(_TRAINING_WORDS.findall(token)) < 2:
            raise TokenizerError(
                f"the control token {token!r} could be a word of the text. Put it in brackets."
            )
    fixed = ["<unk>", "<s>", "</s>", *control, *(f"<0x{byte:02X}>" for byte in range(256))]
    room = vocab_size - len(fixed)
    if room < 1:
        raise TokenizerError(
            f"vocab_size={vocab_size} leaves no room for text: {len(fixed)} tokens are taken by "
            f"control tokens and bytes. Ask for more than {len(fixed)}."
        )
    word_counts = _count_words(texts)
    characters = _frequent_characters(word_counts)[:room]
    merges = _learn_merges(word_counts, set(characters), room - len(characters))
    learnt = [*merges, *characters]
    types = [TokenType.UNKNOWN, *[TokenType.CONTROL] * (2 + len(control))]
    types += [TokenType.BYTE] * 256 + [TokenType.NORMAL] * len(learnt)
    scores = [0.0] * len(fixed) + [float(-rank) for rank in range(len(learnt))]
    return Vocabulary((*fixed, *learnt), tuple(scores), tuple(types))


def _count_words(texts: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        require_valid_unicode(text)
        counts.update(_TRAINING_WORDS.findall((" " + text).replace(" ", SPACE)))
    return counts


def _frequent_characters(word_counts: Counter[str]) -> list[str]:
    """Return the most frequent characters that together cover the wanted share of the text."""
    counts: Counter[str] = Counter()
    for word, count in word_counts.items():
        for character in word:
            counts[character] += count
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    wanted, covered = CHARACTER_COVERAGE * sum(counts.values()), 0
    for n_kept, character in enumerate(ranked):
        if covered >= wanted:
            return ranked[:n_kept]
        covered += counts[character]
    return ranked


def _learn_merges(word_counts: Counter[str], characters: set[str], n_merges: int) -> list[str]:
    """Return the texts of the learnt pieces, first merge first.

    Pair counts are kept up to date instead of being recounted: a merge touches only the words
    that contain the pair. The heap may hold outdated counts; they are dropped when they surface.
    """
    words = [list(word) for word in word_counts if characters.issuperset(word)]
    counts = [word_counts["".join(word)] for word in words]
    pair_counts: Counter[tuple[str, str]] = Counter()
    words_with: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for index, word in enumerate(words):
        for pair in pairwise(word):
            pair_counts[pair] += counts[index]
            words_with[pair].add(index)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)

    merged: dict[str, None] = {}  # two different pairs can spell the same piece
    while heap and len(merged) < n_merges:
        negative_count, pair = heapq.heappop(heap)
        if pair_counts[pair] != -negative_count:
            continue
        if -negative_count < 2:
            break
        merged["".join(pair)] = None
        changed: Counter[tuple[str, str]] = Counter()
        for index in words_with.pop(pair):
            word, count = words[index], counts[index]
            for old in pairwise(word):
                changed[old] -= count
            word[:] = _merge_pair(word, pair)
            for new in pairwise(word):
                changed[new] += count
                words_with[new].add(index)
        for changed_pair, difference in changed.items():
            if difference:
                pair_counts[changed_pair] += difference
                if pair_counts[changed_pair]:
                    heapq.heappush(heap, (-pair_counts[changed_pair], changed_pair))
    return list(merged)


def _merge_pair(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged, i = [], 0
    while i < len(symbols):
        if tuple(symbols[i : i + 2]) == pair:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return merged
