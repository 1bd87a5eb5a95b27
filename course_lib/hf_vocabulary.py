"""The vocabulary of a Hugging Face checkpoint: ``tokenizer.model`` or ``tokenizer.json``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.safetensors_file import CheckpointError
from course_lib.vocabulary import SPACE, TokenType, Vocabulary

_BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")
_NEVER_MERGED = -1000.0  # the score that llama.cpp's converter gives such pieces


@dataclass
class _Piece:
    """One token while the vocabulary is put together."""

    text: str
    score: float = 0.0
    token_type: TokenType = TokenType.NORMAL


_Pieces = dict[int, _Piece]


def read_hf_vocabulary(directory: Path, vocab_size: int) -> Vocabulary:
    """Read the vocabulary of a checkpoint.

    ``tokenizer.model`` is preferred, because it has the scores themselves; ``tokenizer.json``
    has the order of the merges, which leads to the same tokens.

    Parameters
    ----------
    directory : Path
    vocab_size : int
        Rows of the embedding; ids that the tokenizer leaves free become unused tokens.

    Raises
    ------
    CheckpointError
        When there is none, or one that the ``llama`` tokenizer of GGUF cannot express.

    References
    ----------
    https://github.com/google/sentencepiece (``tokenizer.model``);
    https://huggingface.co/docs/tokenizers (``tokenizer.json``)
    """
    if (directory / "tokenizer.model").is_file():
        pieces, add_space_prefix = _sentencepiece_pieces(directory / "tokenizer.model")
        _add_tokens(pieces, directory, vocab_size)
    elif (directory / "tokenizer.json").is_file():
        found = read_json(directory / "tokenizer.json")
        pieces, add_space_prefix = _tokenizer_json_pieces(found, directory), _prepends_space(found)
        _add_tokens(pieces, directory, vocab_size)
        _set_scores(pieces, found["model"]["merges"])
    else:
        raise CheckpointError(
            f"{directory} has neither tokenizer.model nor tokenizer.json. "
            "Download one of them into it: a model without its vocabulary is of no use."
        )
    n_tokens = max(pieces, default=-1) + 1
    if n_tokens > vocab_size:
        raise CheckpointError(
            f"the tokenizer of {directory} has {n_tokens:,} tokens and the embedding "
            f"{vocab_size:,} rows: they belong to different models."
        )
    unused = {i: _Piece(f"[PAD{i}]", _NEVER_MERGED, TokenType.UNUSED) for i in range(vocab_size)}
    in_order = [piece for _, piece in sorted((unused | pieces).items())]
    return Vocabulary(
        pieces=tuple(piece.text for piece in in_order),
        scores=tuple(piece.score for piece in in_order),
        token_types=tuple(piece.token_type for piece in in_order),
        bos_id=_special_id(directory, "bos", in_order, default=1),
        eos_id=_special_id(directory, "eos", in_order, default=2),
        add_space_prefix=add_space_prefix,
    )


def read_json(path: Path, optional: bool = False) -> dict[str, Any]:
    """Read a JSON object; an optional file that is missing counts as an empty one.

    Raises
    ------
    CheckpointError
        When the file is missing or is something else.
    """
    if optional and not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing. Download it into the folder.") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Download it again.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds no JSON object. Download it again.")
    return found


def _sentencepiece_pieces(path: Path) -> tuple[_Pieces, bool]:
    """Read ``tokenizer.model``: its pieces, and whether it puts a space before a text."""
    from sentencepiece import SentencePieceProcessor

    try:
        model = SentencePieceProcessor(model_proto=path.read_bytes())
        n_pieces = model.get_piece_size()
    except Exception:
        raise CheckpointError(f"{path} is no SentencePiece model. Download it again.") from None
    kinds = {
        TokenType.UNKNOWN: model.is_unknown,
        TokenType.CONTROL: model.is_control,
        TokenType.UNUSED: model.is_unused,
        TokenType.BYTE: model.is_byte,
    }
    pieces = {}
    for i in range(n_pieces):
        kind = next((kind for kind, is_kind in kinds.items() if is_kind(i)), TokenType.NORMAL)
        pieces[i] = _Piece(model.id_to_piece(i), model.get_score(i), kind)
    return pieces, model.normalize("a").startswith(SPACE)


def _tokenizer_json_pieces(found: dict[str, Any], directory: Path) -> _Pieces:
    """Read the pieces of ``tokenizer.json``, still without scores."""
    model = found.get("model")
    steps = json.dumps([found.get("normalizer"), found.get("pre_tokenizer"), found.get("decoder")])
    is_bpe = isinstance(model, dict) and model.get("type", "BPE") == "BPE"
    if not is_bpe or '"ByteLevel"' in steps:
        raise CheckpointError(
            f"{directory}/tokenizer.json is a tokenizer of another kind than SentencePiece's BPE, "
            "as Llama 3 has one. llama.cpp's own convert_hf_to_gguf.py knows more kinds."
        )
    try:
        pieces = {int(i): _Piece(str(text)) for text, i in model["vocab"].items()}
        ["".join(_pair(merge)) for merge in model["merges"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{directory}/tokenizer.json is damaged ({error!r}). Download it again."
        ) from None
    for piece in pieces.values():
        if _BYTE_PIECE.fullmatch(piece.text):
            piece.token_type = TokenType.BYTE
        elif piece.text == model.get("unk_token"):
            piece.token_type = TokenType.UNKNOWN
    return pieces


def _set_scores(pieces: _Pieces, merges: list[Any]) -> None:
    """Give what is merged first the highest score; what no merge makes comes last, by its id."""
    normal = {p.text: p for _, p in sorted(pieces.items()) if p.token_type == TokenType.NORMAL}
    merged = dict.fromkeys("".join(_pair(merge)) for merge in merges)
    in_order = [text for text in merged if text in normal]
    in_order += [text for text in normal if text not in merged]
    for rank, text in enumerate(in_order):
        normal[text].score = -float(rank)


def _pair(merge: str | list[str]) -> tuple[str, str]:
    """Split a merge, which newer files store as a list and older ones as a text."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _prepends_space(found: dict[str, Any]) -> bool:
    steps = [found.get("normalizer"), found.get("pre_tokenizer")]
    while steps:
        step = steps.pop() or {}
        steps += step.get("normalizers", []) + step.get("pretokenizers", [])
        if step.get("type") == "Prepend":
            return step.get("prepend") == SPACE
        if step.get("type") == "Metaspace":
            is_older = "prepend_scheme" not in step
            scheme = "always" if is_older else step["prepend_scheme"]
            return scheme != "never" and step.get("add_prefix_space", True)
    return False


def _add_tokens(pieces: _Pieces, directory: Path, vocab_size: int) -> None:
    """Add the tokens that were put beside the trained vocabulary, and mark special ones."""
    listed = read_json(directory / "tokenizer.json", optional=True).get("added_tokens", [])
    decoder = read_json(directory / "tokenizer_config.json", optional=True)
    try:
        added = {int(x["id"]): (str(x["content"]), bool(x.get("special"))) for x in listed}
        for i, token in decoder.get("added_tokens_decoder", {}).items():
            added[int(i)] = (str(token["content"]), bool(token.get("special")))
        for text, i in read_json(directory / "added_tokens.json", optional=True).items():
            added.setdefault(int(i), (text, False))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the added tokens of {directory} are damaged ({error!r}). Download them again."
        ) from None
    for i, (text, is_special) in added.items():
        if not 0 <= i < vocab_size:  # without a row in the embedding no one can use it
            continue
        if i not in pieces or pieces[i].text != text:
            pieces[i] = _Piece(text, _NEVER_MERGED)
        if pieces[i].token_type == TokenType.NORMAL:
            pieces[i].token_type = TokenType.CONTROL if is_special else TokenType.USER_DEFINED


def _special_id(directory: Path, name: str, in_order: list[_Piece], default: int) -> int:
    """Find the token that begins or ends a sequence: by its id, or by its text."""
    found = read_json(directory / "config.json", optional=True).get(f"{name}_token_id")
    found = found[0] if isinstance(found, list) and found else found
    if found is None:
        settings = read_json(directory / "tokenizer_config.json", optional=True)
        token = settings.get(f"{name}_token")
        text = token.get("content") if isinstance(token, dict) else token
        found = next((i for i, piece in enumerate(in_order) if piece.text == text), default)
    if not isinstance(found, int) or not 0 <= found < len(in_order):
        raise CheckpointError(
            f"{name}_token_id in {directory}/config.json is {found!r:.60}, and the vocabulary has "
            f"ids from 0 to {len(in_order) - 1}."
        )
    return found
