"""What llama.cpp reads the metadata of a GGUF as: the type of each key, and the range of some.

A star in a name stands for the architecture of the model.
"""

from __future__ import annotations

import re
from typing import Any

from course_lib.gguf_cursor import InvalidGGUFError
from course_lib.gguf_header import ArraySummary, Header

_KINDS = {
    ("string",): "general.architecture general.name *.rope.scaling.type "
    "tokenizer.ggml.model tokenizer.ggml.pre",
    ("bool",): "*.attention.causal *.rope.scaling.finetuned "
    "tokenizer.ggml.add_bos_token tokenizer.ggml.add_eos_token tokenizer.ggml.add_sep_token "
    "tokenizer.ggml.add_space_prefix tokenizer.ggml.remove_extra_whitespaces",
    ("uint16",): "split.count split.no",
    ("int32",): "split.tensors.count",
    ("uint32",): "general.file_type *.vocab_size *.context_length *.embedding_length "
    "*.embedding_length_out *.block_count *.nextn_predict_layers *.pooling_type "
    "*.expert_count *.expert_group_count *.expert_group_used_count "
    "*.attention.key_length *.attention.value_length *.rope.dimension_count "
    "*.rope.scaling.original_context_length tokenizer.ggml.token_type_count",
    ("uint32", "uint32[]", "int32[]"): "*.feed_forward_length *.expert_used_count "
    "*.attention.head_count *.attention.head_count_kv",
    ("float32",): "*.attention.layer_norm_epsilon *.attention.layer_norm_rms_epsilon "
    "*.rope.freq_base *.rope.scaling.factor *.rope.scaling.attn_factor",
    ("string[]",): "tokenizer.ggml.tokens tokenizer.ggml.merges",
    ("float32[]", "int32[]"): "tokenizer.ggml.scores",
    ("int32[]",): "tokenizer.ggml.token_type tokenizer.ggml.suppress_tokens",
}
_KINDS_OF_NAME = {name: kinds for kinds, names in _KINDS.items() for name in names.split()}
_TOKEN_ID = re.compile(r"tokenizer\.ggml\.\w+_token_id")

_FINITE = (0, 3.4e38)
_RANGES: dict[str, tuple[float, float]] = {
    "*.block_count": (1, 512),
    "*.expert_count": (0, 1024),
    "*.pooling_type": (0, 4),
    # llama-cpp-python clears memory for so many ids whenever it splits a text
    "*.context_length": (1, 1 << 24),
    "*.attention.layer_norm_epsilon": _FINITE,
    "*.attention.layer_norm_rms_epsilon": _FINITE,
    "*.rope.freq_base": _FINITE,
    "*.rope.scaling.factor": _FINITE,
    "*.rope.scaling.attn_factor": _FINITE,
}
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")


class Values:
    """The metadata of a header, and how to complain about it."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.architecture = header.metadata.get("general.architecture")

    def key(self, name: str) -> str:
        """Return the key that a name with a star means in this file."""
        return name.replace("*", str(self.architecture), 1)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or the default when the file does not give it."""
        return self.header.metadata.get(self.key(name), default)

    def wrong(self, name: str, why: str) -> InvalidGGUFError:
        """Make the error for a value that the file gives."""
        key = self.key(name)
        return InvalidGGUFError(f"{key[:80]!r} {why}", self.header.places[key].offset)


def check_values(values: Values) -> None:
    """Raise InvalidGGUFError at a value of another type, or one that llama.cpp asserts against."""
    _check_kinds(values)
    for name, (low, high) in _RANGES.items():
        value = values.get(name, low)
        if not low <= value <= high:  # also when it is not a number
            raise values.wrong(name, f"is {value:,}, not from {low:,} to {high:,}")
    scaling = values.get("*.rope.scaling.type", "none")
    if scaling not in _ROPE_SCALINGS:
        why = f"is {scaling!r:.80}, not one of {', '.join(_ROPE_SCALINGS)}"
        raise values.wrong("*.rope.scaling.type", why)
    n_predicting = values.get("*.nextn_predict_layers", 0)
    if n_predicting > values.get("*.block_count", n_predicting):
        why = f"is {n_predicting:,}, more than there are blocks"
        raise values.wrong("*.nextn_predict_layers", why)


def _check_kinds(values: Values) -> None:
    kinds_of_key = {values.key(name): kinds for name, kinds in _KINDS_OF_NAME.items()}
    for key, (value_type, offset) in values.header.places.items():
        kinds = ("uint32",) if _TOKEN_ID.fullmatch(key) else kinds_of_key.get(key)
        value = values.header.metadata[key]
        is_array = isinstance(value, ArraySummary)
        kind = f"{value.item_type}[]" if is_array else value_type.name.lower()
        if kinds and kind not in kinds:
            raise InvalidGGUFError(
                f"{key[:80]!r} is stored as {kind}, and llama.cpp reads {' or '.join(kinds)}",
                offset if is_array else offset - 4,  # of the type
            )
