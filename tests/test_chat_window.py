"""The chat window without a browser; tests/test_jupyterlab.py tries it in one."""

from __future__ import annotations

import re
import threading
import time

import pytest

from course_lib.chat_window import ChatWindow
from course_lib.local_llm import LocalLLM
from tests.test_chat_service import BreakingModel, ScriptedModel

HOSTILE = "<script>alert(1)</script> **bold** & \"' $x^2$"


@pytest.fixture
def window():
    """A window over a model that repeats what it is told."""
    return ChatWindow(ScriptedModel())


def say(window, message):
    """Send a message and wait for the answer."""
    window.send(message)
    window.wait(timeout_s=20)


def visible(page):
    """The text of HTML without its tags."""
    return re.sub(r"<[^<>]*>", "", page)


def test_a_window_talks_with_the_course_model():
    with LocalLLM("tiny") as llm:
        window = ChatWindow(llm)
        say(window, "안녕하세요, 저는 수민이에요.")
        say(window, "제 이름이 뭐예요?")
        assert "수민" in window.messages[-1][1]
        assert f"of {llm.n_ctx} tokens" in window._counter.value


def test_the_return_key_sends_what_was_typed(window):
    window._text.value = "one two"
    window._text._handle_custom_msg({"event": "submit"}, [])
    window.wait()
    assert window.messages == [("user", "one two"), ("assistant", "one two ")]
    assert window._text.value == ""


def test_nothing_is_sent_without_words_or_while_an_answer_is_written():
    window = ChatWindow(ScriptedModel(seconds_a_token=0.05))
    say(window, "  \n")
    assert window.messages == []
    window.send("one two three")
    window.send("meanwhile")
    window.wait()
    assert [text for _, text in window.messages] == ["one two three", "one two three "]


def test_both_sides_are_shown_as_text(window):
    say(window, HOSTILE)
    page = window._past.value
    assert set(re.findall(r"</?(\w+)", page)) == {"div"}
    assert visible(page).count("&lt;script&gt;alert(1)&lt;/script&gt; **bold** &amp;") == 2


def test_an_error_is_shown_and_the_next_message_answered():
    window = ChatWindow(BreakingModel("one <b>two</b> three"))
    say(window, "please break")
    assert window.messages[-2:] == [("assistant", "one "), ("notice", "the model has gone")]
    say(window, "again")
    assert window.messages[-1] == ("assistant", "one <b>two</b> three ")


def test_stopping_keeps_what_was_said_and_leaves_no_thread():
    window = ChatWindow(ScriptedModel("word " * 400, seconds_a_token=0.01))
    window.send("go")
    time.sleep(0.15)
    assert window._send.disabled and not window._stop.disabled
    assert "word" in window._current.value  # it streams
    started = time.perf_counter()
    window.stop()
    window.wait()
    assert time.perf_counter() - started < 0.3
    assert window.messages[1][1].startswith("word ")
    assert window.messages[2][0] == "notice"
    assert window._stop.disabled and not window._send.disabled
    window.service.close()
    names = {thread.name for thread in threading.enumerate()}
    assert "fair-queue" not in names


def test_stopping_at_once_is_not_too_early():
    window = ChatWindow(ScriptedModel("word " * 400, seconds_a_token=0.01))
    started = time.perf_counter()
    window.send("go")
    window.stop()
    window.wait()
    assert time.perf_counter() - started < 1
    assert window.messages[-1][0] == "notice"
    window.service.close()


def test_stopping_when_nothing_is_written_does_nothing(window):
    window.stop()
    say(window, "one")
    window.stop()
    assert window.messages[-1] == ("assistant", "one ")


def test_clearing_forgets_the_conversation(window):
    say(window, "one")
    window._clear.click()
    assert window.messages == []
    assert "0 of 1000" in window._counter.value
    say(window, "two")
    assert window.service.model.seen[-1] == ["two"]


def test_a_closed_window_says_what_to_do(window):
    window.service.close()
    say(window, "anybody there?")
    assert window.messages[-1][0] == "notice"
    assert "Run the cell" in window.messages[-1][1]


def test_settings_hold_for_the_next_message(window):
    say(window, "one two three")
    window._max_tokens.value = 2
    window._system.value = "be <b>kind</b>"
    say(window, "one two three")
    assert window.messages[-1] == ("assistant", "one two ")
    assert window.service.model.seen[-1][0] == "be <b>kind</b>"


@pytest.mark.parametrize(("edition", "label"), [("en", "Send"), ("ko", "보내기")])
def test_labels_are_in_the_language_of_the_edition(monkeypatch, edition, label):
    monkeypatch.setenv("COURSE_LANGUAGE", edition)
    window = ChatWindow(ScriptedModel())
    assert window._send.description == label
    assert repr(window) == "ChatWindow(ScriptedModel)"
