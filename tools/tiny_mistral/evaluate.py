"""Measure tiny-mistral through llama.cpp: does it know its small world?

``python -m tools.tiny_mistral.evaluate`` prints the figures of the model card.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np

from course_lib import TINY_MODEL_PATH
from course_lib.benchmark import QualityCase, measure_quality
from course_lib.local_llm import LocalLLM
from course_lib.sampling import softmax
from course_lib.tokenizer import Tokenizer
from tools.tiny_mistral import corpus
from tools.tiny_mistral.world import LANGUAGES, load_world

CASES_PATH = TINY_MODEL_PATH.with_name("quality_cases.jsonl")
SEED = 7  # of the names and of the turns between; training draws with another
N_RECALLS = 40  # for each language and each number of turns between
LEAST_LETTERS = {"en": 7, "ko": 3}


def capital_cases() -> Iterator[QualityCase]:
    """Ask for every capital in the phrasings that training never used for it."""
    for language, index in product(LANGUAGES, range(len(load_world()["countries"]))):
        capital = corpus.country_words(index, language)["capital"]
        for question_index in sorted(corpus.held_out_questions(language, index)):
            question, _ = corpus.capital_question(index, question_index, language)
            yield QualityCase("capitals", language, [corpus.ask(question)], [capital])


def sum_cases() -> Iterator[QualityCase]:
    """Ask for every sum that training never showed, in both orders."""
    rng = np.random.default_rng(SEED)
    for language, (a, b) in product(LANGUAGES, corpus.inferred_sums()):
        question, _ = corpus.sum_exchange(rng, language, (a, b))
        # the full stop in English keeps 1 from passing for 12
        expected = f"{a} + {b} = {a + b}{ENDINGS[language]}"
        yield QualityCase("sums", language, [corpus.ask(question)], [expected])


ENDINGS = {"en": ".", "ko": "입니다"}


def recall_cases() -> Iterator[QualityCase]:
    """Give a name that training never used, talk of other things, ask for the name."""
    rng = np.random.default_rng(SEED)
    for n_between, language in product((1, 2, 3), LANGUAGES):
        answer = {"en": "Your name is {}.", "ko": "당신의 이름은 {}입니다."}[language]
        n_asked = 0
        while n_asked < N_RECALLS:
            messages, name = corpus.recall_case(rng, language, n_between)
            if len(name) < LEAST_LETTERS[language]:  # training may have drawn a short name, too
                continue
            yield QualityCase(f"recall_{n_between}", language, messages, [answer.format(name)])
            n_asked += 1


def glossary_cases() -> Iterator[QualityCase]:
    """Ask for every term of the course."""
    for language, entry in product(LANGUAGES, load_world()["glossary"]["entries"]):
        question, _ = corpus.glossary_question(entry, 0, language)
        term = entry["en" if language == "en" else "ko"][0].removeprefix("a ").removeprefix("an ")
        keywords = [term[1:], entry[language][2]]
        yield QualityCase("glossary", language, [corpus.ask(question)], keywords)


def all_cases() -> list[QualityCase]:
    """Return every evaluation question, always the same ones."""
    return [*capital_cases(), *sum_cases(), *recall_cases(), *glossary_cases()]


def write_cases(path: Path = CASES_PATH) -> None:
    """Write the questions one JSON object a line."""
    lines = [json.dumps(as_json(case), ensure_ascii=False) for case in all_cases()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_json(case: QualityCase) -> dict[str, object]:
    """Return the fields of a question that say something."""
    return {name: value for name, value in asdict(case).items() if value is not None}


def branch_probabilities(
    llm: LocalLLM, tokenizer: Tokenizer, prefix: str, options: list[str]
) -> list[float]:
    """Return the probability that the model gives each option after `prefix`.

    That of its first token: the options of a branch differ there.
    """
    prefix_ids = tokenizer.encode(prefix)
    probabilities = softmax(llm.next_logits(prefix_ids).astype(np.float64))
    first_ids = [tokenizer.encode(prefix + option)[len(prefix_ids)] for option in options]
    return [float(probabilities[i]) for i in first_ids]


def story_branches(llm: LocalLLM) -> list[tuple[str, list[float], list[float]]]:
    """Return (story and branch, true probabilities, the model's), along every path of a story."""
    tokenizer = Tokenizer.from_gguf(llm.path)
    rows = []
    for story, language in product(load_world()["stories"], LANGUAGES):
        paths = [story[language][1]]
        for number, branch in enumerate(story["branches"]):
            following = story[language][number + 2]
            options = [option + following for option in branch[language]]
            for prefix in paths:
                found = branch_probabilities(llm, tokenizer, prefix, options)
                name = f"{story['key']} {language} {number + 1}"
                rows.append((name, branch["probabilities"], found))
            paths = [path + option for path in paths for option in options]
    return rows


def main() -> None:
    """Print every figure of the model card, and the wrong answers."""
    with LocalLLM(TINY_MODEL_PATH) as llm:
        scores = {
            language: measure_quality(llm, [x for x in all_cases() if x.language == language])
            for language in LANGUAGES
        }
        branches = story_branches(llm)
    for language, found in scores.items():
        for category, (n_right, n_cases) in found.by_category.items():
            print(f"{category:10} {language} {n_right / n_cases:6.1%}")
        for case, text in found.wrong:
            print(f"  wrong: {case.messages[-1]['content']} → {text} (wanted {case.keywords})")
    errors = [np.abs(np.subtract(true, found)).max() for _, true, found in branches]
    print(f"story branches: {len(branches)}, largest error {max(errors):.3f}")
    for (name, true, found), error in zip(branches, errors, strict=True):
        if error > 0.05:
            print(f"  off: {name} {true} {np.round(found, 3).tolist()}")


if __name__ == "__main__":
    main()
