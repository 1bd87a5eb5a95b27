"""Which tensors a model of the ``llama`` architecture has, and how a level stores each."""

from __future__ import annotations

from math import prod

from course_lib.config import ModelConfig
from course_lib.quantization_blocks import BLOCKS, N_WEIGHTS, QuantizationError

# The last two formats are known to llama.cpp alone
BLOCK_SIZES = {name: (N_WEIGHTS[name], block.itemsize) for name, block in BLOCKS.items()}
BLOCK_SIZES |= {"Q2_K": (256, 84), "Q3_K": (256, 110)}
"""Weights and bytes of a block of each format."""

ALIGNMENT = 32
"""Tensors begin at multiples of this, if the file does not say otherwise."""

# Where the rows of a matrix cannot be cut into blocks of 256
_FALLBACKS = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
LEVELS = (
    *("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M"),
    *("Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"),
)
"""The levels that llama.cpp's quantizer offers, but for those that need sample data."""


def tensor_shapes(config: ModelConfig, tied: bool = False) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in a file of the ``llama`` architecture, by its name."""
    query_dim, kv_dim = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    block = {
        "attn_norm": (config.dim,),
        "attn_q": (query_dim, config.dim),
        "attn_k": (kv_dim, config.dim),
        "attn_v": (kv_dim, config.dim),
        "attn_output": (config.dim, query_dim),
        "ffn_norm": (config.dim,),
        "ffn_gate": (config.hidden_dim, config.dim),
        "ffn_up": (config.hidden_dim, config.dim),
        "ffn_down": (config.dim, config.hidden_dim),
    }
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (config.vocab_size, config.dim)}
    for layer in range(config.n_layers):
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    shapes["output_norm.weight"] = (config.dim,)
    if not tied:
        shapes["output.weight"] = (config.vocab_size, config.dim)
    return shapes


def tensor_types(config: ModelConfig, level: str, tied: bool = False) -> dict[str, str]:
    """Return the format in which llama.cpp's quantizer stores each tensor at a level.

    Examples
    --------
    >>> from course_lib.config import MISTRAL_7B_V03
    >>> types = tensor_types(MISTRAL_7B_V03, "Q4_K_M")
    >>> types["blk.0.ffn_down.weight"], types["blk.0.ffn_up.weight"], types["output.weight"]
    ('Q6_K', 'Q4_K', 'Q6_K')
    """
    if level not in LEVELS:
        raise QuantizationError(f"no level {level!r}. Choose one of: {', '.join(LEVELS)}.")
    return {
        name: "F32" if len(shape) == 1 else _matrix_type(config, level, name, shape[-1], tied)
        for name, shape in tensor_shapes(config, tied).items()
    }


def _matrix_type(config: ModelConfig, level: str, name: str, n_cols: int, tied: bool) -> str:
    base = level[:4] if "_K" in level else level
    if base in ("F32", "F16", "BF16"):
        return base
    if name == "output.weight" or (tied and name == "token_embd.weight"):
        chosen = "Q8_0" if base == "Q8_0" or n_cols % BLOCK_SIZES[base][0] else "Q6_K"
    elif name == "token_embd.weight":
        chosen = base
    else:
        _, layer, part, _ = name.split(".")
        chosen = _block_type(config, level, base, int(layer), part)
    return _fitting(chosen, n_cols)


def _block_type(config: ModelConfig, level: str, base: str, layer: int, part: str) -> str:
    """Give the parts that suffer most, values and the way down, more bits where a level says so."""
    n_layers, n_rep = config.n_layers, config.n_heads // config.n_kv_heads
    more = _gets_more_bits(layer, n_layers)
    if part == "attn_v":
        rules = {
            "Q2_K": "Q4_K" if n_rep >= 4 else "Q3_K",
            "Q3_K_M": "Q5_K" if layer < 2 else "Q4_K",
            "Q3_K_L": "Q5_K",
            "Q4_K_S": "Q5_K" if layer < 4 else base,
            "Q4_K_M": "Q6_K" if more else base,
            "Q5_K_M": "Q6_K" if more else base,
        }
        chosen = rules.get(level, base)
        is_70b = n_layers == 80 and n_rep > 1
        return "Q5_K" if is_70b and chosen in ("Q3_K", "Q4_K") else chosen
    if part == "ffn_down":
        rules = {
            "Q2_K": "Q3_K",
            "Q3_K_M": "Q5_K" if layer < n_layers // 16 else "Q4_K",
            "Q3_K_L": "Q5_K",
            "Q4_K_S": "Q5_K" if layer < n_layers // 8 else base,
            "Q4_K_M": "Q6_K" if more else base,
            "Q5_K_M": "Q6_K" if more else base,
        }
        return rules.get(level, base)
    if part == "attn_output":
        return {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K"}.get(level, base)
    return base


def _gets_more_bits(layer: int, n_layers: int) -> bool:
    """Choose the first and last eighth of the layers, and every third between."""
    eighth = n_layers // 8
    return layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2


def _fitting(type_name: str, n_cols: int) -> str:
    """Return the type, or the next one whose blocks divide a row."""
    if n_cols % BLOCK_SIZES[type_name][0] == 0:
        return type_name
    fallback = _FALLBACKS.get(type_name, type_name)
    return fallback if n_cols % BLOCK_SIZES[fallback][0] == 0 else "F16"


def tensor_bytes(shape: tuple[int, ...], type_name: str) -> int:
    """Return the bytes of a tensor without padding.

    Examples
    --------
    >>> tensor_bytes((2, 64), "Q8_0")
    136
    """
    n_weights, n_bytes = BLOCK_SIZES[type_name]
    return prod(shape) // n_weights * n_bytes
