"""The NumPy model at the size of a 15-million-weight storyteller, with random weights.

Three comparisons on the same weights: decoding against nothing but its matrix–vector products,
and decoding and prefill against the Llama that one writes on a first afternoon, whose angles and
masks are float64 and turn everything that they touch into float64.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np

from course_lib.config import ModelConfig
from course_lib.kv_cache import KVCache
from course_lib.random_model import write_random_model
from course_lib.transformer import Transformer
from tools.bench import Result, timed

SHAPE = ModelConfig(
    dim=288,
    n_layers=6,
    n_heads=6,
    n_kv_heads=6,
    head_dim=48,
    hidden_dim=768,
    vocab_size=32_000,
    norm_eps=1e-5,
    rope_theta=10_000.0,
    sliding_window=None,
    max_seq_len=256,
)
N_PREFILL = 64
N_DECODE = 64
REPEATS = 3


class FirstAfternoonLlama:
    """A plain NumPy Llama with a cache; angles, mask and norm are left at float64."""

    def __init__(self, model: Transformer) -> None:
        self.model = model
        self.config = model.config
        half = np.arange(0, self.config.head_dim, 2) / self.config.head_dim
        self.frequencies = 1.0 / self.config.rope_theta**half
        self.cache: list[list[np.ndarray]] = [[] for _ in range(self.config.n_layers)]

    def norm(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """RMSNorm."""
        return weight * (x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-5))

    def rope(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Rotate (n_tokens, n_heads, head_dim) by complex multiplication."""
        turns = np.exp(1j * np.outer(positions, self.frequencies))[:, None, :]
        pairs = x.reshape(*x.shape[:-1], -1, 2)
        turned = (pairs[..., 0] + 1j * pairs[..., 1]) * turns
        return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)

    def attend(self, layer: int, x: np.ndarray, start: int) -> np.ndarray:
        """Attention with a cache that grows by concatenation."""
        weights, c = self.model.block_weights(layer), self.config
        positions = start + np.arange(len(x))
        q = self.rope((x @ weights.wq.T).reshape(len(x), c.n_heads, c.head_dim), positions)
        k = self.rope((x @ weights.wk.T).reshape(len(x), c.n_heads, c.head_dim), positions)
        v = (x @ weights.wv.T).reshape(len(x), c.n_heads, c.head_dim)
        if self.cache[layer]:
            k = np.concatenate([self.cache[layer][0], k])
            v = np.concatenate([self.cache[layer][1], v])
        self.cache[layer] = [k, v]
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(c.head_dim)
        mask = np.triu(np.full((len(x), len(k)), -np.inf), k=1 + start)
        scores = scores + mask
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores = scores / scores.sum(axis=-1, keepdims=True)
        return np.einsum("hqk,khd->qhd", scores, v).reshape(len(x), -1) @ weights.wo.T

    def forward(self, ids: list[int], start: int) -> np.ndarray:
        """Return the logits of every token."""
        x = self.model.embed(ids)
        for layer in range(self.config.n_layers):
            weights = self.model.block_weights(layer)
            x = x + self.attend(layer, self.norm(x, weights.attention_norm), start)
            normed = self.norm(x, weights.ffn_norm)
            gate = normed @ weights.w_gate.T
            gate = gate / (1 + np.exp(-gate)) * (normed @ weights.w_up.T)
            x = x + gate @ weights.w_down.T
        return self.norm(x, self.model._norm) @ self.model._output.T


def matrices(model: Transformer) -> Iterator[np.ndarray]:
    """Every matrix that a token is multiplied by."""
    for layer in range(model.config.n_layers):
        weights = model.block_weights(layer)
        parts = (getattr(weights, field.name) for field in fields(weights))
        yield from (part for part in parts if getattr(part, "ndim", 0) == 2)
    yield model._output


def decode(model: Transformer, ids: list[int]) -> np.ndarray:
    """Feed `ids` one by one."""
    cache = KVCache(model.config, len(ids))
    return np.concatenate([model.forward([token_id], cache) for token_id in ids])


def decode_first_afternoon(model: Transformer, ids: list[int]) -> np.ndarray:
    """Feed `ids` one by one to the peer."""
    peer = FirstAfternoonLlama(model)
    return np.concatenate([peer.forward([token_id], start) for start, token_id in enumerate(ids)])


def multiply_alone(model: Transformer, n_tokens: int) -> None:
    """Do the matrix–vector products of `n_tokens` decoded tokens, and nothing else."""
    pairs = [(matrix, np.ones((1, matrix.shape[1]), np.float32)) for matrix in matrices(model)]
    for _ in range(n_tokens):
        for matrix, vector in pairs:
            vector @ matrix.T


def run() -> list[Result]:
    """Compare, after checking that both models say the same."""
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        model = Transformer.from_gguf(
            write_random_model(Path(folder) / "random.gguf", SHAPE, "F32", rng=rng)
        )
    ids = rng.integers(3, SHAPE.vocab_size, N_DECODE).tolist()
    alone_s, _ = timed(lambda: multiply_alone(model, N_DECODE), REPEATS)
    ours_s, ours = timed(lambda: decode(model, ids), REPEATS)
    peer_s, theirs = timed(lambda: decode_first_afternoon(model, ids), 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    prefill_s, ours = timed(lambda: model.forward(ids[:N_PREFILL]), REPEATS)
    peer_prefill_s, theirs = timed(
        lambda: FirstAfternoonLlama(model).forward(ids[:N_PREFILL], 0), REPEATS
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    speed = f"{N_DECODE / ours_s:.0f} tokens/s"
    return [
        Result("decode / its products alone", alone_s, ours_s, 0.5, speed),
        Result("decode / first-afternoon Llama", peer_s, ours_s, 4.0, speed),
        Result(
            f"prefill of {N_PREFILL} / the same",
            peer_prefill_s,
            prefill_s,
            2.0,
            f"{N_PREFILL / prefill_s:.0f} tokens/s",
        ),
    ]
