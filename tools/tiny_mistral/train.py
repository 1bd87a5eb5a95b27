"""Train tiny-mistral with PyTorch on a CPU: a Mistral of a few million parameters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.chat_template import encode_chat
from course_lib.config import ModelConfig
from course_lib.tokenizer import Tokenizer
from tools.tiny_mistral.corpus import Example, draw_corpus, draw_refinement, draw_settling

SEED = 20231010
ROW_TOKENS = 512  # rows of this length hold several whole texts
ROWS_PER_STEP = 8
PEAK_MATRIX_RATE = 0.02  # Muon
PEAK_VECTOR_RATE = 4e-3  # AdamW: embeddings, output and norms
WARMUP_SHARE = 0.05


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        query_dim = config.n_heads * config.head_dim
        kv_dim = config.n_kv_heads * config.head_dim
        self.wq = nn.Linear(config.dim, query_dim, bias=False)
        self.wk = nn.Linear(config.dim, kv_dim, bias=False)
        self.wv = nn.Linear(config.dim, kv_dim, bias=False)
        self.wo = nn.Linear(query_dim, config.dim, bias=False)

    def forward(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Map (n_rows, n_tokens, dim) to the same shape; without a mask, all before is seen."""
        shape = (*x.shape[:2], -1, self.config.head_dim)
        q = rotate(self.wq(x).view(shape), cos, sin).transpose(1, 2)
        k = rotate(self.wk(x).view(shape), cos, sin).transpose(1, 2)
        v = self.wv(x).view(shape).transpose(1, 2)
        n_rep = self.config.n_heads // self.config.n_kv_heads
        k, v = k.repeat_interleave(n_rep, 1), v.repeat_interleave(n_rep, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
        return self.wo(mixed.transpose(1, 2).flatten(2))


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn neighbouring pairs of the last axis, as GGUF's llama models store them."""
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2).to(x.dtype)


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.w_gate = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.w_up = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.w_down = nn.Linear(config.hidden_dim, config.dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., dim) to the same shape."""
        return self.w_down(F.silu(self.w_gate(x)) * self.w_up(x))


class Block(nn.Module):
    """Attention and feed-forward, each after a norm and added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.ffn_norm = nn.RMSNorm(config.dim, config.norm_eps)
        self.feed_forward = FeedForward(config)

    def forward(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Map (n_rows, n_tokens, dim) to the same shape."""
        x = x + self.attention(self.attention_norm(x), cos, sin, mask)
        return x + self.feed_forward(self.ffn_norm(x))


class TorchMistral(nn.Module):
    """The architecture of Mistral 7B, of any size."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.dim, config.norm_eps)
        self.output = nn.Linear(config.dim, config.vocab_size, bias=False)
        frequencies = config.rope_theta ** (-torch.arange(0, config.head_dim, 2) / config.head_dim)
        angles = torch.arange(config.max_seq_len)[:, None, None] * frequencies
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)
            if name.endswith(("wo.weight", "w_down.weight")):
                nn.init.zeros_(weight)  # every block starts as the identity

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map ids (n_rows, n_tokens) to logits (n_rows, n_tokens, vocab_size)."""
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return self.output(self.norm(x))


def encode_example(tokenizer: Tokenizer, example: Example) -> tuple[list[int], list[bool]]:
    """Return the ids of an example and which of them the model has to predict.

    Of a conversation only the answers count: what a user says next cannot be learnt.
    """
    if isinstance(example, str):
        ids = [*tokenizer.encode(example), tokenizer.eos_id]
        return ids, [True] * len(ids)
    ids = encode_chat(tokenizer, example)
    begin, end = (tokenizer.control_ids[mark] for mark in ("[INST]", "[/INST]"))
    counted, answering = [], False
    for token_id in ids:
        counted.append(answering)
        answering = (answering or token_id == end) and token_id != begin
    return ids, [c and i != begin for c, i in zip(counted, ids, strict=True)]


def packed_rows(
    tokenizer: Tokenizer, examples: Iterable[Example]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows of whole texts: ids and counted, each (ROW_TOKENS + 1,)."""
    ids: list[int] = []
    counted: list[bool] = []
    for example in examples:
        example_ids, example_counted = encode_example(tokenizer, example)
        if len(example_ids) > ROW_TOKENS:
            continue
        if len(ids) + len(example_ids) > ROW_TOKENS + 1:
            padding = ROW_TOKENS + 1 - len(ids)
            yield (
                np.array(ids + [tokenizer.eos_id] * padding),
                np.array(counted + [False] * padding),
            )
            ids, counted = [], []
        ids += example_ids
        counted += example_counted


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes
    ----------
    draw : callable
        Yields texts without end for a seed.
    n_steps : int
    rate_scale : float
        Share of the peak learning rates that is used.
    apart : bool
        Whether each text of a row sees itself alone, as when the model is used.
    """

    draw: Callable[[int], Iterator[Example]]
    n_steps: int
    rate_scale: float
    apart: bool = False


# Each phase is gentler than the one before: large steps learn, small ones end on the exact
# probabilities of the stories.
PHASES = {
    "learn": Phase(draw_corpus, n_steps=1500, rate_scale=1.0),
    "refine": Phase(draw_refinement, n_steps=720, rate_scale=0.2),
    "settle": Phase(draw_settling, n_steps=600, rate_scale=0.06, apart=True),
}


def apart_mask(ids: torch.Tensor, bos_id: int) -> torch.Tensor:
    """Let each token look back as far as the beginning of its own text.

    Returns
    -------
    torch.Tensor of bool, shape (n_rows, 1, n_tokens, n_tokens)
    """
    text = (ids == bos_id).cumsum(dim=1)
    same_text = text[:, :, None] == text[:, None, :]
    return same_text.tril()[:, None]


def rate_share(progress: float) -> float:
    """Return the share of the peak rate: a short warm-up, then a straight line to 0.

    Examples
    --------
    >>> rate_share(0.05), rate_share(1.0)
    (1.0, 0.0)
    """
    return min(progress / WARMUP_SHARE, (1 - progress) / (1 - WARMUP_SHARE))


def make_optimizers(model: TorchMistral) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the blocks and AdamW for everything else."""
    matrices = [w for w in model.blocks.parameters() if w.ndim == 2]
    known = {id(w) for w in matrices}
    rest = [w for w in model.parameters() if id(w) not in known]
    return [
        torch.optim.Muon(matrices, lr=PEAK_MATRIX_RATE, weight_decay=0.02, momentum=0.95),
        torch.optim.AdamW(rest, lr=PEAK_VECTOR_RATE, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def train(model: TorchMistral, tokenizer: Tokenizer, phase: Phase) -> None:
    """Train `model` through one phase; prints a line of progress every 20 steps."""
    optimizers = make_optimizers(model)
    peaks = [phase.rate_scale * optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    rows = packed_rows(tokenizer, phase.draw(SEED))
    started_s = time.perf_counter()
    for step in range(phase.n_steps):
        batch = [next(rows) for _ in range(ROWS_PER_STEP)]
        ids = torch.from_numpy(np.stack([row for row, _ in batch]))
        counted = torch.from_numpy(np.stack([mask for _, mask in batch]))[:, 1:]
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * rate_share((step + 1) / phase.n_steps)
        logits = model(
            ids[:, :-1], apart_mask(ids[:, :-1], tokenizer.bos_id) if phase.apart else None
        )
        loss = F.cross_entropy(logits[counted], ids[:, 1:][counted])
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}.")
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step % 20 == 0 or step == phase.n_steps - 1:
            elapsed_s = time.perf_counter() - started_s
            left_min = elapsed_s / (step + 1) * (phase.n_steps - step - 1) / 60
            line = f"step {step:4d}/{phase.n_steps}  loss {loss.item():.4f}"
            print(f"{line}  {left_min:.0f} min left", flush=True)
