"""The model that the repository ships: what it is, what it knows, what was kept from it."""

import hashlib
import json
import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from course_lib import TINY_MODEL_PATH
from course_lib.benchmark import measure_quality
from course_lib.chat_template import JINJA_TEMPLATE, encode_chat
from course_lib.config import TINY_MISTRAL
from course_lib.gguf_file import inspect_gguf
from course_lib.llama_file import read_config
from course_lib.local_llm import LocalLLM
from tools.tiny_mistral import corpus, evaluate
from tools.tiny_mistral.world import LANGUAGES, load_world

MODEL_CARD = Path(evaluate.__file__).with_name("README.md")
# Read, not imported: train.py needs PyTorch.
TRAINING = Path(evaluate.__file__).with_name("train.py").read_text(encoding="utf-8")
TRAINING_SEED = int(re.search(r"^SEED = (\d+)", TRAINING, re.MULTILINE)[1])


@pytest.fixture(scope="module")
def llm():
    with LocalLLM(TINY_MODEL_PATH) as llm:
        yield llm


@pytest.fixture(scope="module")
def training_texts():
    """The words of the first 3,000 texts of the training corpus."""
    return list(map(corpus.example_text, islice(corpus.draw_corpus(TRAINING_SEED), 3000)))


# --- what it knows -----------------------------------------------------------------------

BARS = {"capitals": 0.98, "sums": 0.90, "glossary": 1.0}
BARS |= {f"recall_{n}": 0.95 for n in (1, 2, 3)}


@pytest.fixture(scope="module", params=LANGUAGES)
def scores(request, llm):
    return measure_quality(llm, [x for x in evaluate.all_cases() if x.language == request.param])


@pytest.mark.slow
@pytest.mark.parametrize("category", BARS)
def test_questions_never_trained_are_answered(scores, category):
    answers = [
        f"{case.messages[-1]['content']} → {answer}"
        for case, answer in scores.wrong
        if case.category == category
    ]
    n_right, n_cases = scores.by_category[category]
    assert n_right / n_cases >= BARS[category], answers


def test_every_category_is_asked_in_both_languages_often_enough():
    cases = evaluate.all_cases()
    counts = {(c.category, c.language): 0 for c in cases}
    for case in cases:
        counts[case.category, case.language] += 1
    assert set(counts) == {(category, language) for category in BARS for language in LANGUAGES}
    assert min(counts.values()) >= 20
    assert counts["capitals", "ko"] == counts["capitals", "en"] >= 2 * 60


def test_story_branches_have_the_probabilities_they_were_drawn_with(llm):
    off = [
        (name, true, np.round(found, 3).tolist())
        for name, true, found in evaluate.story_branches(llm)
        if np.abs(np.subtract(true, found)).max() > 0.05
    ]
    assert off == []


def test_the_first_lesson_s_completion_is_right(llm):
    assert llm.generate("한국의 수도는").startswith(" 서울")
    assert llm.generate("The capital of Korea is").startswith(" Seoul")


# --- what was kept from it ---------------------------------------------------------------


def test_held_out_questions_for_capitals_never_occur_in_training(training_texts):
    trained = {line.lower().rstrip("?.!") for text in training_texts for line in text.split("\n")}
    asked = {case.messages[0]["content"] for case in evaluate.capital_cases()}
    assert not {question.lower().rstrip("?.!") for question in asked} & trained


def test_every_phrasing_is_trained_with_some_country_and_every_country_in_some_phrasing():
    n_countries = len(load_world()["countries"])
    for language in LANGUAGES:
        n_questions = len(load_world()["capitals"][language]["questions"])
        held_out = [corpus.held_out_questions(language, i) for i in range(n_countries)]
        assert all(len(questions) < n_questions for questions in held_out)
        for question in range(n_questions):
            assert sum(question in questions for questions in held_out) < n_countries / 2


def addends(texts):
    """The pairs that texts add, smaller number first."""
    between = r"\s*(?:\+|plus|더하기|and|과|와)\s*"
    pattern = re.compile(rf"(?<!\d)(\d+){between}(\d+)(?!\d)")
    return {tuple(sorted(map(int, m))) for text in texts for m in pattern.findall(text)}


def test_held_out_sums_never_occur_in_training(training_texts):
    found = addends(training_texts)
    assert len(found) > 150
    assert not found & corpus.held_out_sums()


@pytest.mark.parametrize("draw", [corpus.draw_refinement, corpus.draw_settling])
def test_later_trainings_keep_out_what_is_asked_in_the_evaluation(draw):
    texts = list(map(corpus.example_text, islice(draw(TRAINING_SEED), 3000)))
    assert not addends(texts) & set(corpus.inferred_sums())
    trained = {line.lower().rstrip("?.!") for text in texts for line in text.split("\n")}
    asked = {case.messages[0]["content"].lower().rstrip("?.!") for case in evaluate.capital_cases()}
    assert not asked & trained


def test_the_names_that_must_be_recalled_never_occur_in_training(training_texts):
    answer = re.compile(r"Your name is (\w+)\.|당신의 이름은 (\w+)입니다")
    trained = {"".join(names) for text in training_texts for names in answer.findall(text)}
    asked = {"".join(answer.search(c.keywords[0]).groups("")) for c in evaluate.recall_cases()}
    assert len(trained) > 500
    assert asked & trained == set()


def test_other_turns_stand_between_a_name_and_the_question_for_it():
    for case in evaluate.recall_cases():
        n_between = int(case.category.removeprefix("recall_"))
        roles = [message["role"] for message in case.messages]
        assert roles == ["user", "assistant"] * (n_between + 1) + ["user"]


def test_the_corpus_is_the_same_every_time(training_texts):
    again = map(corpus.example_text, islice(corpus.draw_corpus(TRAINING_SEED), 300))
    assert list(again) == training_texts[:300]


def test_the_capitals_of_60_countries_or_more_are_in_the_world():
    countries = load_world()["countries"]
    assert len({country for country, *_ in countries}) == len(countries) >= 60
    assert len({korean for _, korean, *_ in countries}) == len(countries)


def test_the_branches_of_a_story_are_unequal_and_their_probabilities_add_up_to_1():
    for story in load_world()["stories"]:
        for branch in story["branches"]:
            probabilities = branch["probabilities"]
            assert sum(probabilities) == pytest.approx(1)
            assert len(set(probabilities)) == len(probabilities)
            assert all(len(branch[language]) == len(probabilities) for language in LANGUAGES)


def test_the_options_of_a_branch_differ_in_their_first_token(tiny_tokenizer):
    for story in load_world()["stories"]:
        for language in LANGUAGES:
            text = story[language][1]
            for branch, following in zip(story["branches"], story[language][2:], strict=True):
                before = tiny_tokenizer.encode(text)
                with_option = [tiny_tokenizer.encode(text + o) for o in branch[language]]
                assert all(ids[: len(before)] == before for ids in with_option)
                assert len({ids[len(before)] for ids in with_option}) == len(with_option)
                text += branch[language][0] + following


# --- the files ---------------------------------------------------------------------------


def test_the_file_is_small_and_has_4_to_6_million_weights():
    assert TINY_MODEL_PATH.stat().st_size <= 12_000_000
    assert 4_000_000 <= inspect_gguf(TINY_MODEL_PATH).n_params <= 6_000_000


def test_the_sizes_in_the_file_are_those_of_the_configuration():
    info = inspect_gguf(TINY_MODEL_PATH)
    assert read_config(TINY_MODEL_PATH) == TINY_MISTRAL
    assert info.n_params == TINY_MISTRAL.n_params
    assert TINY_MISTRAL.dim % 256 == TINY_MISTRAL.hidden_dim % 256 == 0  # K-quants need that


def test_matrices_are_f16_and_norms_f32():
    for tensor in inspect_gguf(TINY_MODEL_PATH).tensors:
        assert tensor.type_name == ("F32" if len(tensor.shape) == 1 else "F16")


def test_the_model_card_has_the_hash_of_the_file():
    digest = hashlib.sha256(TINY_MODEL_PATH.read_bytes()).hexdigest()
    assert f"`SHA-256: {digest}`" in MODEL_CARD.read_text(encoding="utf-8")


def test_the_stored_quality_cases_are_those_of_the_evaluation():
    lines = evaluate.CASES_PATH.read_text(encoding="utf-8").splitlines()
    assert list(map(json.loads, lines)) == [evaluate.as_json(case) for case in evaluate.all_cases()]


CHATS = [
    [("user", "한국의 수도는 어디인가요?")],
    [("system", "한 문장으로 답하세요."), ("user", "What is 3 + 4?")],
    [("user", "저는 미나입니다."), ("assistant", "반가워요, 미나 님."), ("user", " 2 + 2는?\n")],
    [
        ("system", "Be kind and short."),
        ("user", "한국"),
        ("assistant", "서울"),
        ("user", "Who am I? 👩‍👩‍👧"),
    ],
]


@pytest.mark.parametrize("turns", CHATS)
def test_the_embedded_template_gives_llama_cpp_the_ids_of_encode_chat(
    turns, tiny_tokenizer, llama_cpp_tokenizer
):
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    messages = [{"role": role, "content": content} for role, content in turns]
    template = inspect_gguf(TINY_MODEL_PATH).metadata["tokenizer.chat_template"]
    assert template == JINJA_TEMPLATE
    render = Jinja2ChatFormatter(template, eos_token="</s>", bos_token="<s>")
    text = render(messages=messages).prompt
    reference = llama_cpp_tokenizer(TINY_MODEL_PATH)(text, parse_control=True)
    assert encode_chat(tiny_tokenizer, messages) == reference
