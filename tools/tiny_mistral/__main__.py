"""Make tiny-mistral from nothing: world → tokenizer → training → GGUF → evaluation."""

from __future__ import annotations

import argparse
from itertools import islice

from course_lib import TINY_MODEL_PATH
from course_lib.config import TINY_MISTRAL
from course_lib.tokenizer import Tokenizer, Vocabulary, train_bpe
from tools.tiny_mistral.corpus import draw_corpus, example_text

N_TOKENIZER_TEXTS = 20_000
TOKENIZER_SEED = 1


def train_tokenizer() -> Vocabulary:
    """Learn the vocabulary from the first texts of the corpus."""
    texts = map(example_text, islice(draw_corpus(TOKENIZER_SEED), N_TOKENIZER_TEXTS))
    return train_bpe(texts, TINY_MISTRAL.vocab_size, ["<s>", "</s>", "[INST]", "[/INST]"])


def main() -> None:
    """Make the model file and print how well it does."""
    parser = argparse.ArgumentParser(prog="python -m tools.tiny_mistral", description=__doc__)
    parser.add_argument(
        "--refine-only", action="store_true", help="only the second training, from the present file"
    )
    options = parser.parse_args()

    import torch

    from tools.tiny_mistral import evaluate
    from tools.tiny_mistral.export import read_state, write_gguf
    from tools.tiny_mistral.train import LEARN, REFINE, SEED, TorchMistral, train

    vocabulary = train_tokenizer()
    tokenizer = Tokenizer(vocabulary)
    torch.manual_seed(SEED)
    model = TorchMistral(TINY_MISTRAL)
    TINY_MODEL_PATH.parent.mkdir(exist_ok=True)
    if not options.refine_only:
        train(model, tokenizer, LEARN)
        write_gguf(TINY_MODEL_PATH, model.state_dict(), TINY_MISTRAL, vocabulary)
    model.load_state_dict(read_state(TINY_MODEL_PATH, model.state_dict()))
    train(model, tokenizer, REFINE)
    write_gguf(TINY_MODEL_PATH, model.state_dict(), TINY_MISTRAL, vocabulary)
    evaluate.write_cases()
    evaluate.main()


if __name__ == "__main__":
    main()
