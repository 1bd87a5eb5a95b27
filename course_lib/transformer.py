"""A whole Mistral in NumPy: embeddings → blocks → logits, from the file that llama.cpp reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from course_lib.activations import round_activations
from course_lib.attention import position_mask, scaled_dot_product_attention
from course_lib.config import ModelConfig
from course_lib.feed_forward import gated
from course_lib.kv_cache import KVCache
from course_lib.llama_file import BLOCK_TENSORS, LlamaFile
from course_lib.model_size import tensor_shapes
from course_lib.rms_norm import rms_norm
from course_lib.rope import apply_rope, engine_angles

Sampler = Callable[[np.ndarray, Sequence[int], np.random.Generator], int]


class InvalidTokensError(ValueError):
    """Token ids that the model cannot read."""


@dataclass
class Trace:
    """What one forward pass leaves to look at; hand an empty one to `Transformer.forward`.

    Attributes
    ----------
    attention : list of np.ndarray, each of shape (n_heads, n_tokens, n_keys)
        Attention weights, one entry a block.
    residual : list of np.ndarray, each of shape (n_tokens, dim)
        The residual stream: the embeddings, then what it is after each block.
    """

    attention: list[np.ndarray] = field(default_factory=list)
    residual: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class BlockWeights:
    """Weights of one block, all float32; a matrix has a row for each output.

    Attributes
    ----------
    attention_norm, ffn_norm : np.ndarray, shape (dim,)
    wq : np.ndarray, shape (n_heads * head_dim, dim)
    wk, wv : np.ndarray, shape (n_kv_heads * head_dim, dim)
    wo : np.ndarray, shape (dim, n_heads * head_dim)
    w_gate, w_up : np.ndarray, shape (hidden_dim, dim)
    w_down : np.ndarray, shape (dim, hidden_dim)
    type_names : dict of str to str
        The format in which each of these is stored.
    """

    attention_norm: np.ndarray
    wq: np.ndarray
    wk: np.ndarray
    wv: np.ndarray
    wo: np.ndarray
    ffn_norm: np.ndarray
    w_gate: np.ndarray
    w_up: np.ndarray
    w_down: np.ndarray
    type_names: dict[str, str]


class Transformer:
    """A Mistral- or Llama-style model; make one with `Transformer.from_gguf`.

    Parameters
    ----------
    file : LlamaFile
    lazy : bool
        Leave the weights on disk, and read one block at a time whenever it is needed.
    rounds_activations : bool
        Round the input of each matrix as llama.cpp does for its format.

    Attributes
    ----------
    config : ModelConfig
    eos_id : int or None
        The token that ends a text.

    References
    ----------
    Jiang et al. 2023, arXiv:2310.06825.

    Examples
    --------
    >>> from course_lib import TINY_MODEL_PATH
    >>> model = Transformer.from_gguf(TINY_MODEL_PATH)
    >>> model.forward([1, 300, 301]).shape
    (3, 2048)
    """

    def __init__(
        self, file: LlamaFile, *, lazy: bool = False, rounds_activations: bool = False
    ) -> None:
        self.config: ModelConfig = file.config
        self.eos_id = file.eos_id
        self.rounds_activations = rounds_activations
        _require_tensors(file)
        self._file = file
        self._output_name = "output.weight" if "output.weight" in file else "token_embd.weight"
        self._output_type = file.type_name(self._output_name)
        self._rope_scaling = file.rope_scaling
        has_divisors = "rope_freqs.weight" in file
        self._rope_divisors = file.tensor("rope_freqs.weight") if has_divisors else None
        self._norm = file.tensor("output_norm.weight")
        self._embedding = self._output = self._blocks = None
        if not lazy:
            self._embedding = self._output = file.tensor("token_embd.weight")
            if "output.weight" in file:  # else both ends share one matrix
                self._output = file.tensor("output.weight")
            self._blocks = [self._read_block(layer) for layer in range(self.config.n_layers)]
            self._file = None

    @classmethod
    def from_gguf(
        cls, path: str | os.PathLike[str], *, lazy: bool = False, rounds_activations: bool = False
    ) -> Transformer:
        """Read a model of the ``llama`` architecture, in any of the usual formats.

        Parameters
        ----------
        path : str or path-like
        lazy : bool
            Leave the weights on disk, and read one block at a time whenever it is needed: slow,
            but a 7B model then fits into 2.5 GB of memory.
        rounds_activations : bool
            Round the input of each matrix as llama.cpp does for its format. That explains what
            remains between the two engines; without it everything is float32.

        Raises
        ------
        UnsupportedModelError
            When the architecture is another, or a tensor is missing, of a wrong shape, or in a
            format that is not read here.
        InvalidGGUFError
            When the file is damaged.
        FileNotFoundError, IsADirectoryError, PermissionError
            When there is no file to read.
        """
        return cls(LlamaFile(path), lazy=lazy, rounds_activations=rounds_activations)

    def forward(
        self, ids: Sequence[int], cache: KVCache | None = None, trace: Trace | None = None
    ) -> np.ndarray:
        """Compute the scores of every token to come next, after each token of `ids`.

        Parameters
        ----------
        ids : sequence of int, length n_tokens
        cache : KVCache, optional
            Of the tokens before these. The new ones are added to it.
        trace : Trace, optional
            Filled with attention weights and the residual stream.

        Returns
        -------
        np.ndarray of float32, shape (n_tokens, vocab_size)

        Raises
        ------
        InvalidTokensError
            When there are no ids, or one is no token of the vocabulary.
        CacheFullError
            When the tokens do not fit into `cache`.
        """
        return self.unembed(self._residual(ids, cache, trace))

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Look up the vector of each token.

        Returns
        -------
        np.ndarray of float32, shape (n_tokens, dim)
        """
        ids = self._checked(ids)
        if self._embedding is None:
            return self._file.rows("token_embd.weight", ids)
        return self._embedding[ids]

    def unembed(self, x: np.ndarray) -> np.ndarray:
        """Turn the residual stream, at any depth, into logits: the "logit lens".

        Parameters
        ----------
        x : np.ndarray, shape (..., dim)

        Returns
        -------
        np.ndarray of float32, shape (..., vocab_size)
        """
        output = self._file.tensor(self._output_name) if self._output is None else self._output
        normed = rms_norm(x, self._norm, self.config.norm_eps)
        return self._as_met(normed, self._output_type) @ output.T

    def block_weights(self, layer: int) -> BlockWeights:
        """Return the weights of one block."""
        return self._read_block(layer) if self._blocks is None else self._blocks[layer]

    def generate(
        self, ids: Sequence[int], sampler: Sampler, max_tokens: int, *, rng: np.random.Generator
    ) -> Iterator[int]:
        """Yield new tokens one by one until the text ends, or there are `max_tokens`.

        Parameters
        ----------
        ids : sequence of int
            The prompt.
        sampler : callable
            ``sampler(logits, previous_ids, rng)`` chooses a token.
        max_tokens : int
        rng : np.random.Generator

        Yields
        ------
        int
            The token that ends a text is not among them.
        """
        ids = self._checked(ids).tolist()
        cache = KVCache(self.config, len(ids) + max_tokens)
        new_ids = ids
        for _ in range(max_tokens):
            x = self._residual(new_ids, cache, None)
            token_id = int(sampler(self.unembed(x[-1]), ids, rng))
            if token_id == self.eos_id:
                return
            yield token_id
            ids.append(token_id)
            new_ids = [token_id]

    def _residual(
        self, ids: Sequence[int], cache: KVCache | None, trace: Trace | None
    ) -> np.ndarray:
        """Run all blocks; returns the residual stream at the end, shape (n_tokens, dim)."""
        x = self.embed(ids)
        cache = cache or KVCache(self.config, len(x))
        cache.require_room(len(x))
        positions = cache.n_tokens + np.arange(len(x))
        mask = None
        if len(x) > 1:  # a single new token sees all that is kept
            key_positions = cache.key_positions(len(x))
            mask = position_mask(positions, key_positions, self.config.sliding_window)
        cos, sin = engine_angles(
            positions,
            self.config.head_dim,
            self.config.rope_theta,
            self._rope_scaling,
            self._rope_divisors,
        )
        if trace:
            trace.residual.append(x)
        for layer in range(self.config.n_layers):
            x = self._block(layer, x, cos, sin, mask, cache, trace)
        cache.advance(len(x))
        return x

    def _block(self, layer, x, cos, sin, mask, cache, trace):
        """Attention, then feed-forward: each reads a normed copy of x and adds to it."""
        weights = self.block_weights(layer)
        normed = rms_norm(x, weights.attention_norm, self.config.norm_eps)
        normed = self._as_met(normed, weights.type_names["wq"])
        mixed, attention = self._attend(layer, weights, normed, cos, sin, mask, cache)
        x = x + mixed
        normed = rms_norm(x, weights.ffn_norm, self.config.norm_eps)
        normed = self._as_met(normed, weights.type_names["w_gate"])
        hidden = gated(normed, weights.w_gate, weights.w_up)
        x = x + self._as_met(hidden, weights.type_names["w_down"]) @ weights.w_down.T
        if trace:
            trace.attention.append(attention.reshape(self.config.n_heads, *attention.shape[2:]))
            trace.residual.append(x)
        return x

    def _attend(self, layer, weights, x, cos, sin, mask, cache):
        """Return the attention's output (n_tokens, dim) and its weights.

        Grouped-query attention by broadcasting: query heads get an axis for their group, and the
        key-value head that a group shares is never copied.
        """
        n_tokens, head_dim, n_kv_heads = len(x), self.config.head_dim, self.config.n_kv_heads
        q = apply_rope((x @ weights.wq.T).reshape(n_tokens, -1, head_dim), cos, sin)
        k = apply_rope((x @ weights.wk.T).reshape(n_tokens, -1, head_dim), cos, sin)
        v = (x @ weights.wv.T).reshape(n_tokens, -1, head_dim)
        keys, values = cache.append(layer, k, v)  # (n_kv_heads, n_keys, head_dim)
        q = q.swapaxes(0, 1).reshape(n_kv_heads, -1, n_tokens, head_dim)
        mixed, attention = scaled_dot_product_attention(q, keys[:, None], values[:, None], mask)
        heads_side_by_side = mixed.transpose(2, 0, 1, 3).reshape(n_tokens, -1)
        heads_side_by_side = self._as_met(heads_side_by_side, weights.type_names["wo"])
        return heads_side_by_side @ weights.wo.T, attention

    def _as_met(self, x: np.ndarray, weight_type: str) -> np.ndarray:
        """Return `x` as a matrix of this format meets it in llama.cpp."""
        return round_activations(x, weight_type) if self.rounds_activations else x

    def _checked(self, ids: Sequence[int]) -> np.ndarray:
        """Return ids as an array, or raise InvalidTokensError."""
        array = np.asarray(ids)
        if array.ndim != 1 or array.size == 0:
            raise InvalidTokensError(
                f"ids have the shape {array.shape}; a list of at least one id is needed, such as "
                "tokenizer.encode(text) returns."
            )
        if array.dtype.kind not in "iu":
            raise InvalidTokensError(f"ids must be whole numbers, and {ids[0]!r} is none.")
        bad = array[(array < 0) | (array >= self.config.vocab_size)]
        if bad.size:
            raise InvalidTokensError(
                f"{bad[0]} is no token: the vocabulary has the ids 0 to "
                f"{self.config.vocab_size - 1}. Was another tokenizer used?"
            )
        return array

    def _read_block(self, layer: int) -> BlockWeights:
        names = {part: f"blk.{layer}.{name}.weight" for part, name in BLOCK_TENSORS.items()}
        return BlockWeights(
            **{part: self._file.tensor(name) for part, name in names.items()},
            type_names={part: self._file.type_name(name) for part, name in names.items()},
        )


def _require_tensors(file: LlamaFile) -> None:
    """Check every tensor before the first is used, so that nothing fails half way."""
    for name, shape in tensor_shapes(file.config, tied="output.weight" not in file).items():
        file.require(name, shape)
    if "rope_freqs.weight" in file:
        file.require("rope_freqs.weight", (file.config.head_dim // 2,))
    file.require_no_others()
