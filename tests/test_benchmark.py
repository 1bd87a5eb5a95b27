"""Perplexity, divergence and right answers, against llama.cpp's raw logits and by hand."""

import json

import numpy as np
import pytest
from llama_cpp import Llama

from course_lib import TINY_MODEL_PATH, engine_logits
from course_lib.benchmark import (
    QualityCase,
    compare_quantizations,
    kl_divergence,
    load_quality_cases,
    measure_quality,
    perplexity,
)
from course_lib.config import TINY_MISTRAL
from course_lib.convert import quantize_gguf
from course_lib.engine_logits import engine_window_logits
from course_lib.quiet_engine import captured_chatter
from course_lib.random_model import write_random_model

TEXT = "The capital of France is Paris. 한국의 수도는 서울입니다. 12 + 7 = 19."


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    return quantize_gguf(TINY_MODEL_PATH, tmp_path_factory.mktemp("q") / "q4.gguf", "Q4_0")


def raw_log_probabilities(path, text):
    """Ids and ln p of every next token, by llama-cpp-python's own defaults."""
    with captured_chatter():
        llama = Llama(str(path), n_ctx=512, logits_all=True, verbose=False)
        ids = llama.tokenize(text.encode())
        llama.eval(ids)
        logits = np.array(llama.scores[: len(ids) - 1], np.float64)
        llama.close()
    return ids, logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def test_perplexity_is_that_of_raw_logits(small_file):
    ids, log_p = raw_log_probabilities(small_file, TEXT)
    expected = np.exp(-log_p[np.arange(len(ids) - 1), ids[1:]].mean())
    assert perplexity(small_file, TEXT) == pytest.approx(expected, abs=1e-4)


def test_divergence_is_that_of_raw_logits(small_file):
    _, log_p = raw_log_probabilities(TINY_MODEL_PATH, TEXT)
    _, log_q = raw_log_probabilities(small_file, TEXT)
    expected = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1).mean()
    assert expected > 1e-3
    assert kl_divergence(TINY_MODEL_PATH, small_file, TEXT) == pytest.approx(expected, abs=1e-4)


def test_a_model_does_not_diverge_from_itself():
    assert kl_divergence(TINY_MODEL_PATH, TINY_MODEL_PATH, TEXT) == 0


def test_every_token_of_a_long_text_is_predicted_once():
    ids, _ = raw_log_probabilities(TINY_MODEL_PATH, TEXT * 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_logits, "_WINDOW_TOKENS", 100)
        windows = [window for window, _ in engine_window_logits(TINY_MODEL_PATH, TEXT * 10)]
    assert all(window[0] == ids[0] and len(window) <= 100 for window in windows)
    assert [i for window in windows for i in window[1:]] == ids[1:]
    assert len(windows) > 2


def test_several_texts_are_read_apart():
    texts = ["The capital of France is Paris.", "나는 학교에 간다"]
    windows = [window for window, _ in engine_window_logits(TINY_MODEL_PATH, texts)]
    assert windows == [raw_log_probabilities(TINY_MODEL_PATH, text)[0] for text in texts]


def test_a_model_that_knows_nothing_hesitates_between_about_all_tokens(tmp_path):
    path = write_random_model(tmp_path / "r.gguf", TINY_MISTRAL, rng=np.random.default_rng(0))
    assert 1000 < perplexity(path, TEXT) < 8000  # random logits are worse than none: 2,048


@pytest.mark.parametrize("measure", [perplexity, lambda p, t: kl_divergence(p, p, t)])
def test_a_text_without_tokens_is_refused(measure):
    with pytest.raises(ValueError, match="too short"):
        measure(TINY_MODEL_PATH, "")


def test_vocabularies_must_be_the_same(tmp_path):
    path = write_random_model(tmp_path / "r.gguf", TINY_MISTRAL, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="different tokens"):
        kl_divergence(TINY_MODEL_PATH, path, TEXT)


class Parrot:
    """Answers each question with its own last word."""

    def chat(self, messages, **options):
        assert options["temperature"] == 0
        return messages[-1]["content"].split()[-1]


def case(category, question, keywords, **more):
    messages = [{"role": "user", "content": question}]
    return {"category": category, "language": "en", "messages": messages, "keywords": keywords} | {
        **more
    }


def test_right_answers_are_counted_by_category():
    cases = [
        case("a", "say yes", ["yes"]),
        case("a", "say no", ["yes"]),
        case("b", "say yes!", ["yes"]),
        case("b", "say yes!", [], exact="yes"),
        case("b", "say yes", ["y", "s"], exact=" yes "),
    ]
    scores = measure_quality(Parrot(), cases)
    assert scores.by_category == {"a": (1, 2), "b": (2, 3)}
    assert (scores.n_right, scores.n_cases, scores.share) == (3, 5, 0.6)
    assert [answer for _, answer in scores.wrong] == ["no", "yes!"]


def test_no_questions_are_no_measurement():
    with pytest.raises(ValueError, match="no questions"):
        measure_quality(Parrot(), [])


def test_a_line_that_is_no_question_is_named(tmp_path):
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(case("a", "x", ["y"])) + "\n{}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2 of"):
        load_quality_cases(path)


def test_the_courses_own_questions_are_read():
    cases = load_quality_cases()
    assert len(cases) == 700 and isinstance(cases[0], QualityCase)


def test_levels_are_compared_in_one_table(small_file, tmp_path):
    half = quantize_gguf(TINY_MODEL_PATH, tmp_path / "q8.gguf", "Q8_0")
    cases = load_quality_cases()[::70]
    paths = {"F16": TINY_MODEL_PATH, "Q8_0": half, "Q4_0": small_file}
    comparison = compare_quantizations(paths, text=TEXT, cases=cases)
    f16, q8, q4 = comparison.rows
    assert f16.kl_divergence == 0 < q8.kl_divergence < q4.kl_divergence
    assert f16.size_bytes > q8.size_bytes > q4.size_bytes
    assert q8.perplexity == perplexity(half, TEXT)
    assert all(row.decode_tokens_per_s > 0 and 0.5 < row.right <= 1 for row in comparison.rows)
    lines = str(comparison).splitlines()
    assert [line.split()[0] for line in lines] == ["level", "F16", "Q8_0", "Q4_0"]
    assert all(len(values) == 3 for values in comparison.columns().values())


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="nothing to compare"):
        compare_quantizations({})
