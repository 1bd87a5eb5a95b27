"""Byte-pair encoding from nothing: train a vocabulary, encode, decode, stream.

The conventions are those of SentencePiece as Llama and Mistral use it: a space becomes
``▁``, every text starts with one extra space, a character without a piece of its own falls
back to its UTF-8 bytes (``<0xEC>``), and control tokens such as ``<s>`` exist as ids that no
ordinary text can produce.

References
----------
Sennrich, Haddow & Birch 2016, arXiv:1508.07909 (byte-pair encoding).
Kudo & Richardson 2018, arXiv:1808.06226 (SentencePiece).
"""

from __future__ import annotations

import codecs
import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from course_lib.gguf_cursor import InvalidGGUFError
from course_lib.gguf_header import read_header

SPACE = "▁"  # U+2581: how a space is written inside a piece
CHARACTER_COVERAGE = 0.9995  # share of the text whose characters get a piece of their own
LONGEST_CACHED_WORD = 32

# What may grow into one piece: a run of letters of one script, with the space before it.
# Digits and punctuation stay single, so no piece can be half of a control token.
_TRAINING_WORDS = re.compile(rf"{SPACE}?(?:[A-Za-z]+|[가-힣]+|[^\W\d_A-Za-z가-힣]+)|.", re.DOTALL)
_BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")
_WORDS = re.compile(rf"{SPACE}*[^{SPACE}]+|{SPACE}+")


class TokenizerError(ValueError):
    """A text, an id or a vocabulary that cannot be tokenized."""


class TokenType(IntEnum):
    """What a token is for; the numbers are those of GGUF files."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """Everything a tokenizer knows: token `i` is `pieces[i]`.

    Attributes
    ----------
    pieces : tuple of str
        The text of each token, with ``▁`` for a space.
    scores : tuple of float
        Of two possible merges, the one whose result scores higher goes first.
    token_types : tuple of TokenType
    bos_id, eos_id : int
        The tokens that begin and end a sequence.
    add_space_prefix : bool
        Whether a text starts with one extra space.
    """

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    token_types: tuple[TokenType, ...]
    bos_id: int = 1
    eos_id: int = 2
    add_space_prefix: bool = True

    def __len__(self) -> int:
        return len(self.pieces)


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


class Tokenizer:
    """Turn text into token ids and back.

    Parameters
    ----------
    vocabulary : Vocabulary

    Examples
    --------
    >>> tokenizer = Tokenizer(train_bpe(["한국의 수도는 서울, 한국의 말은 한국어"], 300))
    >>> [tokenizer.piece(i) for i in tokenizer.encode("한국의 강", add_bos=False)]
    ['▁한국의', '▁', '<0xEA>', '<0xB0>', '<0x95>']
    >>> tokenizer.decode(tokenizer.encode("한국의 강"))
    '한국의 강'
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.n_vocab = len(vocabulary)
        self.bos_id, self.eos_id = vocabulary.bos_id, vocabulary.eos_id
        rows = list(zip(vocabulary.pieces, vocabulary.token_types, range(self.n_vocab)))
        self._special_ids = {
            piece: i
            for piece, kind, i in sorted(rows, key=lambda row: -len(row[0].encode()))
            if kind in (TokenType.UNKNOWN, TokenType.CONTROL, TokenType.USER_DEFINED)
        }
        self.control_ids = {piece: i for piece, kind, i in rows if kind is TokenType.CONTROL}
        # Only these can come out of merging: text never becomes a control or byte token.
        text_types = (TokenType.NORMAL, TokenType.USER_DEFINED, TokenType.UNUSED)
        self._text_ids = {piece: i for piece, kind, i in rows if kind in text_types}
        self._bytes = [_token_bytes(piece, kind) for piece, kind, _ in rows]
        byte_rows = [(self._bytes[i], i) for _, kind, i in rows if kind is TokenType.BYTE]
        self._byte_ids = {value[0]: i for value, i in byte_rows}
        # When no piece has a space after anything but a space, words can be merged one by one.
        self._words_are_independent = not any(
            re.search(rf"[^{SPACE}]{SPACE}", piece) for piece in self._text_ids
        )
        self._cached_merge = lru_cache(maxsize=2**16)(self._merge)

    @classmethod
    def from_gguf(cls, path: str | Path) -> Tokenizer:
        """Read the tokenizer of a GGUF file with a ``llama`` (SentencePiece) vocabulary.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        TokenizerError
            When the file has another kind of tokenizer.
        InvalidGGUFError
            When the file is damaged or truncated.
        """
        return cls(_read_vocabulary(Path(path)))

    def encode(self, text: str, *, add_bos: bool = True, parse_control: bool = False) -> list[int]:
        """Return the token ids of `text`.

        Parameters
        ----------
        text : str
        add_bos : bool
            Put the begin-of-sequence token first.
        parse_control : bool
            Read ``<s>``, ``[INST]`` … in `text` as control tokens. Only for text that you wrote
            yourself: in a user's text they must stay ordinary characters.

        Raises
        ------
        TokenizerError
            When `text` holds half a surrogate pair, which has no UTF-8 form.
        """
        require_valid_unicode(text)
        ids = [self.bos_id] if add_bos else []
        for fragment in self._split_special(text, parse_control):
            ids.extend([fragment] if isinstance(fragment, int) else self._encode_text(fragment))
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; control tokens are silent, impossible bytes become �.

        The inverse of `encode` for every text without ``▁`` itself, which reads as a space.
        """
        decoder = StreamDecoder(self)
        return "".join([decoder.push(i) for i in ids]) + decoder.finish()

    def piece(self, token_id: int) -> str:
        """Return the text of one token as the vocabulary writes it, such as ``▁한국``."""
        return self.vocabulary.pieces[self._require_id(token_id)]

    def token_bytes(self, token_id: int) -> bytes:
        """Return the UTF-8 bytes that one token stands for; control tokens stand for none."""
        return self._bytes[self._require_id(token_id)]

    def _require_id(self, token_id: int) -> int:
        if not 0 <= token_id < self.n_vocab:
            raise TokenizerError(f"no token {token_id}: ids run from 0 to {self.n_vocab - 1}.")
        return token_id

    def _split_special(self, text: str, parse_control: bool) -> list[str | int]:
        """Cut special tokens out of `text`, the longest first, as llama.cpp does."""
        fragments: list[str | int] = [text]
        for special, token_id in self._special_ids.items():
            kind = self.vocabulary.token_types[token_id]
            if special not in text or not (parse_control or kind is TokenType.USER_DEFINED):
                continue
            cut: list[str | int] = []
            for fragment in fragments:
                if isinstance(fragment, int):
                    cut.append(fragment)
                    continue
                first, *rest = fragment.split(special)
                cut.append(first)
                for part in rest:
                    cut += [token_id, part]
            fragments = cut
        return [fragment for fragment in fragments if fragment != ""]

    def _encode_text(self, text: str) -> list[int]:
        prefix = " " if self.vocabulary.add_space_prefix else ""
        marked = (prefix + text).replace(" ", SPACE)
        words = _WORDS.findall(marked) if self._words_are_independent else [marked]
        ids: list[int] = []
        for word in words:
            merge = self._cached_merge if len(word) <= LONGEST_CACHED_WORD else self._merge
            ids.extend(merge(word))
        return ids

    def _merge(self, word: str) -> tuple[int, ...]:
        """Merge the best-scored neighbouring pair until none is left (leftmost first on a tie)."""
        text_ids, scores = self._text_ids, self.vocabulary.scores
        symbols = list(word)
        following = [*range(1, len(symbols)), -1]
        previous = list(range(-1, len(symbols) - 1))
        heap: list[tuple[float, int, int, str]] = []

        def push(left: int, right: int) -> None:
            merged = symbols[left] + symbols[right]
            if merged in text_ids:
                heapq.heappush(heap, (-scores[text_ids[merged]], left, right, merged))

        for right in range(1, len(symbols)):
            push(right - 1, right)
        while heap:
            _, left, right, merged = heapq.heappop(heap)
            if following[left] != right or symbols[left] + symbols[right] != merged:
                continue  # one of the two has been merged since
            symbols[left], symbols[right] = merged, ""
            following[left] = after = following[right]
            if after >= 0:
                previous[after] = left
                push(left, after)
            if previous[left] >= 0:
                push(previous[left], left)
        return tuple(i for symbol in symbols if symbol for i in self._symbol_ids(symbol))

    def _symbol_ids(self, symbol: str) -> list[int]:
        if symbol in self._text_ids:
            return [self._text_ids[symbol]]
        try:
            return [self._byte_ids[byte] for byte in symbol.encode()]
        except KeyError:
            raise TokenizerError(
                f"this vocabulary has neither a piece for {symbol!r} nor all 256 bytes to spell it."
            ) from None


class StreamDecoder:
    """Decode a stream of tokens and never show half a character.

    A Hangul syllable is three bytes and may arrive as three tokens: `push` returns nothing until
    the character is whole. The pieces joined are exactly ``tokenizer.decode(ids)``.

    Parameters
    ----------
    tokenizer : Tokenizer
    continues : bool
        The stream continues a text, so its first space is a real one.

    Examples
    --------
    >>> tokenizer = Tokenizer(train_bpe(["low lower lowest"], vocab_size=270))
    >>> decoder = StreamDecoder(tokenizer)
    >>> [decoder.push(i) for i in tokenizer.encode("강", add_bos=False)], decoder.finish()
    (['', '', '', '강'], '')
    """

    def __init__(self, tokenizer: Tokenizer, *, continues: bool = False) -> None:
        self._tokenizer = tokenizer
        self._drop_space = tokenizer.vocabulary.add_space_prefix and not continues
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Return the text that `token_id` completes, possibly none."""
        data = self._tokenizer.token_bytes(token_id)
        if data and self._drop_space:
            data, self._drop_space = data.removeprefix(b" "), False
        return self._utf8.decode(data)

    def finish(self) -> str:
        """Return what is left: � when the stream ended inside a character, else nothing."""
        return self._utf8.decode(b"", final=True)


def _token_bytes(piece: str, kind: TokenType) -> bytes:
    if kind in (TokenType.CONTROL, TokenType.UNKNOWN):
        return b""
    if kind is TokenType.BYTE:
        if not _BYTE_PIECE.fullmatch(piece):
            raise TokenizerError(f"the byte token {piece!r} is not written as in '<0x0A>'.")
        return bytes([int(piece[3:5], 16)])
    return piece.replace(SPACE, " ").encode() if kind is TokenType.NORMAL else piece.encode()


def require_valid_unicode(text: str) -> None:
    """Raise TokenizerError when `text` is not a text or holds half a surrogate pair."""
    if not isinstance(text, str):
        raise TokenizerError(f"a text must be a str, not {type(text).__name__}: {text!r:.60}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"character {error.start} is {text[error.start]!r}, half of a surrogate pair. "
            "Read the text again with the right encoding, or drop it with "
            "text.encode('utf-8', 'ignore').decode()."
        ) from None


def _read_vocabulary(path: Path) -> Vocabulary:
    """Read ``tokenizer.ggml.*`` of a GGUF file."""
    from gguf import GGUFReader

    if not path.is_file():
        raise FileNotFoundError(f"no file {path}. Check the name, or download the model first.")
    with path.open("rb") as file:
        try:
            read_header(file, path.stat().st_size)  # before anything believes its lengths
        except InvalidGGUFError as error:
            raise InvalidGGUFError(error.reason, error.offset, str(path)) from None
    metadata = {
        key.removeprefix("tokenizer.ggml."): field.contents()
        for key, field in GGUFReader(path).fields.items()
        if key.startswith("tokenizer.ggml.")
    }
    if metadata.get("model") != "llama" or not {"tokens", "scores"} <= metadata.keys():
        raise TokenizerError(
            f"{path.name} has a {metadata.get('model', 'missing')!r} tokenizer; this class reads "
            "'llama' (SentencePiece) vocabularies. Use LocalLLM, which lets llama.cpp tokenize."
        )
    pieces = tuple(metadata["tokens"])
    scores = tuple(metadata["scores"])
    try:
        types = tuple(map(TokenType, metadata.get("token_type", [TokenType.NORMAL] * len(pieces))))
    except ValueError as error:
        raise TokenizerError(f"{path.name} has a token of an unknown type: {error}.") from None
    if not len(pieces) == len(scores) == len(types):
        raise TokenizerError(
            f"{path.name} lists {len(pieces)} tokens, {len(scores)} scores and {len(types)} "
            "types: one of each is due for every token. Download the file again."
        )
    return Vocabulary(
        pieces=pieces,
        scores=scores,
        token_types=types,
        bos_id=metadata.get("bos_token_id", 1),
        eos_id=metadata.get("eos_token_id", 2),
        add_space_prefix=metadata.get("add_space_prefix", True),
    )
