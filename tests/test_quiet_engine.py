"""Catching what C code writes, and finding the cause of a failure in it."""

import ctypes
import os
import subprocess
import sys
import tempfile
import threading

import pytest

from course_lib import quiet_engine
from course_lib.quiet_engine import captured_chatter

llama_cpp = pytest.importorskip("llama_cpp")


def log(level, text):
    """Log a line as llama.cpp does, through the callback that is set."""
    callback, user_data = llama_cpp.llama_log_callback(), ctypes.c_void_p()
    llama_cpp.llama_log_get(ctypes.pointer(callback), ctypes.pointer(user_data))
    callback(level, text, user_data)


def test_what_c_code_writes_is_caught_and_not_shown(capfd):
    with captured_chatter() as chatter:
        os.write(2, b"ggml: 42\n")
    os.write(2, b"after\n")
    assert chatter.stderr == "ggml: 42\n"
    assert capfd.readouterr().err == "after\n"


def test_the_first_line_that_was_logged_as_an_error_is_the_cause():
    with captured_chatter() as chatter:
        log(2, b"kv 0: general.name = missing error\n")  # information, whatever it says
        log(3, b"possible training context overflow\n")
        log(4, "error loading model: 없는 구조\n".encode())
        log(4, b"failed to load model\n")
        os.write(2, b"error: later\n")
    assert chatter.first_error() == "error loading model: 없는 구조"


def test_without_a_logged_error_stderr_is_searched():
    with captured_chatter() as chatter:
        os.write(2, b"loading\nCUDA error: out of memory\n")
    assert chatter.first_error() == "CUDA error: out of memory"


def test_no_error_is_an_empty_text():
    with captured_chatter() as chatter:
        os.write(2, b"loading\n")
    assert chatter.first_error() == ""


def test_bytes_that_are_not_utf_8_do_no_harm():
    with captured_chatter() as chatter:
        log(4, b"error \xff\n")
        os.write(2, b"\xff\n")
    assert chatter.first_error() == "error �"


def test_stderr_comes_back_after_an_exception(capfd):
    with pytest.raises(KeyboardInterrupt), captured_chatter():
        os.write(2, b"hidden\n")
        raise KeyboardInterrupt
    os.write(2, b"shown\n")
    assert capfd.readouterr().err == "shown\n"


def test_stderr_comes_back_after_captures_in_two_threads(capfd):
    first_is_in, second_waits = threading.Event(), threading.Event()
    caught = {}

    def first():
        with captured_chatter() as caught["first"]:
            first_is_in.set()
            second_waits.wait(10)
            os.write(2, b"first\n")

    def second():
        first_is_in.wait(10)
        second_waits.set()
        with captured_chatter() as caught["second"]:
            os.write(2, b"second\n")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    os.write(2, b"after\n")
    assert (caught["first"].stderr, caught["second"].stderr) == ("first\n", "second\n")
    assert capfd.readouterr().err == "after\n"


def test_without_a_folder_to_write_to_the_chatter_is_still_hidden(monkeypatch, capfd):
    def no_folder():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_folder)
    with captured_chatter() as chatter:
        os.write(2, b"hidden\n")
        log(4, b"error: logged\n")
    assert chatter.first_error() == "error: logged"
    assert capfd.readouterr().err == ""


def test_a_program_without_stderr_can_capture():
    program = (
        "import os, sys\n"
        "sys.stderr = None\n"
        "os.close(2)\n"
        "from course_lib.quiet_engine import captured_chatter\n"
        "with captured_chatter() as chatter:\n"
        "    pass\n"
        "print(repr(chatter.first_error()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "''\n"


def test_no_file_descriptor_is_left_open():
    def n_open():
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        pytest.skip("this system does not list its file descriptors")
    with captured_chatter():
        pass
    before = n_open()
    for _ in range(5):
        with captured_chatter():
            pass
    assert n_open() == before


def test_only_one_capture_at_a_time_holds_the_process():
    with captured_chatter():
        taken = threading.Thread(target=lambda: results.append(_can_take()))
        results = []
        taken.start()
        taken.join()
    assert results == [False]
    assert _can_take()


def _can_take():
    taken = quiet_engine._capturing.acquire(blocking=False)
    if taken:
        quiet_engine._capturing.release()
    return taken
