"""Write a trained tiny-mistral as a GGUF file with the `gguf` package."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import gguf
import numpy as np
import torch

from course_lib.chat_template import JINJA_TEMPLATE
from course_lib.config import ModelConfig
from course_lib.llama_file import write_sizes
from course_lib.vocabulary import Vocabulary, write_vocabulary

BLOCK_TENSORS = {
    "attention_norm": "attn_norm",
    "attention.wq": "attn_q",
    "attention.wk": "attn_k",
    "attention.wv": "attn_v",
    "attention.wo": "attn_output",
    "ffn_norm": "ffn_norm",
    "feed_forward.w_gate": "ffn_gate",
    "feed_forward.w_up": "ffn_up",
    "feed_forward.w_down": "ffn_down",
}
TOP_TENSORS = {"embedding": "token_embd", "norm": "output_norm", "output": "output"}


def gguf_name(torch_name: str) -> str:
    """Translate a parameter's name.

    Examples
    --------
    >>> gguf_name("blocks.3.attention.wq.weight")
    'blk.3.attn_q.weight'
    """
    path = torch_name.removesuffix(".weight")
    if not path.startswith("blocks."):
        return f"{TOP_TENSORS[path]}.weight"
    _, layer, part = path.split(".", maxsplit=2)
    return f"blk.{layer}.{BLOCK_TENSORS[part]}.weight"


def read_state(path: Path, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Read the weights that `write_gguf` wrote, under the names of their parameters."""
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    return {name: torch.from_numpy(tensors[gguf_name(name)].astype(np.float32)) for name in names}


def write_gguf(
    path: Path,
    state: dict[str, torch.Tensor],
    config: ModelConfig,
    vocabulary: Vocabulary,
    dtype: type = np.float16,
) -> None:
    """Write weights, sizes, vocabulary and chat template to `path`; norms stay float32."""
    writer = gguf.GGUFWriter(path, "llama")
    write_description(writer)
    write_sizes(writer, config)
    write_vocabulary(writer, vocabulary, chat_template=JINJA_TEMPLATE)
    for name, tensor in state.items():
        data = tensor.detach().float().numpy()
        writer.add_tensor(gguf_name(name), data.astype(np.float32 if data.ndim == 1 else dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_description(writer: gguf.GGUFWriter) -> None:
    """Write who and what the model is."""
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("tiny-mistral")
    writer.add_description(
        "A very small bilingual Mistral (Korean, English) that teaches how language models work. "
        "It knows capitals, sums, three stories and the words of its course, and nothing else."
    )
    writer.add_license("apache-2.0")
    writer.add_languages(["ko", "en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
