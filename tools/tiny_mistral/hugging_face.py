"""Write a model of the ``llama`` architecture as a Hugging Face checkpoint, from its GGUF.

``course_lib.convert.convert_checkpoint`` makes the same model of it again.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from course_lib import TINY_MODEL_PATH
from course_lib.config import ModelConfig
from course_lib.gguf_file import inspect_gguf
from course_lib.hf_checkpoint import halves_from_pairs, hf_tensor_name
from course_lib.llama_file import LlamaFile
from course_lib.model_size import tensor_shapes
from course_lib.quantization import quantize
from course_lib.vocabulary import SPACE, TokenType, Vocabulary, read_vocabulary


def write_checkpoint(
    directory: Path, source: Path = TINY_MODEL_PATH, dtype: str = "F16", n_shards: int = 1
) -> Path:
    """Write configuration, tensors, both forms of the tokenizer, and the chat template.

    Parameters
    ----------
    directory : Path
        Made if it is not there.
    source : Path
        A GGUF.
    dtype : str
        ``"F32"``, ``"F16"`` or ``"BF16"``, for the matrices; norms stay F32.
    n_shards : int
        Files that the tensors are spread over.

    Returns
    -------
    Path
        The folder.
    """
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary, file = read_vocabulary(source), LlamaFile(source)
    template = _chat_template(source)
    _write_json(directory / "config.json", hf_config(file.config, vocabulary))
    _write_json(directory / "tokenizer.json", tokenizer_json(vocabulary))
    _write_json(directory / "tokenizer_config.json", tokenizer_config(vocabulary, template))
    (directory / "tokenizer.model").write_bytes(sentencepiece_model(vocabulary))
    _write_shards(directory, file, dtype, n_shards)
    return directory


def hf_config(config: ModelConfig, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what ``config.json`` says."""
    return {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_size": config.dim,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.hidden_dim,
        "vocab_size": config.vocab_size,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "sliding_window": config.sliding_window,
        "max_position_embeddings": config.max_seq_len,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": vocabulary.bos_id,
        "eos_token_id": vocabulary.eos_id,
    }


def tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what ``tokenizer.json`` says: pieces, merges in their order, spaces as ``▁``."""
    prepend = [{"type": "Prepend", "prepend": SPACE}] if vocabulary.add_space_prefix else []
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    kinds = (TokenType.UNKNOWN, TokenType.CONTROL)
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": vocabulary.pieces[i], "special": True, "normalized": False}
            | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
            for i, kind in enumerate(vocabulary.token_types)
            if kind in kinds
        ],
        "normalizer": {"type": "Sequence", "normalizers": [*prepend, replace]},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "unk_token": vocabulary.pieces[vocabulary.token_types.index(TokenType.UNKNOWN)],
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": {piece: i for i, piece in enumerate(vocabulary.pieces)},
            "merges": [list(merge) for merge in merges(vocabulary)],
        },
    }


def merges(vocabulary: Vocabulary) -> Iterator[tuple[str, str]]:
    """Yield every way to make a piece of two others, the pieces that are made first before."""
    scores = {
        piece: score
        for piece, score, kind in zip(
            vocabulary.pieces, vocabulary.scores, vocabulary.token_types, strict=True
        )
        if kind == TokenType.NORMAL
    }
    for piece in sorted(scores, key=scores.__getitem__, reverse=True):
        halves = ((piece[:n], piece[n:]) for n in range(1, len(piece)))
        yield from ((left, right) for left, right in halves if left in scores and right in scores)


def tokenizer_config(vocabulary: Vocabulary, chat_template: str | None) -> dict[str, Any]:
    """Return what ``tokenizer_config.json`` says."""
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": vocabulary.pieces[vocabulary.bos_id],
        "eos_token": vocabulary.pieces[vocabulary.eos_id],
        "chat_template": chat_template,
    }


def sentencepiece_model(vocabulary: Vocabulary) -> bytes:
    """Return what ``tokenizer.model`` holds: SentencePiece's model in the form of protocol buffers.

    References
    ----------
    https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
    """
    pieces = b"".join(
        _field(1, _field(1, piece.encode()) + _field(2, float(score)) + _field(3, int(kind)))
        for piece, score, kind in zip(
            vocabulary.pieces, vocabulary.scores, vocabulary.token_types, strict=True
        )
    )
    trainer = _field(3, 2) + _field(4, len(vocabulary)) + _field(35, 1)  # BPE, size, byte fallback
    normalizer = _field(1, b"identity") + _field(3, int(vocabulary.add_space_prefix)) + _field(4, 0)
    return pieces + _field(2, trainer) + _field(3, normalizer)


def _field(number: int, value: bytes | float | int) -> bytes:
    """Write one field of a protocol buffer: its number and kind, then its value."""
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


def _write_shards(directory: Path, file: LlamaFile, dtype: str, n_shards: int) -> None:
    names = list(tensor_shapes(file.config))
    parts = [list(part) for part in np.array_split(names, n_shards)]
    if n_shards == 1:
        _write_safetensors(directory / "model.safetensors", file, names, dtype)
        return
    weight_map = {}
    for number, part in enumerate(parts, start=1):
        shard = f"model-{number:05}-of-{n_shards:05}.safetensors"
        _write_safetensors(directory / shard, file, part, dtype)
        weight_map |= {hf_tensor_name(name): shard for name in part}
    n_bytes = sum(shard.stat().st_size for shard in directory.glob("*.safetensors"))
    index = {"metadata": {"total_size": n_bytes}, "weight_map": weight_map}
    _write_json(directory / "model.safetensors.index.json", index)


def _write_safetensors(path: Path, file: LlamaFile, names: list[str], dtype: str) -> None:
    tensors = {hf_tensor_name(name): _hf_tensor(file, name) for name in names}
    types = {name: "F32" if tensor.ndim == 1 else dtype for name, tensor in tensors.items()}
    stored = {name: quantize(x.reshape(len(x), -1), types[name]) for name, x in tensors.items()}
    ends = list(accumulate((blocks.nbytes for blocks in stored.values()), initial=0))
    header = {
        name: {"dtype": types[name], "shape": tensors[name].shape, "data_offsets": place}
        for name, place in zip(stored, pairwise(ends), strict=True)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as output:
        output.write(struct.pack("<Q", len(text)) + text)
        for blocks in stored.values():
            output.write(blocks.tobytes())


def _hf_tensor(file: LlamaFile, name: str) -> np.ndarray:
    tensor = file.tensor(name)
    if "attn_q" in name:
        return halves_from_pairs(tensor, file.config.n_heads)
    if "attn_k" in name:
        return halves_from_pairs(tensor, file.config.n_kv_heads)
    return tensor


def _chat_template(source: Path) -> str | None:
    return inspect_gguf(source).metadata.get("tokenizer.chat_template")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
