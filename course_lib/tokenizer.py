"""Byte-pair encoding from nothing: encode, decode, stream.

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
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from course_lib.bpe_training import train_bpe
from course_lib.vocabulary import (
    SPACE,
    TokenizerError,
    TokenType,
    Vocabulary,
    read_vocabulary,
    require_valid_unicode,
)

__all__ = [
    "StreamDecoder",
    "TokenType",
    "Tokenizer",
    "TokenizerError",
    "Vocabulary",
    "require_valid_unicode",
    "train_bpe",
]

LONGEST_CACHED_WORD = 32

_BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")
_WORDS = re.compile(rf"{SPACE}*[^{SPACE}]+|{SPACE}+")


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
        return cls(read_vocabulary(Path(path)))

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
