"""Speed: tokens that were counted, and times that llama.cpp's own clock confirms."""

from dataclasses import replace

import numpy as np
import pytest
from llama_cpp import llama_cpp

from course_lib.benchmark import measure_speed
from course_lib.config import MISTRAL_7B_V03
from course_lib.local_llm import LocalLLM
from course_lib.random_model import write_random_model
from course_lib.speed_measurement import spread

PROMPT = "A rabbit lived in a deep forest. Every morning the rabbit ate carrots."


@pytest.fixture(scope="module")
def llm():
    with LocalLLM() as llm:
        yield llm


def test_every_token_is_counted(llm):
    report = measure_speed(llm, [PROMPT, "나는"], max_tokens=6, repeats=2)
    lengths = [llm.count_tokens(PROMPT) + 1, llm.count_tokens("나는") + 1]
    assert report.n_prompt_tokens == 2 * sum(lengths)
    assert report.n_runs == 4
    assert report.n_new_tokens == 4 * 6


def test_an_answer_that_ends_early_counts_its_end_token(llm):
    prompt = "한국의 수도는"
    n_answer = llm.count_tokens(prompt + llm.generate(prompt)) - llm.count_tokens(prompt)
    report = measure_speed(llm, prompt, max_tokens=64, repeats=1)
    assert report.n_new_tokens == n_answer + 1


def test_prompts_are_read_from_their_beginning(llm):
    measure_speed(llm, PROMPT, max_tokens=2, repeats=2)
    assert llm.last_usage.n_reused == 0


def test_what_the_cache_holds_is_reused_otherwise(llm):
    llm.generate(PROMPT, max_tokens=1)
    llm.generate(PROMPT + " One day", max_tokens=1)
    n_begin = llm.count_tokens(PROMPT)
    assert n_begin - 1 <= llm.last_usage.n_reused < llm.last_usage.n_prompt


def test_llama_cpps_own_counters_agree(tmp_path):
    config = replace(MISTRAL_7B_V03, n_layers=1, vocab_size=1024)
    path = write_random_model(tmp_path / "r.gguf", config, "Q4_0", rng=np.random.default_rng(0))
    with LocalLLM(path) as llm:
        prompt = "▁300 " * 20
        llm.generate(prompt, max_tokens=2)
        llm.forget()
        context = llm._engine.ctx
        llama_cpp.llama_perf_context_reset(context)
        llm.generate(prompt, max_tokens=24)
        found, counted = llm.last_usage, llama_cpp.llama_perf_context(context)
    assert counted.n_p_eval == found.n_prompt
    assert counted.n_eval == found.n_new - 1
    theirs = counted.n_eval / counted.t_eval_ms * 1e3
    assert found.decode_tokens_per_s == pytest.approx(theirs, rel=0.05)


def test_speeds_and_times_belong_together(llm):
    report = measure_speed(llm, PROMPT, max_tokens=16, repeats=4)
    per_prompt = report.n_prompt_tokens / report.n_runs
    expected = per_prompt / report.time_to_first_token_s.median
    assert report.prefill_tokens_per_s.median == pytest.approx(expected, rel=0.2)
    assert report.decode_tokens_per_s.low <= report.decode_tokens_per_s.median


@pytest.mark.parametrize("options", [{"prompts": []}, {"max_tokens": 1}, {"repeats": 0}])
def test_nothing_to_measure_is_refused(llm, options):
    with pytest.raises(ValueError, match="a measurement needs"):
        measure_speed(llm, **({"prompts": PROMPT} | options))


def test_a_spread_is_the_middle_half():
    assert spread([5.0]).median == spread([5.0]).low == spread([5.0]).high == 5
    found = spread(range(1, 101))
    assert (found.median, found.low, found.high) == (50.5, 25.5, 75.5)
