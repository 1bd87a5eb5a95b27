"""What a tokenizer knows: the pieces of text, their scores and kinds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.gguf_cursor import InvalidGGUFError

if TYPE_CHECKING:
    from gguf import GGUFWriter

SPACE = "▁"  # U+2581: how a space is written inside a piece


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


def write_vocabulary(
    writer: GGUFWriter,
    vocabulary: Vocabulary,
    *,
    add_bos: bool = True,
    chat_template: str | None = None,
) -> None:
    """Write a vocabulary into a GGUF as `read_vocabulary` reads it.

    Parameters
    ----------
    writer : gguf.GGUFWriter
    vocabulary : Vocabulary
    add_bos : bool
        Whether llama.cpp puts the begin-of-sequence token before a text.
    chat_template : str, optional
        How messages become a text, in the template language Jinja.
    """
    writer.add_tokenizer_model("llama")
    writer.add_token_list(vocabulary.pieces)
    writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.token_types)
    writer.add_bos_token_id(vocabulary.bos_id)
    writer.add_eos_token_id(vocabulary.eos_id)
    if TokenType.UNKNOWN in vocabulary.token_types:
        writer.add_unk_token_id(vocabulary.token_types.index(TokenType.UNKNOWN))
    writer.add_add_bos_token(add_bos)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(vocabulary.add_space_prefix)
    if chat_template is not None:
        writer.add_chat_template(chat_template)


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


def read_vocabulary(path: Path) -> Vocabulary:
    """Read ``tokenizer.ggml.*`` of a GGUF file."""
    from course_lib.gguf_header import read_header
    from course_lib.gguf_package import gguf  # slow to load, and not needed for training

    if not path.is_file():
        raise FileNotFoundError(f"no file {path}. Check the name, or download the model first.")
    with path.open("rb") as file:
        try:
            read_header(file, path.stat().st_size)  # before anything believes its lengths
        except InvalidGGUFError as error:
            raise InvalidGGUFError(error.reason, error.offset, str(path)) from None
    metadata = {
        key.removeprefix("tokenizer.ggml."): field.contents()
        for key, field in gguf.GGUFReader(path).fields.items()
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
