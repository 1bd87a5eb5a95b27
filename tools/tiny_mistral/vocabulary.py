"""Train tiny-mistral's tokenizer; needs no PyTorch."""

from __future__ import annotations

from itertools import islice

from course_lib.config import TINY_MISTRAL
from course_lib.tokenizer import Vocabulary, train_bpe
from tools.tiny_mistral.corpus import draw_corpus, example_text

N_TEXTS = 20_000
SEED = 1
CONTROL_TOKENS = ("<s>", "</s>", "[INST]", "[/INST]")


def train_vocabulary() -> Vocabulary:
    """Learn the vocabulary from the first texts of the corpus."""
    texts = map(example_text, islice(draw_corpus(SEED), N_TEXTS))
    return train_bpe(texts, TINY_MISTRAL.vocab_size, CONTROL_TOKENS)
