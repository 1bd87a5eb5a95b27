"""A Hugging Face checkpoint of Mistral or Llama, as the GGUF that it becomes sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from course_lib.config import ModelConfig
from course_lib.hf_vocabulary import read_hf_vocabulary, read_json
from course_lib.llama_file import BLOCK_TENSORS
from course_lib.model_size import tensor_shapes
from course_lib.rope import RopeScaling
from course_lib.safetensors_file import CheckpointError, SafetensorsFile

_MODEL_TYPES = ("mistral", "llama")
_BLOCK_NAMES = {
    "attention_norm": "input_layernorm",
    "wq": "self_attn.q_proj",
    "wk": "self_attn.k_proj",
    "wv": "self_attn.v_proj",
    "wo": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "w_gate": "mlp.gate_proj",
    "w_up": "mlp.up_proj",
    "w_down": "mlp.down_proj",
}
_TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IGNORED = "rotary_emb.inv_freq"  # older checkpoints store the angles, which follow from theta


class HFCheckpoint:
    """The sizes, the vocabulary and the tensors of a checkpoint, with their names in a GGUF.

    Parameters
    ----------
    directory : str or path-like
        With ``config.json``, ``*.safetensors`` and ``tokenizer.model`` or ``tokenizer.json``.

    Attributes
    ----------
    config : ModelConfig
    rope_scaling : RopeScaling
    vocabulary : Vocabulary
    add_bos : bool
        Whether a text begins with the begin-of-sequence token.
    chat_template : str or None
    is_tied : bool
        Whether the embedding serves as output, too.
    shapes : dict from str to tuple of int
        Of every tensor by its name in a GGUF.

    Raises
    ------
    CheckpointError
        When a file is missing or damaged, or the model is of another kind.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise CheckpointError(f"no folder {directory}. Give the one that holds config.json.")
        settings = read_json(self.directory / "config.json")
        self.config, self.rope_scaling = self._read_config(settings)
        self.vocabulary = read_hf_vocabulary(self.directory, self.config.vocab_size)
        tokenizer = read_json(self.directory / "tokenizer_config.json", optional=True)
        self.add_bos = tokenizer.get("add_bos_token") is not False
        self.chat_template = self._read_template(tokenizer)
        self._files = self._open_shards()
        self.is_tied = bool(settings.get("tie_word_embeddings"))
        self.shapes = tensor_shapes(self.config, self.is_tied)
        self._require_tensors()

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each tensor's name in a GGUF and its numbers as float32, one at a time.

        Raises
        ------
        CheckpointError
            When a number is not finite, or its type cannot be read.
        """
        for name in self.shapes:
            hf_name = hf_tensor_name(name)
            tensor = self._files[hf_name].tensor(hf_name)
            if not np.isfinite(tensor).all():
                raise CheckpointError(
                    f"{hf_name} in {self._files[hf_name].path} holds NaN or infinite numbers, with "
                    "which no model can compute. Download it again, or train it better."
                )
            yield name, self._in_neighbours(name, tensor)

    @property
    def paths(self) -> list[Path]:
        """The files that hold the tensors."""
        return sorted({file.path for file in self._files.values()})

    def _in_neighbours(self, name: str, tensor: np.ndarray) -> np.ndarray:
        n_heads = {
            f"{BLOCK_TENSORS['wq']}.weight": self.config.n_heads,
            f"{BLOCK_TENSORS['wk']}.weight": self.config.n_kv_heads,
        }.get(name.split(".", maxsplit=2)[-1])
        return pairs_from_halves(tensor, n_heads) if n_heads else tensor

    def _read_config(self, settings: dict[str, Any]) -> tuple[ModelConfig, RopeScaling]:
        model_type = settings.get("model_type")
        if model_type not in _MODEL_TYPES:
            raise CheckpointError(
                f"{self.directory} is a model of the type {model_type!r:.60}. Only "
                f"{' and '.join(_MODEL_TYPES)} are converted here; llama.cpp's own "
                "convert_hf_to_gguf.py knows many more."
            )
        if "quantization_config" in settings:
            raise CheckpointError(f"{self.directory} is quantized already. Take the original.")
        if (activation := settings.get("hidden_act", "silu")) != "silu":
            raise CheckpointError(
                f"{self.directory} has the activation {activation!r:.60}. Mistral and Llama have "
                "'silu', and files of the llama architecture know no other."
            )
        try:
            return _model_config(settings), _rope_scaling(settings)
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else error
            raise CheckpointError(
                f"config.json of {self.directory} does not describe such a model: {what}"
            ) from None

    def _read_template(self, tokenizer: dict[str, Any]) -> str | None:
        path = self.directory / "chat_template.jinja"
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")
        template = tokenizer.get("chat_template")
        if isinstance(template, list):  # several, by name
            named = {x.get("name"): x.get("template") for x in template if isinstance(x, dict)}
            template = named.get("default")
        return template if isinstance(template, str) else None

    def _open_shards(self) -> dict[str, SafetensorsFile]:
        """Find the file of each tensor."""
        index_path = self.directory / "model.safetensors.index.json"
        names = ["model.safetensors"]
        if index_path.is_file():
            try:
                names = sorted(set(read_json(index_path)["weight_map"].values()))
            except (AttributeError, KeyError, TypeError) as error:
                raise CheckpointError(f"{index_path} is damaged ({error}).") from None
        found: dict[str, SafetensorsFile] = {}
        for name in names:
            if not isinstance(name, str) or Path(name).name != name:
                raise CheckpointError(f"{index_path} names {name!r:.80}, which is no file name.")
            try:
                file = SafetensorsFile(self.directory / name)
            except FileNotFoundError:
                raise CheckpointError(
                    f"{self.directory / name} is missing. Download all parts of the model: "
                    f"{', '.join(names)}."
                ) from None
            found |= dict.fromkeys(file.shapes, file)
        return found

    def _require_tensors(self) -> None:
        for name, shape in self.shapes.items():
            hf_name = hf_tensor_name(name)
            if hf_name not in self._files:
                raise CheckpointError(f"{self.directory} has no tensor {hf_name!r}, and needs one.")
            if self._files[hf_name].shapes[hf_name] != shape:
                raise CheckpointError(
                    f"the tensor {hf_name!r} has the shape {self._files[hf_name].shapes[hf_name]}, "
                    f"and config.json asks for {shape}."
                )
        known = {hf_tensor_name(name) for name in self.shapes} | {"lm_head.weight"}
        others = [name for name in self._files if name not in known and _IGNORED not in name]
        if others:
            raise CheckpointError(
                f"{self.directory} has the tensor {others[0]!r:.80}, which is no part of Mistral "
                "or Llama 2. llama.cpp's own convert_hf_to_gguf.py may know this model."
            )


def hf_tensor_name(name: str) -> str:
    """Translate the name of a tensor from GGUF's to Hugging Face's.

    Examples
    --------
    >>> hf_tensor_name("blk.3.attn_q.weight")
    'model.layers.3.self_attn.q_proj.weight'
    """
    if not name.startswith("blk."):
        return _TOP_NAMES[name]
    _, layer, part = name.removesuffix(".weight").split(".", maxsplit=2)
    key = next(key for key, gguf_part in BLOCK_TENSORS.items() if gguf_part == part)
    return f"model.layers.{layer}.{_BLOCK_NAMES[key]}.weight"


def pairs_from_halves(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """Reorder the rows of a query or key matrix for a RoPE that turns neighbours.

    Hugging Face's models turn row i of a head together with row i + head_dim / 2, those in GGUF
    files rows 2 i and 2 i + 1. The scores of attention stay the same.

    Parameters
    ----------
    weight : np.ndarray, shape (n_heads * head_dim, dim)
    n_heads : int

    Returns
    -------
    np.ndarray, shape (n_heads * head_dim, dim)

    Examples
    --------
    >>> pairs_from_halves(np.arange(6)[:, None], n_heads=1).ravel()
    array([0, 3, 1, 4, 2, 5])
    """
    half = len(weight) // n_heads // 2
    return weight.reshape(n_heads, 2, half, -1).swapaxes(1, 2).reshape(weight.shape)


def halves_from_pairs(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """Undo `pairs_from_halves`.

    Examples
    --------
    >>> halves_from_pairs(np.array([[0], [3], [1], [4], [2], [5]]), n_heads=1).ravel()
    array([0, 1, 2, 3, 4, 5])
    """
    half = len(weight) // n_heads // 2
    return weight.reshape(n_heads, half, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def _model_config(settings: dict[str, Any]) -> ModelConfig:
    n_heads = settings["num_attention_heads"]
    return ModelConfig(
        dim=settings["hidden_size"],
        n_layers=settings["num_hidden_layers"],
        n_heads=n_heads,
        n_kv_heads=settings.get("num_key_value_heads") or n_heads,
        head_dim=settings.get("head_dim") or settings["hidden_size"] // n_heads,
        hidden_dim=settings["intermediate_size"],
        vocab_size=settings["vocab_size"],
        norm_eps=settings["rms_norm_eps"],
        rope_theta=float(_rope_settings(settings).get("rope_theta", 10_000.0)),
        sliding_window=settings.get("sliding_window") or None,
        max_seq_len=settings["max_position_embeddings"],
    )


def _rope_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Gather what was moved into ``rope_parameters`` by version 5 of `transformers`."""
    older = {"rope_theta": settings.get("rope_theta", 10_000.0)}
    return older | (settings.get("rope_scaling") or {}) | (settings.get("rope_parameters") or {})


def _rope_scaling(settings: dict[str, Any]) -> RopeScaling:
    rope = _rope_settings(settings)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return RopeScaling()
    if kind not in ("linear", "yarn"):
        raise ValueError(f"its RoPE is stretched in the way {kind!r:.60}, which is not known here")
    original = rope.get("original_max_position_embeddings", settings["max_position_embeddings"])
    return RopeScaling(kind=kind, factor=float(rope["factor"]), original_seq_len=int(original))
