"""The sizes that fix a Mistral-style model, and four models written down with them.

The field names are those of Mistral's own ``params.json``. Everything else about a model
(its parameter count, its memory, its file size) follows from these eleven numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import inf
from numbers import Integral, Real


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of one decoder-only transformer with grouped-query attention and SwiGLU.

    Parameters
    ----------
    dim : int
        Width of a token vector.
    n_layers : int
        Number of transformer blocks.
    n_heads : int
        Query heads of a block; a multiple of `n_kv_heads`.
    n_kv_heads : int
        Key and value heads of a block.
    head_dim : int
        Width of one head; even, because RoPE rotates pairs.
    hidden_dim : int
        Width inside the feed-forward layer.
    vocab_size : int
        Number of tokens.
    norm_eps : float
        Added under the square root of RMSNorm.
    rope_theta : float
        Base of the RoPE frequencies.
    sliding_window : int or None
        How many positions back a token may look; None for all of them.
    max_seq_len : int
        Tokens that the model was made for.

    Raises
    ------
    ValueError
        When a size cannot belong to a model; the message names the field and its value.

    References
    ----------
    Jiang et al. 2023, arXiv:2310.06825, table 1.

    Examples
    --------
    >>> MISTRAL_7B_V01.n_heads // MISTRAL_7B_V01.n_kv_heads
    4
    """

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    hidden_dim: int
    vocab_size: int
    norm_eps: float
    rope_theta: float
    sliding_window: int | None
    max_seq_len: int

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_positive(field.name, getattr(self, field.name))
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_heads={self.n_heads} is not a multiple of n_kv_heads={self.n_kv_heads}. "
                "Every key-value head serves the same number of query heads."
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim={self.head_dim} is odd. RoPE rotates pairs: make it even.")

    @property
    def n_params(self) -> int:
        """Number of weights, with an output layer of its own (not tied to the embedding).

        Examples
        --------
        >>> f"{MISTRAL_7B_V01.n_params:,}"
        '7,241,732,096'
        """
        embedding_and_output = 2 * self.vocab_size * self.dim
        query_and_attention_output = 2 * self.dim * self.n_heads * self.head_dim
        key_and_value = 2 * self.dim * self.n_kv_heads * self.head_dim
        feed_forward = 3 * self.dim * self.hidden_dim
        norms = 2 * self.dim
        block = query_and_attention_output + key_and_value + feed_forward + norms
        final_norm = self.dim
        return embedding_and_output + self.n_layers * block + final_norm


def _check_positive(name: str, value: object) -> None:
    """Raise ValueError unless `value` is a positive, finite number of the field's kind."""
    if name == "sliding_window" and value is None:
        return
    fractional = name in ("norm_eps", "rope_theta")
    kind = Real if fractional else Integral
    if not isinstance(value, kind) or isinstance(value, bool) or not 0 < value < inf:
        wanted = "number" if fractional else "whole number"
        raise ValueError(f"{name}={value!r} is not a positive {wanted}.")


MISTRAL_7B_V01 = ModelConfig(
    dim=4096,
    n_layers=32,
    n_heads=32,
    n_kv_heads=8,
    head_dim=128,
    hidden_dim=14336,
    vocab_size=32000,
    norm_eps=1e-5,
    rope_theta=10_000.0,
    sliding_window=4096,
    max_seq_len=32768,
)
"""Mistral 7B v0.1, September 2023: the only version with a sliding window."""

MISTRAL_7B_V02 = replace(MISTRAL_7B_V01, rope_theta=1_000_000.0, sliding_window=None)
"""Mistral 7B v0.2: attention over the whole context, RoPE turned more slowly."""

MISTRAL_7B_V03 = replace(MISTRAL_7B_V02, vocab_size=32768)
"""Mistral 7B v0.3: as v0.2, with room for control tokens such as ``[INST]``."""

TINY_MISTRAL = ModelConfig(
    dim=256,
    n_layers=5,
    n_heads=8,
    n_kv_heads=2,
    head_dim=32,
    hidden_dim=768,
    vocab_size=2048,
    norm_eps=1e-5,
    rope_theta=10_000.0,
    sliding_window=None,
    max_seq_len=512,
)
"""The model in this repository, ``course_lib/data/tiny-mistral-f16.gguf``."""
