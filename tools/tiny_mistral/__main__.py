"""Make tiny-mistral from nothing: world → tokenizer → training → GGUF → evaluation."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import course_lib
from course_lib.config import TINY_MISTRAL
from course_lib.tokenizer import Tokenizer, Vocabulary, train_bpe
from tools.tiny_mistral.corpus import draw_corpus, example_text

MODEL_PATH = Path(course_lib.__file__).parent / "data" / "tiny-mistral-f16.gguf"
N_TOKENIZER_TEXTS = 20_000
TOKENIZER_SEED = 1


def train_tokenizer() -> Vocabulary:
    """Learn the vocabulary from the first texts of the corpus."""
    texts = map(example_text, islice(draw_corpus(TOKENIZER_SEED), N_TOKENIZER_TEXTS))
    return train_bpe(texts, TINY_MISTRAL.vocab_size, ["<s>", "</s>", "[INST]", "[/INST]"])


def main() -> None:
    """Make the model file and print how well it does."""
    from tools.tiny_mistral.export import write_gguf
    from tools.tiny_mistral.train import train

    vocabulary = train_tokenizer()
    print(f"tokenizer: {len(vocabulary)} pieces", flush=True)
    model = train(TINY_MISTRAL, Tokenizer(vocabulary))
    MODEL_PATH.parent.mkdir(exist_ok=True)
    write_gguf(MODEL_PATH, model.state_dict(), TINY_MISTRAL, vocabulary)
    print(f"wrote {MODEL_PATH.name}: {MODEL_PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
