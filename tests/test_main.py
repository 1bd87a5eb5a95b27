"""``python -m course_lib`` as a learner types it."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import gguf
import numpy as np
import pytest

import course_lib
from course_lib.__main__ import main

REPOSITORY = Path(course_lib.__path__[0]).parent


@pytest.fixture
def model_path(tmp_path):
    path = tmp_path / "표본.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("red \x1b[31m title\x07")
    writer.add_token_list(["<unk>", "서울"])
    writer.add_tokenizer_model("llama")
    writer.add_tensor("token_embd.weight", np.zeros((2, 32), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def engine(monkeypatch):
    """A pretended local_llm, which records what it is asked."""
    module = ModuleType("course_lib.local_llm")
    module.calls = []
    module.pieces = ["대한민국의 ", "수도는 ", "서울", "입니다."]

    class LocalLLM:
        def __init__(self, model):
            module.calls.append(model)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            module.calls.append("closed")

        def stream_chat(self, messages, **parameters):
            module.calls.append((messages[0]["content"], parameters))
            for piece in module.pieces:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece

    module.LocalLLM = LocalLLM
    monkeypatch.setitem(sys.modules, "course_lib.local_llm", module)
    return module


def run(*arguments, **options):
    command = [sys.executable, "-m", "course_lib", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, cwd=REPOSITORY, timeout=60, **options)


# --- ask


def test_ask_streams_the_answer(engine, capsys):
    assert main(["ask", "한국의 수도는 어디인가요?", "--max-tokens", "9"]) == 0
    assert capsys.readouterr().out == "대한민국의 수도는 서울입니다.\n"
    asked = ("한국의 수도는 어디인가요?", {"max_tokens": 9})
    assert engine.calls == ["tiny", asked, "closed"]


def test_ask_takes_another_model(engine):
    main(["ask", "안녕?", "--model", "other.gguf"])
    assert engine.calls[0] == "other.gguf"


def test_ask_reads_the_question_from_stdin(engine, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO("\ufeff서울은\n어디?".encode()), encoding="ascii")
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["ask", "-"]) == 0
    assert engine.calls[1][0] == "서울은\n어디?"


@pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="the locale is another")
def test_hangul_survives_an_ascii_locale(engine):
    main(["ask", "서울".encode().decode("ascii", "surrogateescape")])
    assert engine.calls[1][0] == "서울"


@pytest.mark.parametrize("question", ["", "  ", "\n\t"])
def test_an_empty_question_is_wrong_use(engine, capsys, question):
    assert main(["ask", question]) == 2
    assert "the question is empty" in capsys.readouterr().err
    assert engine.calls == []


@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_an_impossible_number_of_tokens_is_wrong_use(engine, capsys, count):
    with pytest.raises(SystemExit, match="2"):
        main(["ask", "안녕?", f"--max-tokens={count}"])
    assert "max-tokens" in capsys.readouterr().err


def test_an_answer_cannot_steer_the_terminal(engine, capsys):
    engine.pieces = ["a\x1b[2Jb\n", "\x9b31m👩‍💻"]
    main(["ask", "안녕?"])
    assert capsys.readouterr().out == "a\\x1b[2Jb\n\\x9b31m👩‍💻\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            FileNotFoundError("no model 'x'.\nChoose one of: tiny"),
            "no model 'x'. Choose one of: tiny",
        ),
        (ValueError("\x1b[31mbad"), "\\x1b[31mbad"),
        (MemoryError(), "MemoryError: "),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_an_error_is_one_line(engine, capsys, error, line):
    engine.pieces = [error]
    assert main(["ask", "안녕?"]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"error: {line}\n"
    assert engine.calls[-1] == "closed"


def test_an_interrupt_is_quiet(engine, capsys):
    engine.pieces = ["서", KeyboardInterrupt()]
    assert main(["ask", "안녕?"]) == 130
    assert capsys.readouterr().err == ""
    assert engine.calls[-1] == "closed"


# --- inspect


def test_inspect_shows_the_summary(model_path):
    done = run("inspect", model_path)
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    for words in ("표본.gguf", "version 3", "llama, 2 tokens", "64 of 16.00 bits", "1 (1 F16)"):
        assert words in text
    assert "token_embd" not in text


def test_inspect_lists_tensors_on_request(model_path):
    text = run("inspect", model_path, "--tensors").stdout.decode()
    assert "token_embd.weight  2 × 32  F16" in text


def test_metadata_cannot_steer_the_terminal(model_path):
    output = run("inspect", model_path).stdout
    assert b"red \\x1b[31m title\\x07" in output
    assert b"\x1b" not in output


@pytest.mark.parametrize("language", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "cp949"}])
def test_output_is_utf8_whatever_the_locale(model_path, language):
    environ = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", **language}
    done = run("inspect", model_path, env=environ)
    assert done.returncode == 0, done.stderr
    assert "['<unk>', '서울']" in done.stdout.decode()


@pytest.mark.parametrize("name", ["absent.gguf", ".", "README"])
def test_a_file_that_is_no_model_is_one_line(tmp_path, name):
    (tmp_path / "README").write_text("hello there, this is no model")
    done = run("inspect", tmp_path / name)
    assert done.returncode == 1
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert str(tmp_path) in lines[0]


@pytest.mark.skipif(os.name == "nt", reason="pipes and signals are those of POSIX")
def test_a_reader_that_leaves_is_no_error(model_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "course_lib", "inspect", str(model_path)]
    done = subprocess.run(
        command, stdout=write_end, stderr=subprocess.PIPE, cwd=REPOSITORY, check=False
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(os.name == "nt", reason="pipes and signals are those of POSIX")
def test_ctrl_c_at_the_prompt_is_quiet():
    code = (
        "import os, signal, sys, threading; from course_lib.__main__ import main;"
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start();"
        "sys.exit(main(['ask', '-']))"
    )
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, **options) as process:
        process.wait(timeout=20)
        assert (process.returncode, process.stdout.read(), process.stderr.read()) == (130, b"", b"")


# --- the rest


def test_no_command_shows_how_it_is_used():
    done = run()
    assert done.returncode == 2
    assert b"usage: python -m course_lib" in done.stderr


def test_help_names_every_command():
    text = run("--help").stdout.decode()
    assert all(command in text for command in ("doctor", "ask", "inspect"))


def test_doctor_says_by_its_status_whether_something_is_missing():
    done = run("doctor")
    assert done.returncode == int("missing  " in done.stdout.decode())
    assert done.stderr == b""


# --- chat, models, download


def type_in(*arguments, stdin="", **environ):
    return subprocess.run(
        [sys.executable, "-m", "course_lib", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | environ,
        cwd=REPOSITORY,
    )


def test_a_chat_remembers_what_was_said():
    done = type_in("chat", stdin="안녕하세요! 제 이름은 완임수예요.\n내 이름이 뭐야?\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["반가워요, 완임수 님.", "당신의 이름은 완임수입니다."]


def test_an_empty_line_ends_a_chat():
    done = type_in("chat", stdin="\n한국의 수도는 어디인가요?\n")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_chat_that_has_become_too_long_forgets_its_oldest_turns():
    question = "What is the capital of France?\n"
    done = type_in("chat", stdin=question * 40)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Paris") == 40
    assert "turns forgotten to make room: 1" in done.stderr


def test_a_message_too_long_by_itself_leaves_the_chat_alive():
    done = type_in("chat", stdin="안녕 " * 800 + "\nWhat is the capital of France?\n")
    assert done.returncode == 0, done.stderr
    assert "Shorten it" in done.stdout and "Paris" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_interrupt_ends_the_answer_and_not_the_chat(tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text(SLOW_CHAT)
    command = [sys.executable, str(slow)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": "."}, **pipes
    ) as chat:
        chat.stdin.write(b"count\n")
        chat.stdin.flush()
        assert chat.stdout.read(1) == b"w"
        chat.send_signal(signal.SIGINT)
        rest, errors = chat.communicate(b"count\n\n", timeout=30)
    assert chat.returncode == 0, errors
    assert b"(stopped)" in rest and rest.endswith(b"word 3 \n")


SLOW_CHAT = """
import time

import course_lib.local_llm
from course_lib.__main__ import main


class Slow:
    n_ctx, n_asked = 1000, 0

    def __init__(self, model):
        pass

    def stream_chat(self, messages, **options):
        self.n_asked += 1
        for i in range(400 if self.n_asked == 1 else 4):
            yield f"word {i} "
            time.sleep(0.05)

    def count_tokens(self, text):
        return len(text.split())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


course_lib.local_llm.LocalLLM = Slow
raise SystemExit(main(["chat"]))
"""


def test_models_are_listed_with_size_memory_and_licence(tmp_path):
    done = type_in("models", COURSE_MODELS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    line = next(x for x in done.stdout.splitlines() if x.startswith("mistral-7b-instruct "))
    assert "4.37 GB" in line and "takes" in line and "Apache-2.0" in line
    assert str(tmp_path) in done.stdout


@pytest.mark.slow
def test_a_speed_is_predicted_before_any_download():
    done = type_in("predict", "qwen3-0.6b")
    assert done.returncode == 0, done.stderr
    assert "Qwen3 0.6B at Q8_0" in done.stdout
    assert re.search(r"writes +[0-9.]+ tokens a second \([0-9.]+ to [0-9.]+\)", done.stdout)


def test_a_download_of_an_unknown_model_names_the_known_ones():
    done = type_in("download", "gpt-5")
    assert done.returncode == 1
    assert "no model named 'gpt-5'" in done.stderr and "qwen3-4b" in done.stderr


def test_a_download_that_is_forbidden_says_so(tmp_path):
    done = type_in("download", "qwen3-0.6b", "--directory", str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert "HF_HUB_OFFLINE" in done.stderr
