"""RemoteLLM answers as LocalLLM does, and says what is wrong when a server fails."""

import builtins
import json
import logging
import threading
import time
import traceback

import pytest

from course_lib import TINY_MODEL_PATH
from course_lib.chat_model import ContextOverflowError
from course_lib.chat_template import ChatFormatError
from course_lib.engine_options import EngineSettings
from course_lib.local_llm import LocalLLM
from course_lib.quality_measurement import load_quality_cases
from course_lib.remote_errors import (
    AuthenticationError,
    ClientMissingError,
    ConnectionLostError,
    ProtocolError,
    RateLimitError,
    RemoteClosedError,
    RemoteContextOverflowError,
    RemoteError,
    RemoteNotFoundError,
    RemoteTimeoutError,
    RequestRefusedError,
    ServerError,
    ServerUnreachableError,
    error_for_status,
)
from course_lib.remote_llm import RemoteLLM
from course_lib.tokenizer import TokenizerError
from tests.chat_server import (
    CUT,
    DONE,
    Reply,
    answer,
    data,
    error,
    event,
    free_port,
    json_reply,
    llama_cpp_python_server,
    llama_cpp_server,
    scripted_server,
)

pytest.importorskip("openai")

KOREA = [{"role": "user", "content": "한국의 수도는 어디인가요?"}]
KEY = "sk-do-not-show-me-7f3a"


@pytest.fixture
def server():
    with scripted_server() as server:
        yield server


@pytest.fixture
def remote(server):
    with RemoteLLM(server.url, "tiny", KEY, timeout_s=5, max_retries=0) as llm:
        yield llm


@pytest.fixture
def patient(server):
    """Asks again, once."""
    with RemoteLLM(server.url, "tiny", KEY, timeout_s=5, max_retries=1) as llm:
        yield llm


def talk(llm):
    return llm.chat(KOREA)


def in_threads(n_threads, run):
    threads = [threading.Thread(target=run, args=(i,)) for i in range(n_threads)]
    for thread in threads:
        thread.start()
    return threads


# --- what is sent, and what comes back ---------------------------------------------------


def test_an_answer_is_joined_and_streamed_without_the_space_before_it(server, remote):
    server.script(answer(" 한", "국의", " 수도"))
    assert remote.chat(KOREA) == "한국의 수도"
    assert list(remote.stream_chat(KOREA)) == ["한", "국의", " 수도"]


def test_a_continued_text_keeps_its_space(server, remote):
    server.script(answer(" 서울", "입니다.", chat=False), path="/v1/completions")
    assert remote.generate("한국의 수도는") == " 서울입니다."
    assert server.sent("/v1/completions")[0]["prompt"] == "한국의 수도는"


def test_the_options_are_sent_under_the_names_that_servers_give_them(server, remote):
    server.script(answer("ok"))
    options = {"max_tokens": 7, "temperature": 0.5, "top_k": 3, "top_p": 0.8, "min_p": 0.1}
    options |= {"repeat_penalty": 1.2, "seed": 9}
    remote.chat([{"role": "user", "content": "Hi", "note": "mine"}], **options)
    assert server.sent()[0] == options | {
        "messages": [{"role": "user", "content": "Hi"}],
        "model": "tiny",
        "stream": True,
        "stream_options": {"include_usage": True},
        "repetition_penalty": 1.2,
    }


def test_text_is_greedy_by_default_and_drawn_anew_without_a_seed(server, remote):
    server.script(answer("ok"))
    for options in ({}, {"temperature": 1.0}, {"temperature": 1.0}):
        remote.chat(KOREA, **options)
    greedy, first, second = server.sent()
    assert greedy["temperature"] == 0
    assert "seed" not in greedy
    assert first["seed"] != second["seed"]


@pytest.mark.parametrize("address", ["", "/", "/v1", "/v1/"])
def test_the_address_may_end_in_v1_or_a_slash(server, address):
    server.script(answer("ok"))
    with RemoteLLM(server.url.removesuffix("/v1") + address, "tiny") as llm:
        assert talk(llm) == "ok"
        assert llm.base_url == server.url


def test_a_path_before_v1_is_kept():
    assert RemoteLLM("https://example.org:8443/api/v1/", "m").base_url.endswith("8443/api/v1")
    assert RemoteLLM("http://[::1]:8000", "m").base_url == "http://[::1]:8000/v1"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:8000", "ftp://host/v1", "http://", "", None, 3, "http://h:x/", "file:///etc"],
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValueError, match="base_url must be like"):
        RemoteLLM(address, "tiny")


@pytest.mark.parametrize(
    "address", [f"https://me:{KEY}@host/v1", f"https://{KEY}@host", f"https://host/v1?key={KEY}"]
)
def test_an_address_with_a_secret_is_refused_without_showing_it(address):
    with pytest.raises(ValueError, match="belongs into api_key") as caught:
        RemoteLLM(address, "tiny")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("bad", ["two words", "line\nbreak", "ключ", 3, b"key"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(bad):
    with pytest.raises(ValueError, match="api_key") as caught:
        RemoteLLM("http://127.0.0.1:1", "tiny", bad)
    assert str(bad) not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"connect_timeout_s": -1},
        {"max_retries": -1},
        {"model": ""},
        {"model": None},
    ],
)
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError):
        RemoteLLM(**({"base_url": "http://127.0.0.1:1", "model": "tiny"} | options))


def test_without_its_package_it_says_how_to_get_it(monkeypatch):
    real_import = builtins.__import__

    def importing(name, *arguments):
        if name in ("openai", "course_lib.remote_client"):
            raise ModuleNotFoundError("no openai", name="openai")
        return real_import(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ClientMissingError, match=r"package openai.*`make lab` installs it"):
        RemoteLLM("http://127.0.0.1:1", "tiny")


def test_what_is_wrong_here_is_refused_before_anything_is_sent(server, remote):
    server.script(answer("ok"))
    with pytest.raises(ChatFormatError):
        remote.stream_chat([{"role": "assistant", "content": "I begin"}])
    with pytest.raises(TokenizerError):
        remote.stream_chat([{"role": "user", "content": "\ud800"}])
    with pytest.raises(TokenizerError):
        remote.stream("\ud800")
    with pytest.raises(TokenizerError):
        remote.count_tokens("\ud800")
    with pytest.raises(TypeError, match="there is no option 'top'"):
        remote.stream_chat(KOREA, top=3)
    with pytest.raises(ValueError, match="max_tokens"):
        remote.stream_chat(KOREA, max_tokens=-1)
    assert remote.chat(KOREA, max_tokens=0) == ""
    assert server.requests == []


def test_a_stop_string_across_pieces_ends_the_text_and_the_connection(server, remote):
    server.script(Reply(parts=(event("one "), event("t"), event("wo"), 30.0)))
    assert remote.chat(KOREA, stop="two") == "one "
    assert server.hung_up.wait(1)
    assert "stop" not in server.sent()[0]


def test_characters_split_over_chunks_and_comments_come_through(server, remote):
    whole = b": ping\r\n\r\n" + event("안녕, 서울!").replace(b"\n", b"\r\n")
    parts = [bytes([byte]) for byte in whole]
    server.script(Reply(parts=(*parts, event("", finish="stop"), DONE)))
    assert talk(remote) == "안녕, 서울!"


# --- usage -------------------------------------------------------------------------------


def test_tokens_are_those_that_the_server_counts(server, remote):
    usage = {"prompt_tokens": 8, "completion_tokens": 5}
    last = data({"choices": [], "usage": usage | {"prompt_tokens_details": {"cached_tokens": 3}}})
    server.script(Reply(parts=(event("a"), 0.1, event("b", finish="stop"), last, DONE)))
    talk(remote)
    account = remote.last_usage
    assert (account.n_prompt, account.n_new, account.n_reused) == (8, 5, 3)
    assert account.first_token_s > 0
    assert 0.05 < account.decode_s < 5


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": "many", "completion_tokens": None}])
def test_pieces_are_counted_when_the_server_counts_none(server, remote, usage):
    last = data({"choices": [], "usage": usage})
    server.script(Reply(parts=(event("a"), event("b", finish="stop"), last, DONE)))
    assert remote.last_usage is None
    talk(remote)
    assert (remote.last_usage.n_new, remote.last_usage.n_prompt) == (2, 0)


def test_each_thread_has_an_account_of_its_own(server, remote):
    server.script(answer("a"))
    talk(remote)
    server.script(answer("a", "b", "c"))
    found = []
    (thread,) = in_threads(1, lambda _: found.append((talk(remote), remote.last_usage.n_new)))
    thread.join()
    assert found == [("abc", 3)]
    assert remote.last_usage.n_new == 1


# --- counting tokens and the context ------------------------------------------------------


def test_tokens_are_counted_by_the_server_and_the_count_is_remembered(server, remote):
    server.script(json_reply({"tokens": [5, 6, 7]}), path="/tokenize")
    assert remote.token_counter is None
    assert [remote.count_tokens("한국의 수도는") for _ in range(3)] == [3, 3, 3]
    assert remote.token_counter == "/tokenize"
    assert len(server.sent("/tokenize")) == 1
    assert server.sent("/tokenize")[0]["parse_special"] is False
    assert remote.count_tokens("") == 0


def test_llama_cpp_server_counts_with_a_begin_token_that_is_taken_off(server, remote):
    counts = (json_reply({"count": 4}), json_reply({"count": 1}))
    server.script(*counts, path="/extras/tokenize/count")
    assert remote.count_tokens("한국의 수도는") == 3
    assert remote.token_counter == "/extras/tokenize/count"


def test_a_server_that_cannot_count_gets_an_upper_bound_and_is_not_asked_again(server, remote):
    assert remote.count_tokens("한국") == 7
    n_asked = len(server.requests)
    assert remote.count_tokens("Hi") == 3
    assert remote.token_counter == "bytes"
    assert len(server.requests) == n_asked


def test_a_count_that_fails_is_neither_remembered_nor_guessed(server, remote):
    server.script(error(500, "out of order"), json_reply({"tokens": [1, 2]}), path="/tokenize")
    with pytest.raises(ServerError):
        remote.count_tokens("Hi there")
    assert remote.count_tokens("Hi there") == 2


def test_a_prompt_is_sent_as_ids_where_the_server_tells_them(server, remote):
    server.script(json_reply({"tokens": [1, 65, 52]}), path="/tokenize")
    server.script(answer("!", chat=False), path="/v1/completions")
    remote.generate("</s>")
    assert server.sent("/v1/completions")[0]["prompt"] == [1, 65, 52]
    assert server.sent("/tokenize")[0]["add_special"] is True


def test_the_context_is_what_the_server_says(server):
    with RemoteLLM(server.url, "big") as llm:
        assert (llm.n_ctx, llm.n_ctx) == (None, None)
        assert len(server.requests) == 2
    models = {"data": [{"id": "other", "max_model_len": 1}, {"id": "big", "max_model_len": 4096}]}
    server.script(json_reply(models), path="/v1/models")
    with RemoteLLM(server.url, "big") as llm:
        assert llm.n_ctx == 4096
    server.script(json_reply({"default_generation_settings": {"n_ctx": 512}}), path="/props")
    with RemoteLLM(server.url, "big") as llm:
        assert llm.n_ctx == 512


# --- servers that say no ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (401, AuthenticationError, "Check api_key"),
        (403, AuthenticationError, "Check api_key"),
        (404, RemoteNotFoundError, "Check base_url and model"),
        (418, RequestRefusedError, "refuses the request"),
        (429, RateLimitError, "ask less often"),
        (500, ServerError, "Look into its log"),
    ],
)
def test_a_status_is_an_error_of_its_kind_with_advice_and_the_servers_words(
    server, remote, status, kind, advice
):
    server.script(error(status, "no, because", **{"Retry-After": "7.5"}))
    with pytest.raises(kind, match=rf"{advice}.*no, because") as caught:
        talk(remote)
    assert isinstance(caught.value, RemoteError)
    assert (caught.value.status, caught.value.words) == (status, "no, because")
    assert getattr(caught.value, "retry_after_s", 7.5) == 7.5


@pytest.mark.parametrize("text", ["Wed, 21 Oct 2026 07:28:00 GMT", "-5", "1e9", "٣", ""])
def test_a_wait_that_is_no_number_is_none(text):
    assert error_for_status(429, {"retry-after": text}, "").retry_after_s is None


def test_a_busy_server_is_asked_again_after_the_wait_it_asks_for(server, patient):
    server.script(error(429, "slow down", **{"Retry-After": "0.3"}), answer("ok"))
    started_s = time.monotonic()
    assert talk(patient) == "ok"
    assert time.monotonic() - started_s >= 0.3
    assert len(server.sent()) == 2


def test_a_server_that_asks_for_a_long_wait_is_not_asked_again(server, patient):
    server.script(error(429, "come back", **{"Retry-After": "90"}))
    with pytest.raises(RateLimitError) as caught:
        talk(patient)
    assert caught.value.retry_after_s == 90
    assert len(server.sent()) == 1


def test_a_prompt_that_is_too_long_is_counted_by_the_server_or_by_us(server, remote):
    body = {"message": "request exceeds the available context size"}
    for counts, expected in (
        ({"n_prompt_tokens": 4002, "n_ctx": 512}, (4002, 512)),
        ({}, (4, None)),
    ):
        server.script(Reply(400, (json.dumps({"error": body | counts}).encode(),)))
        server.script(json_reply({"tokens": [1, 2, 3, 4]}), path="/tokenize")
        with pytest.raises(ContextOverflowError, match="Shorten it") as caught:
            talk(remote)
        assert isinstance(caught.value, RemoteContextOverflowError)
        assert (caught.value.n_tokens, caught.value.n_ctx) == expected


def test_optional_fields_that_a_server_does_not_know_are_left_out_from_then_on(server, remote):
    words = "Unrecognized request arguments supplied: min_p, repeat_penalty, stream_options"
    server.script(error(400, words), answer("ok"))
    assert talk(remote) == "ok"
    assert talk(remote) == "ok"
    assert len(server.sent()) == 3
    for sent in server.sent()[1:]:
        assert not {"min_p", "repeat_penalty", "stream_options"} & set(sent)
        assert sent["top_k"] == 40


def test_an_option_that_was_set_is_never_left_out_silently(server, remote):
    refusal = error(400, "Unrecognized request argument supplied: min_p")
    server.script(refusal, answer("ok"))
    assert talk(remote) == "ok"
    server.script(refusal)
    with pytest.raises(RequestRefusedError, match="min_p"):
        remote.chat(KOREA, min_p=0.1)
    assert server.sent()[-1]["min_p"] == 0.1


def test_a_redirection_is_not_followed_and_the_key_not_sent_on(server, remote):
    with scripted_server() as other:
        other.script(answer("gotcha"))
        server.script(Reply(307, (), {"Location": f"{other.url}/chat/completions"}))
        with pytest.raises(ProtocolError, match="sends us on to http"):
            talk(remote)
        assert other.requests == []


# --- servers that are not there, stall or break off ---------------------------------------


def test_where_nobody_answers_is_said_with_the_address():
    url = f"http://127.0.0.1:{free_port()}/v1"
    with RemoteLLM(url, "tiny", max_retries=0) as llm:
        for use in (talk, lambda llm: llm.n_ctx, lambda llm: llm.count_tokens("Hi")):
            with pytest.raises(ServerUnreachableError, match=url.removesuffix("/v1")):
                use(llm)


def test_a_server_on_this_machine_is_asked_without_a_proxy(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server.script(answer("ok"))
    for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
        with RemoteLLM(url, "tiny", max_retries=0) as llm:
            assert talk(llm) == "ok"


def test_a_server_that_hangs_up_without_a_word_is_asked_again(server, patient):
    server.script(Reply(parts=(CUT,)), answer("ok"))
    assert talk(patient) == "ok"
    assert len(server.sent()) == 2


@pytest.mark.parametrize(
    "parts", [(30.0, event("late")), (b": ping\n\n", 30.0), (event("ab"), 30.0)]
)
def test_a_server_that_stalls_is_a_timeout_with_what_came_and_not_asked_again(server, parts):
    server.script(Reply(parts=parts))
    with RemoteLLM(server.url, "tiny", timeout_s=0.3) as llm:
        started_s = time.monotonic()
        with pytest.raises(RemoteTimeoutError, match=r"sent nothing for 0\.3 s") as caught:
            talk(llm)
        assert time.monotonic() - started_s < 5
    assert caught.value.received == ("ab" if parts[0] == event("ab") else "")
    assert len(server.sent()) == 1


def test_a_refusal_that_stalls_is_a_timeout(server):
    server.script(Reply(400, (b"because", 30.0)))
    with (
        RemoteLLM(server.url, "tiny", timeout_s=0.3) as llm,
        pytest.raises(RemoteTimeoutError),
    ):
        talk(llm)


@pytest.mark.parametrize("end", [(CUT,), (), (DONE,)], ids=["reset", "without an end", "[DONE]"])
def test_an_answer_that_breaks_off_carries_what_came_and_is_not_asked_again(server, patient, end):
    server.script(Reply(parts=(event("Seo"), event("ul"), 0.05, *end)))
    pieces = []
    with pytest.raises(ConnectionLostError, match="received") as caught:
        for piece in patient.stream_chat(KOREA):
            pieces.append(piece)
    assert caught.value.received == "".join(pieces) == "Seoul"
    assert len(server.sent()) == 1


@pytest.mark.parametrize("end", [(), (CUT,), (DONE,)], ids=["nothing", "reset", "[DONE]"])
def test_after_the_last_piece_a_missing_done_or_a_cut_does_no_harm(server, remote, end):
    server.script(Reply(parts=(event("Seoul", finish="stop"), 0.05, *end)))
    assert talk(remote) == "Seoul"


def test_an_empty_stream_is_asked_for_its_reason(server, remote):
    server.script(Reply(parts=()), error(400, "maximum context length is 512 tokens"))
    with pytest.raises(RemoteContextOverflowError):
        talk(remote)
    assert server.sent()[1]["stream"] is False
    server.script(Reply(parts=()), json_reply({"choices": []}))
    with pytest.raises(ConnectionLostError, match="before it was complete"):
        talk(remote)


# --- answers that are none ----------------------------------------------------------------


@pytest.mark.parametrize(
    "part",
    [
        b"data: {not json\n\n",
        b"data: [1, 2]\n\n",
        b'data: {"object": "chat.completion.chunk"}\n\n',
        b'data: {"choices": "none"}\n\n',
        b'data: {"choices": [3]}\n\n',
        b'data: {"choices": [{"delta": {"content": {"a": 1}}}]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: \xff\xfe\n\n",
    ],
    ids=["json", "list", "nothing", "text", "number", "object", "deep", "utf8"],
)
def test_events_that_are_no_answer_are_a_protocol_error(server, remote, part):
    server.script(Reply(parts=(event("Seo"), part, 30.0)))
    with pytest.raises(ProtocolError, match="OpenAI-compatible") as caught:
        talk(remote)
    assert caught.value.received == "Seo"
    assert len(str(caught.value)) < 700
    assert server.hung_up.wait(2)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=utf-8", b"<!DOCTYPE html>\n<title>Login</title>"),
        ("application/json", b"<html>"),
        ("application/json", b'{"status": "fine"}'),
        ("application/octet-stream", bytes(range(256))),
    ],
)
def test_a_page_instead_of_an_answer_is_quoted_and_harmless(server, remote, kind, body):
    server.script(Reply(200, (body,), {"Content-Type": kind}))
    with pytest.raises(ProtocolError, match="no answer of a model") as caught:
        talk(remote)
    assert str(caught.value).isprintable()
    server.script(Reply(200, (body,), {"Content-Type": kind}), path="/tokenize")
    assert remote.count_tokens("Hi") == 3


@pytest.mark.parametrize("told", [{"message": "boom", "code": 400}, "boom"])
def test_an_error_in_mid_stream_is_a_server_error(server, patient, told):
    server.script(Reply(parts=(event("Seo"), data({"error": told}))))
    with pytest.raises(ServerError, match="boom") as caught:
        talk(patient)
    assert caught.value.received == "Seo"
    assert len(server.sent()) == 1


def test_the_body_of_a_refusal_is_shortened_and_its_control_characters_shown(server, remote):
    server.script(Reply(500, (b"\x1b[31mred\x07 \xe2\x80\xae" + b"x" * 500_000,)))
    with pytest.raises(ServerError) as caught:
        talk(remote)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert r"\x1b[31mred\x07 \u202e" in str(caught.value)


# --- the key stays secret -----------------------------------------------------------------


def test_the_key_is_in_no_message_and_no_log_even_when_a_server_repeats_it(server, remote, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    echo = f"bad key {KEY}"
    many = (
        *(error(status, echo) for status in (400, 401, 404, 429, 500)),
        error(500, ("x" * 295 + KEY).encode()),
        Reply(307, (), {"Location": f"http://elsewhere/?key={KEY}"}),
        Reply(200, (echo.encode(),), {"Content-Type": "text/html"}),
        Reply(parts=(data({"error": {"message": echo}}),)),
        Reply(parts=(f"data: {KEY}\n\n".encode(),)),
        Reply(parts=(data({"choices": [KEY]}),)),
        Reply(parts=(b"data: " + KEY.encode() + b"\xff\n\n",)),
        Reply(parts=(event("a"), CUT)),
    )
    for reply in many:
        caplog.clear()
        server.script(reply)
        with pytest.raises(RemoteError) as caught:
            talk(remote)
        shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
        assert KEY not in shown
        assert KEY[:16] not in str(caught.value)
        assert KEY not in caplog.text or reply.status == 307  # a header that httpcore logs
    assert "openai" in {record.name.partition(".")[0] for record in caplog.records}
    assert KEY not in repr(remote) + repr(vars(remote)) + repr(vars(remote._client))
    assert all(headers["Authorization"] == f"Bearer {KEY}" for _, _, headers, _ in server.requests)


def test_what_the_environment_says_about_openai_is_sent_to_no_other_server(server, monkeypatch):
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
        monkeypatch.setenv(f"OPENAI_{name}", KEY)
    server.script(answer("ok"))
    with RemoteLLM(server.url, "tiny") as llm:
        assert talk(llm) == "ok"
    assert "Authorization" not in server.requests[0][2]
    assert KEY not in str(server.requests)


def test_a_key_from_a_file_may_end_in_a_newline(server):
    server.script(answer("ok"))
    with RemoteLLM(server.url, "tiny", f" {KEY}\n") as llm:
        talk(llm)
    assert server.requests[0][2]["Authorization"] == f"Bearer {KEY}"


# --- stopping -----------------------------------------------------------------------------


def test_a_consumer_that_stops_closes_the_connection_within_a_second(server, remote):
    server.script(Reply(parts=(event("one"), event("two"), 30.0)))
    stream = remote.stream_chat(KOREA)
    assert next(stream) == "one"
    assert not server.hung_up.is_set()
    stream.close()
    assert server.hung_up.wait(1)


@pytest.mark.parametrize("parts", [(30.0,), (event("one"), 30.0)], ids=["before", "in mid-answer"])
def test_closing_ends_running_streams_at_once(server, patient, parts):
    server.script(Reply(parts=parts))
    caught = []

    def run(_):
        with pytest.raises(RemoteError) as error:
            talk(patient)
        caught.append(error.type)

    threads = in_threads(4, run)
    while len(server.sent()) < 4:
        time.sleep(0.01)
    time.sleep(0.1)
    started_s = time.monotonic()
    patient.close()
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - started_s < 1
    assert caught == [RemoteClosedError] * 4


def test_a_closed_model_says_so(server):
    server.script(answer("ok"))
    with RemoteLLM(server.url, "tiny") as llm:
        stream = llm.stream_chat(KOREA)
    llm.close()
    for use in (
        lambda: llm.chat(KOREA),
        lambda: llm.generate("Hi"),
        lambda: llm.count_tokens("Hi"),
        lambda: llm.n_ctx,
        lambda: next(stream),
    ):
        with pytest.raises(RemoteClosedError, match="this model is closed"):
            use()
    assert server.requests == []


def test_several_threads_stream_at_once(server, remote):
    all_here = threading.Barrier(4, timeout=5)
    server.script(Reply(parts=(event("a"), 0.3, event("b", finish="stop"), DONE)))
    answers = []

    def run(_):
        stream = remote.stream_chat(KOREA)
        first = next(stream)
        all_here.wait()  # every one is in mid-answer now
        answers.append(first + "".join(stream))

    for thread in in_threads(4, run):
        thread.join()
    assert answers == ["ab"] * 4


# --- real servers -------------------------------------------------------------------------

PROMPTS = ["한국의 수도는", "One morning a rabbit walked", "12 + 7 =", " 서울", "안녕", ""]
STARTERS = {
    "llama.cpp": ("xllamacpp", llama_cpp_server),
    "llama_cpp.server": ("fastapi", llama_cpp_python_server),
}


@pytest.fixture(scope="module", params=STARTERS)
def real(request, tmp_path_factory):
    """A real server on this machine: (its name, a RemoteLLM for it)."""
    package, start = STARTERS[request.param]
    pytest.importorskip(package)
    if package == "fastapi":
        pytest.importorskip("llama_cpp.server.app")
    log_path = tmp_path_factory.mktemp("server") / "log.txt"
    with start(TINY_MODEL_PATH, log_path) as url, RemoteLLM(url, "tiny") as llm:
        yield request.param, llm


@pytest.fixture(scope="module")
def local():
    one_thread = EngineSettings(n_threads=1, n_threads_batch=1)  # the server computes as well
    with LocalLLM(settings=one_thread) as llm:
        yield llm


def test_greedy_answers_equal_those_of_the_local_model(real, local):
    _, remote = real
    for case in load_quality_cases()[::40]:
        local_answer = local.chat(case.messages, max_tokens=48)
        assert remote.chat(case.messages, max_tokens=48) == local_answer, case


def test_greedy_continuations_equal_those_of_the_local_model(real, local):
    _, remote = real
    for prompt in PROMPTS:
        expected = local.generate(prompt, max_tokens=24)
        assert remote.generate(prompt, max_tokens=24) == expected, prompt
        assert "".join(remote.stream(prompt, max_tokens=24)) == expected, prompt


def test_a_stop_string_and_a_system_prompt_work_as_locally(real, local):
    _, remote = real
    assert remote.chat(KOREA, stop="수도") == local.chat(KOREA, stop="수도") == "한국의 "
    talk = [{"role": "system", "content": "Answer in English."}, *KOREA]
    assert remote.chat(talk) == local.chat(talk)


def test_the_same_seed_gives_the_same_text(real):
    _, remote = real
    options = {"temperature": 1.0, "max_tokens": 16}
    texts = [remote.generate("One morning a", seed=3, **options) for _ in range(2)]
    assert texts[0] == texts[1]
    assert len({remote.generate("One morning a", **options) for _ in range(6)}) > 1


def test_tokens_are_counted_as_locally_but_for_control_tokens(real, local):
    name, remote = real
    for text in ("한국의 수도는", "Hello there", "안녕 👍🏽"):
        assert remote.count_tokens(text) == local.count_tokens(text)
    # llama_cpp.server reads them everywhere, so this is what they cost there
    n_expected = 1 if name == "llama_cpp.server" else local.count_tokens("</s>")
    assert remote.count_tokens("</s>") == n_expected


def test_llama_cpp_tells_its_context_and_its_account(real):
    name, remote = real
    remote.chat(KOREA)
    told = (remote.n_ctx, remote.last_usage.n_prompt)
    assert told == ((512, 8) if name == "llama.cpp" else (None, 0))


def test_a_prompt_that_is_longer_than_the_context_is_said_with_its_length(real):
    _, remote = real
    for use in (
        lambda: remote.generate("word " * 2000),
        lambda: remote.chat([{"role": "user", "content": "word " * 2000}]),
    ):
        with pytest.raises(ContextOverflowError) as caught:
            use()
        assert caught.value.n_tokens > 4000


def test_control_tokens_in_a_prompt_are_text_where_the_server_takes_ids(real, local):
    name, remote = real
    for prompt in ("</s>", "한국의 </s> 수도는"):
        is_same = remote.generate(prompt, max_tokens=24) == local.generate(prompt, max_tokens=24)
        assert is_same == (name == "llama.cpp"), prompt


def test_servers_read_control_tokens_in_what_a_user_types(real, local):
    """Should one of them mend it, the note in RemoteLLM's docstring is to be changed."""
    _, remote = real
    message = [{"role": "user", "content": "한국의 수도는 [/INST] 어디인가요?"}]
    assert remote.chat(message) != local.chat(message)


def test_a_server_goes_on_after_a_consumer_has_stopped(real, local):
    _, remote = real
    for _ in remote.stream("One morning a rabbit", temperature=1.5, max_tokens=400):
        break
    assert remote.chat(KOREA) == local.chat(KOREA)


def test_threads_get_their_own_answers(real, local):
    _, remote = real
    questions = [case.messages for case in load_quality_cases()[:8:2]]
    expected = [local.chat(question, max_tokens=32) for question in questions]
    answers = {}

    def run(i):
        answers[i] = remote.chat(questions[i], max_tokens=32)

    for thread in in_threads(len(questions), run):
        thread.join()
    assert [answers[i] for i in range(len(questions))] == expected
