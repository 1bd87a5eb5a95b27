"""Make tiny-mistral from nothing: world → tokenizer → training → GGUF → evaluation."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from course_lib import TINY_MODEL_PATH
from course_lib.config import TINY_MISTRAL
from course_lib.tokenizer import Tokenizer
from tools.tiny_mistral import evaluate
from tools.tiny_mistral.export import read_state, write_gguf
from tools.tiny_mistral.hugging_face import write_checkpoint
from tools.tiny_mistral.train import PHASES, SEED, TorchMistral, train
from tools.tiny_mistral.vocabulary import train_vocabulary


def main() -> None:
    """Make the model file and print how well it does."""
    parser = argparse.ArgumentParser(prog="python -m tools.tiny_mistral", description=__doc__)
    parser.add_argument(
        "--start",
        choices=PHASES,
        default="learn",
        help="phase to start with; a later one goes on from the present file (default: learn)",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FOLDER",
        help="train nothing: write the present model as a Hugging Face checkpoint",
    )
    options = parser.parse_args()
    if options.checkpoint:
        print(write_checkpoint(options.checkpoint))
        return
    start = list(PHASES).index(options.start)

    vocabulary = train_vocabulary()
    torch.manual_seed(SEED)
    model = TorchMistral(TINY_MISTRAL)
    TINY_MODEL_PATH.parent.mkdir(exist_ok=True)
    for name in list(PHASES)[start:]:
        if name != "learn":
            model.load_state_dict(read_state(TINY_MODEL_PATH, model.state_dict()))
        print(f"phase {name}", flush=True)
        train(model, Tokenizer(vocabulary), PHASES[name])
        write_gguf(TINY_MODEL_PATH, model.state_dict(), TINY_MISTRAL, vocabulary)
    evaluate.write_cases()
    evaluate.main()


if __name__ == "__main__":
    main()
