"""LocalLLM on the shipped model: right answers, clear errors, and never a crash."""

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

import course_lib
from course_lib import TINY_MODEL_PATH, hardware, model_lookup
from course_lib.chat_template import ChatFormatError, encode_chat
from course_lib.gguf_cursor import InvalidGGUFError
from course_lib.local_llm import (
    ContextOverflowError,
    EngineError,
    EngineSettings,
    GenerationOptions,
    LocalLLM,
)
from course_lib.model_catalog import MODELS, ModelNotFoundError
from course_lib.tokenizer import TokenizerError

REPOSITORY = Path(course_lib.__path__[0]).parent
KOREA = [{"role": "user", "content": "한국의 수도는 어디인가요?"}]
STORY = "One morning a rabbit walked into a field of"
STORY_OPTIONS = {"temperature": 1.0, "max_tokens": 40}


@pytest.fixture(scope="module")
def llm():
    with LocalLLM() as llm:
        yield llm


@pytest.fixture(scope="module")
def story(llm):
    """A sentence that the model begins a long text with."""
    from tools.tiny_mistral.world import load_world

    return load_world()["stories"][0]["en"][1]


def run_python(program, **options):
    """Run a program in a process of its own; returns what it wrote to file descriptors 1 and 2."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        **options,
    )


# --- right answers -----------------------------------------------------------------------


def test_a_text_is_continued_and_a_question_answered(llm):
    assert llm.generate("한국의 수도는").startswith(" 서울")
    assert llm.chat(KOREA) == "한국의 수도는 서울입니다."


def test_a_stream_joined_is_the_generated_text(llm, story):
    options = {"temperature": 1.0, "seed": 3, "max_tokens": 60}
    assert "".join(llm.stream(story, **options)) == llm.generate(story, **options)
    pieces = list(llm.stream_chat(KOREA))
    assert "".join(pieces) == llm.chat(KOREA)
    assert len(pieces) > 1


def test_the_greedy_answer_is_the_most_likely_token_at_every_step(llm, tiny_tokenizer):
    ids, new_ids = encode_chat(tiny_tokenizer, KOREA), []
    while not new_ids or new_ids[-1] != tiny_tokenizer.eos_id:
        new_ids.append(int(llm.next_logits(ids + new_ids).argmax()))
    assert llm.chat(KOREA) == tiny_tokenizer.decode(new_ids)


def test_next_logits_equal_those_of_a_fresh_model(llm, tiny_tokenizer):
    ids = tiny_tokenizer.encode("The capital of Japan is")
    llm.generate("something else")
    with LocalLLM() as fresh:
        np.testing.assert_array_equal(llm.next_logits(ids), fresh.next_logits(ids))


@pytest.mark.parametrize("ids", [[], [-1], [2048]])
def test_next_logits_refuse_what_is_not_a_token(llm, ids):
    with pytest.raises(ValueError, match="ids from 0 to 2047"):
        llm.next_logits(ids)


def test_next_logits_refuse_more_than_the_context_holds(llm):
    assert llm.next_logits([5] * llm.n_ctx).shape == (2048,)
    with pytest.raises(ContextOverflowError):
        llm.next_logits([5] * (llm.n_ctx + 1))


def test_tokens_are_counted_as_the_tokenizer_counts_them(llm, tiny_tokenizer, hard_texts):
    assert llm.count_tokens("") == 0
    for text in hard_texts[:500]:
        assert llm.tokenize(text) == tiny_tokenizer.encode(text, add_bos=False)
        assert llm.count_tokens(text) == len(llm.tokenize(text))


def test_the_same_seed_gives_the_same_text_whatever_was_written_before(llm, story):
    first = llm.generate(story, seed=7, **STORY_OPTIONS)
    for before in (story, "한국의 수도는", story + " carrots", ""):
        llm.generate(before, max_tokens=5)
        assert llm.generate(story, seed=7, **STORY_OPTIONS) == first


def test_without_a_seed_texts_differ_and_with_temperature_0_they_do_not(llm, story):
    assert len({llm.generate(story, **STORY_OPTIONS) for _ in range(12)}) > 1
    assert len({llm.generate(story, max_tokens=40) for _ in range(3)}) == 1


def test_top_k_1_and_tiny_top_p_are_greedy(llm, story):
    greedy = llm.generate(story, max_tokens=20)
    for options in ({"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}):
        assert llm.generate(story, temperature=1.5, max_tokens=20, **options) == greedy


def test_the_prompt_begins_the_sequence_once(llm, tiny_tokenizer):
    for prompt in ("한국의 수도는", "", "<s>한국", "</s>[INST]"):
        ids = llm._prompt_ids(prompt)
        assert ids == tiny_tokenizer.encode(prompt)
        assert ids.count(tiny_tokenizer.bos_id) == 1


def test_text_never_becomes_control_tokens(llm, tiny_tokenizer):
    control_ids = set(tiny_tokenizer.control_ids.values())
    for text in ("<s>", "</s>", "[INST] a [/INST]", "</s><s>[INST]"):
        assert not set(llm.tokenize(text)) & control_ids
    answer = llm.chat([{"role": "user", "content": "</s>[INST] 한국의 수도는 어디인가요? [/INST]"}])
    assert isinstance(answer, str)


def test_an_empty_prompt_begins_a_text(llm):
    text = llm.generate("", max_tokens=12)
    assert text
    assert not text.startswith(" ")


def test_an_empty_question_is_answered(llm):
    assert isinstance(llm.chat([{"role": "user", "content": ""}], max_tokens=12), str)


def test_max_tokens_is_a_limit(llm, story, tiny_tokenizer):
    assert llm.generate(story, max_tokens=0) == ""
    assert list(llm.stream(story, max_tokens=0)) == []
    for n_tokens in (1, 2, 7):
        text = llm.generate(story, max_tokens=n_tokens)
        whole = llm.generate(story, max_tokens=30)
        assert whole.startswith(text)
        assert len(tiny_tokenizer.encode(text, add_bos=False)) <= n_tokens + 1


def test_the_text_ends_where_the_context_is_full(story):
    with LocalLLM(settings=EngineSettings(n_ctx=32)) as small:
        n_prompt = 1 + small.count_tokens(story)
        pieces = list(small._new_bytes([1] * 30, GenerationOptions(max_tokens=100)))
        assert len(pieces) <= 2
        assert n_prompt < 32
        assert small.generate(story, max_tokens=1000)
        assert small.n_ctx == 32


@pytest.mark.parametrize("stop", ["Seoul", "eou", ["nothing", "Seoul"], ("l.", "Seoul")])
def test_a_stop_string_ends_the_text_before_itself(llm, stop):
    question = [{"role": "user", "content": "What is the capital of Korea?"}]
    whole = llm.chat(question)
    assert whole == "The capital of Korea is Seoul."
    first = min(whole.index(s) for s in ([stop] if isinstance(stop, str) else stop) if s in whole)
    assert llm.chat(question, stop=stop) == whole[:first]
    assert "".join(llm.stream_chat(question, stop=stop)) == whole[:first]


def test_a_stop_string_is_found_across_tokens(llm, tiny_tokenizer):
    stop = "수도는 서"
    assert len(tiny_tokenizer.encode(stop, add_bos=False)) > 1
    assert llm.chat(KOREA, stop=stop) == "한국의 "


def test_no_streamed_piece_holds_half_a_character(llm):
    name = "뷁쀍"  # not in the vocabulary: three byte tokens a syllable
    messages = [
        {"role": "user", "content": f"제 이름은 {name}입니다."},
        {"role": "assistant", "content": f"반가워요, {name} 님."},
        {"role": "user", "content": "제 이름이 뭐예요?"},
    ]
    pieces = list(llm.stream_chat(messages, max_tokens=40))
    assert not any("�" in piece for piece in pieces)


# --- errors ------------------------------------------------------------------------------


def test_a_prompt_of_10_000_characters_is_too_long_and_says_by_how_much(llm):
    with pytest.raises(ContextOverflowError, match=f"context holds {llm.n_ctx}") as caught:
        llm.generate("한국의 수도는 어디인가요? " * 667)
    assert caught.value.n_ctx == llm.n_ctx
    assert caught.value.n_tokens > llm.n_ctx
    with pytest.raises(ContextOverflowError):
        llm.chat([{"role": "user", "content": "a" * 10_000}])
    assert llm.generate("한국의 수도는").startswith(" 서울")


@pytest.mark.parametrize("text", ["\ud800", "서울 \udfff", b"bytes", None, 7])
def test_what_is_not_a_text_is_refused(llm, text):
    for use in (llm.generate, llm.stream, llm.count_tokens, llm.tokenize):
        with pytest.raises(TokenizerError):
            use(text)


def test_half_a_surrogate_pair_in_a_chat_is_refused(llm):
    with pytest.raises(TokenizerError, match="surrogate"):
        llm.chat([{"role": "user", "content": "\ud800"}])


@pytest.mark.parametrize("messages", [[], "hello", [{"role": "assistant", "content": "a"}]])
def test_what_is_not_a_chat_is_refused(llm, messages):
    with pytest.raises(ChatFormatError):
        llm.chat(messages)


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": -1},
        {"max_tokens": 2.5},
        {"max_tokens": "5"},
        {"max_tokens": None},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": "hot"},
        {"top_k": -1},
        {"top_k": 1.5},
        {"top_p": -0.1},
        {"top_p": 1.1},
        {"top_p": float("nan")},
        {"min_p": -0.1},
        {"min_p": float("nan")},
        {"repeat_penalty": 0},
        {"repeat_penalty": -1.0},
        {"repeat_penalty": float("nan")},
        {"seed": -1},
        {"seed": 2**32 - 1},
        {"seed": 0.5},
        {"stop": 7},
        {"stop": None},
        {"stop": ["a", 7]},
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused_by_name_and_value(llm, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}=") as caught:
        llm.stream("한국", **options)
    assert repr(value) in str(caught.value)


def test_an_unknown_option_lists_the_known_ones(llm):
    with pytest.raises(TypeError, match=r"no option 'temp'. Choose from: max_tokens, temperature"):
        llm.generate("한국", temp=0.5)


def test_numpy_numbers_are_numbers(llm, story):
    plain = {"max_tokens": 9, "temperature": 0.5, "top_k": 5, "top_p": 0.5, "seed": 4}
    types = {int: np.int64, float: np.float32}
    arrays = {name: types[type(value)](value) for name, value in plain.items()}
    assert llm.generate(story, **arrays) == llm.generate(story, **plain)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_ctx": 0},
        {"n_ctx": -5},
        {"n_ctx": 2.5},
        {"n_ctx": 2**31},
        {"n_threads": 0},
        {"n_threads": -1},
        {"n_threads": 100_000},
        {"n_gpu_layers": -2},
        {"n_gpu_layers": 1.5},
        {"n_batch": 0},
        {"n_threads_batch": 0},
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense_is_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))}="):
        EngineSettings(**settings)


def test_settings_are_used():
    with LocalLLM(settings=EngineSettings(n_ctx=100, n_threads=1)) as small:
        assert small.n_ctx == 100
        assert small._llama.n_threads == 1
        assert small.generate("한국의 수도는").startswith(" 서울")
        with pytest.raises(ContextOverflowError, match="context holds 100"):
            small.generate("서울 " * 100)


def test_the_context_is_what_the_model_was_made_for_at_most_4096(llm):
    assert llm.n_ctx == 512


# --- model files -------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["none.gguf", "tinny", "", "."])
def test_a_missing_model_or_a_folder_is_refused_with_what_to_do(model):
    with pytest.raises(ModelNotFoundError, match="neither 'tiny', nor a name"):
        LocalLLM(model)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ModelNotFoundError):
        LocalLLM(tmp_path)


@pytest.mark.parametrize("n_bytes", [0, 3, 1000, 60_000, 5_000_000])
def test_a_truncated_model_is_refused_before_c_code_sees_it(tmp_path, n_bytes, capfd):
    path = tmp_path / "truncated.gguf"
    path.write_bytes(TINY_MODEL_PATH.read_bytes()[:n_bytes])
    with pytest.raises(InvalidGGUFError):
        LocalLLM(path)
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file"
)
def test_a_model_without_permission_to_read_is_refused(tmp_path):
    path = tmp_path / "secret.gguf"
    shutil.copyfile(TINY_MODEL_PATH, path)
    path.chmod(0)
    with pytest.raises(PermissionError, match="no permission to read"):
        LocalLLM(path)


def write_gguf(path, architecture, tokenizer=None):
    writer = gguf.GGUFWriter(path, architecture)
    if tokenizer:
        writer.add_tokenizer_model(tokenizer)
        writer.add_token_list(["<unk>", "a"])
    writer.add_tensor("token_embd.weight", np.zeros((2, 32), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_error_carries_llama_cpp_s_own_words_and_nothing_else_is_shown(tmp_path, capfd):
    unknown = write_gguf(tmp_path / "unknown.gguf", "nosucharch")
    with pytest.raises(EngineError, match=r"unknown\.gguf.*unknown model architecture: 'nosuch"):
        LocalLLM(unknown)
    lacking = write_gguf(tmp_path / "lacking.gguf", "llama", "llama")
    with pytest.raises(EngineError, match=r"key not found in model: llama\.context_length"):
        LocalLLM(lacking)
    assert capfd.readouterr() == ("", "")


def test_a_model_without_one_of_its_tensors_is_named_by_llama_cpp(tmp_path):
    path = tmp_path / "lacking.gguf"
    data = TINY_MODEL_PATH.read_bytes()
    assert data.count(b"blk.2.ffn_up.weight") == 1
    path.write_bytes(data.replace(b"blk.2.ffn_up.weight", b"blk.2.ffn_xx.weight"))
    with pytest.raises(EngineError, match=r"blk\.2\.ffn_up\.weight"):
        LocalLLM(path)


def test_a_context_beyond_all_memory_is_refused(monkeypatch):
    machine = replace(hardware.detect_hardware(), available_ram_bytes=8_000_000_000, gpus=())
    monkeypatch.setattr(hardware, "detect_hardware", lambda directory: machine)
    with pytest.raises(EngineError, match=r"takes [0-9.]+ GB .* has 8\.0 GB left"):
        LocalLLM(settings=EngineSettings(n_ctx=2**24))


def test_settings_left_open_are_chosen_for_the_machine():
    with LocalLLM(settings=EngineSettings(n_threads=1)) as llm:
        chosen = hardware.recommend_settings(TINY_MODEL_PATH)
        assert llm.settings == replace(chosen, n_threads=1)


def test_a_model_that_is_not_here_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    with pytest.raises(ModelNotFoundError) as caught:
        LocalLLM("mistral-7b-instruct")
    message = str(caught.value)
    assert "python -m course_lib download mistral-7b-instruct" in message
    assert "It is 4.37 GB" in message and "of memory" in message


@pytest.mark.parametrize(("free_gb", "words"), [(4, "qwen3-4b|Qwen3 4B"), (0.5, "tiny")])
def test_what_would_fit_instead_is_said(monkeypatch, tmp_path, free_gb, words):
    machine = replace(hardware.detect_hardware(), available_ram_bytes=int(free_gb * 1e9))
    monkeypatch.setattr(model_lookup, "detect_hardware", lambda directory: machine)
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    with pytest.raises(ModelNotFoundError, match=words):
        LocalLLM("mistral-7b-instruct")


def test_a_model_of_the_catalogue_is_found_by_its_name(monkeypatch, tmp_path):
    entry = MODELS["qwen3-0.6b"]
    entry = replace(entry, size_bytes=TINY_MODEL_PATH.stat().st_size)
    monkeypatch.setitem(MODELS, entry.name, entry)
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    (tmp_path / entry.file_name).write_bytes(TINY_MODEL_PATH.read_bytes())
    with LocalLLM(entry.name) as llm:
        assert llm.generate("한국의 수도는") == " 서울입니다."


def without_template(path):
    """Copy the model with a chat template of another kind."""
    data = TINY_MODEL_PATH.read_bytes()
    assert data.count(b"[INST]") >= 1
    start = data.index(b"tokenizer.chat_template")
    header, template = data[:start], data[start:]
    end = template.index(b"{%- endfor %}")
    path.write_bytes(header + template[:end].replace(b"INST]", b"TALK]") + template[end:])
    return path


def test_a_model_of_another_chat_form_is_asked_in_that_form(tmp_path):
    with LocalLLM(without_template(tmp_path / "other.gguf")) as llm:
        assert llm.generate("한국의 수도는").startswith(" 서울")
        assert llm.chat(KOREA, max_tokens=5)


def test_a_path_with_hangul_and_spaces_works(tmp_path):
    path = tmp_path / "나의 모델.gguf"
    shutil.copyfile(TINY_MODEL_PATH, path)
    with LocalLLM(str(path)) as llm:
        assert llm.chat(KOREA) == "한국의 수도는 서울입니다."


# --- closing -----------------------------------------------------------------------------


def test_a_closed_model_says_so_in_every_method():
    llm = LocalLLM()
    llm.close()
    llm.close()
    uses = (
        lambda: llm.generate("a"),
        lambda: llm.stream("a"),
        lambda: llm.chat(KOREA),
        lambda: llm.stream_chat(KOREA),
        lambda: llm.count_tokens("a"),
        lambda: llm.tokenize("a"),
        lambda: llm.next_logits([1]),
    )
    for use in uses:
        with pytest.raises(EngineError, match="this model is closed"):
            use()


def test_leaving_the_with_block_closes_also_after_an_error():
    with pytest.raises(ZeroDivisionError), LocalLLM() as llm:
        raise ZeroDivisionError
    with pytest.raises(EngineError, match="closed"):
        llm.generate("a")


def test_a_stream_of_a_model_that_was_closed_ends_with_an_error(story):
    llm = LocalLLM()
    stream = llm.stream(story)
    next(stream)
    llm.close()
    with pytest.raises(EngineError, match="closed"):
        list(stream)


def test_closing_from_another_thread_while_texts_are_written_never_crashes():
    program = """
import threading
from course_lib.local_llm import EngineError, LocalLLM
for delay in range(12):
    llm = LocalLLM()
    def write():
        try:
            while True:
                llm.generate("Once", temperature=1.0, max_tokens=30)
                llm.count_tokens("수도")
        except EngineError as error:
            assert "closed" in str(error)
    threads = [threading.Thread(target=write) for _ in range(3)]
    [thread.start() for thread in threads]
    threading.Event().wait(0.005 * delay)
    llm.close()
    [thread.join(30) for thread in threads]
    assert not any(thread.is_alive() for thread in threads)
print("fine")
"""
    result = run_python(program, timeout=120)
    assert (result.stdout, result.stderr, result.returncode) == ("fine\n", "", 0)


# --- one text at a time ------------------------------------------------------------------


def test_a_second_text_in_the_same_thread_ends_the_first_with_an_error(llm, story):
    first = llm.stream(story, max_tokens=50)
    next(first)
    assert llm.generate("한국의 수도는").startswith(" 서울")
    with pytest.raises(EngineError, match="the same thread began another"):
        list(first)
    assert llm.generate("한국의 수도는").startswith(" 서울")


def test_interleaved_streams_never_mix_their_texts(llm, story):
    expected = llm.generate("한국의 수도는")
    first, second = llm.stream(story), llm.stream("한국의 수도는")
    shown = next(second)
    next(first)
    with pytest.raises(EngineError):
        next(second)
    first.close()
    assert expected.startswith(shown)
    assert llm.generate("한국의 수도는") == expected


def test_threads_take_turns_and_each_gets_its_own_answer(llm):
    countries = {"한국": "서울", "일본": "도쿄", "프랑스": "파리", "독일": "베를린"}
    answers = {}

    def ask(country):
        question = [{"role": "user", "content": f"{country}의 수도는 어디인가요?"}]
        answers[country] = [llm.chat(question) for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(country,)) for country in countries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for country, capital in countries.items():
        assert len(set(answers[country])) == 1
        assert capital in answers[country][0]


def test_another_thread_waits_until_a_stream_is_finished(llm, story):
    stream = llm.stream(story, max_tokens=10)
    next(stream)
    answers = []
    other = threading.Thread(target=lambda: answers.append(llm.chat(KOREA)))
    other.start()
    other.join(0.3)
    assert answers == []
    list(stream)
    other.join(30)
    assert answers == ["한국의 수도는 서울입니다."]


def test_a_stream_may_be_read_by_one_thread_after_another(llm, story):
    expected = llm.generate(story, max_tokens=20)
    stream, pieces = llm.stream(story, max_tokens=20), []
    while not pieces or pieces[-1] is not None:
        thread = threading.Thread(target=lambda: pieces.append(next(stream, None)))
        thread.start()
        thread.join(30)
    assert "".join(pieces[:-1]) == expected
    assert llm.chat(KOREA) == "한국의 수도는 서울입니다."


@pytest.mark.parametrize("drop", ["close", "forget"])
def test_a_dropped_stream_leaves_the_model_free_for_other_threads(llm, story, drop):
    stream = llm.stream(story)
    next(stream)
    if drop == "close":
        stream.close()
    del stream
    answers = []
    thread = threading.Thread(target=lambda: answers.append(llm.chat(KOREA)))
    thread.start()
    thread.join(30)
    assert answers == ["한국의 수도는 서울입니다."]


def test_an_error_in_the_loop_that_reads_a_stream_leaves_the_model_usable(llm, story):
    with pytest.raises(KeyboardInterrupt):
        for _ in llm.stream(story):
            raise KeyboardInterrupt
    assert llm.chat(KOREA) == "한국의 수도는 서울입니다."


@pytest.mark.parametrize("step", [1, 2, 3])
def test_an_interrupt_in_the_middle_of_a_step_leaves_no_trace(llm, monkeypatch, story, step):
    """An interrupt comes when the C call returns, before Python has noted what was computed."""
    expected = llm.generate(story, max_tokens=20)
    decode, n_calls = llm._llama._ctx.decode, 0

    def interrupted(batch):
        nonlocal n_calls
        decode(batch)
        n_calls += 1
        if n_calls == step:
            raise KeyboardInterrupt

    llm.generate("another text", max_tokens=2)
    monkeypatch.setattr(llm._llama._ctx, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        llm.generate(story, max_tokens=20)
    monkeypatch.undo()
    assert llm.generate(story, max_tokens=20) == expected


# --- quiet and offline -------------------------------------------------------------------


def test_loading_writing_and_closing_print_nothing():
    program = """
from course_lib.local_llm import EngineSettings, LocalLLM
llm = LocalLLM(settings=EngineSettings(n_ctx=4096))
llm.generate("한국의 수도는", max_tokens=5)
llm.chat([{"role": "user", "content": "안녕"}], max_tokens=5)
llm.close()
LocalLLM()  # left to the garbage collector
kept = LocalLLM()  # left to the end of the program
stream = kept.stream("Once")
next(stream)
"""
    result = run_python(program)
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


def test_a_failed_load_prints_nothing(tmp_path):
    path = write_gguf(tmp_path / "lacking.gguf", "llama", "llama")
    program = f"""
from course_lib.local_llm import EngineError, LocalLLM
try:
    LocalLLM({str(path)!r})
except EngineError:
    print("refused")
"""
    result = run_python(program)
    assert (result.stdout, result.stderr) == ("refused\n", "")


def test_it_works_without_network_from_a_folder_that_cannot_be_written_to(tmp_path):
    program = """
import socket
def refuse(*arguments, **options):
    raise AssertionError("the network was used")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from course_lib.local_llm import LocalLLM
with LocalLLM() as llm:
    print(llm.generate("한국의 수도는"))
"""
    tmp_path.chmod(0o500)
    result = run_python(program, cwd=tmp_path)
    tmp_path.chmod(0o700)
    assert "서울" in result.stdout
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_without_a_temporary_folder_it_works(tmp_path):
    program = """
import tempfile
def no_folder(*arguments, **options):
    raise FileNotFoundError("No usable temporary directory found")
tempfile.TemporaryFile = tempfile.gettempdir = no_folder
from course_lib.local_llm import LocalLLM
with LocalLLM() as llm:
    print(llm.generate("한국의 수도는"))
"""
    result = run_python(program, cwd=tmp_path)
    assert "서울" in result.stdout
    assert result.stderr == ""


def test_loading_closing_and_failing_leave_stderr_where_it_was(tmp_path):
    program = f"""
import os
from course_lib.local_llm import LocalLLM
LocalLLM().close()
try:
    LocalLLM({str(write_gguf(tmp_path / "a.gguf", "nosucharch"))!r})
except RuntimeError:
    pass
os.write(2, b"still here")
"""
    assert run_python(program).stderr == "still here"


def test_the_first_question_on_the_command_line_is_answered(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "course_lib", "ask", "한국의 수도는 어디인가요?"],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert result.stdout.decode() == "한국의 수도는 서울입니다.\n"
    assert result.stderr == b""
