"""The doctor's report, against what is really installed, and in a bare Python."""

import importlib.metadata
import os
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from course_lib import doctor, hardware
from course_lib.doctor import Check, Report

REPOSITORY = Path(doctor.__file__).parents[1]


def find(report, name):
    return next(check for check in report.checks if check.name == name)


def machine(**changes):
    values = {
        "os": "Linux",
        "machine": "x86_64",
        "cpu_name": "a processor",
        "physical_cores": 4,
        "logical_cores": 8,
        "ram_bytes": 16 * 10**9,
        "available_ram_bytes": 8 * 10**9,
        "cpu_features": ("AVX", "AVX2"),
        "gpus": (),
        "disk_free_bytes": 50 * 10**9,
    }
    return hardware.Hardware(**(values | changes))


@pytest.fixture
def report_on(monkeypatch):
    def report(**changes):
        monkeypatch.setattr(hardware, "detect_hardware", lambda *_: machine(**changes))
        return doctor.doctor()

    return report


@pytest.mark.parametrize("name", ["numpy", "gguf", "psutil", "matplotlib", "jupyterlab"])
def test_versions_are_those_installed(name):
    check = find(doctor.doctor(), name)
    assert (check.status, check.found) == ("OK", importlib.metadata.version(name))


def test_everything_that_is_not_ok_has_a_fix(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert all(check.fix for check in doctor.doctor().checks if check.status != "OK")


def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", missing)
    report = doctor.doctor()
    check = find(report, "llama-cpp-python")
    assert check.status == "missing"
    assert "pip install" in check.fix
    assert "whl/cpu" in check.fix
    assert not report.ok


def test_a_package_that_cannot_be_loaded_says_why(monkeypatch):
    def fail(name):
        raise OSError("libgomp.so.1: cannot open\nshared object file")

    monkeypatch.setattr(doctor, "import_module", fail)
    check = find(doctor.doctor(), "llama-cpp-python")
    assert check.status == "missing"
    assert "libgomp.so.1: cannot open shared object file" in check.found


def test_a_version_that_the_course_does_not_want_is_a_warning(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy>=99", "gguf>=0.1"])
    report = doctor.doctor()
    assert find(report, "numpy").status == "warning"
    assert ">=99" in find(report, "numpy").fix
    assert find(report, "gguf").status == "OK"


def test_works_with_nothing_installed_at_all():
    command = [sys.executable, "-S", "-m", "course_lib", "doctor"]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, env=environ, cwd=REPOSITORY, timeout=60)
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (1, b"")
    for name in ("numpy", "gguf", "llama-cpp-python", "psutil", "jupyterlab"):
        assert f"missing  {name}" in text


def test_a_check_that_fails_is_a_finding(monkeypatch):
    def fail():
        raise ZeroDivisionError("by accident")

    monkeypatch.setattr(doctor, "_check_hangul_font", fail)
    check = find(doctor.doctor(), "Hangul font")
    assert (check.status, "by accident" in check.found) == ("warning", True)


def test_takes_less_than_two_seconds():
    start = time.perf_counter()
    doctor.doctor()
    assert time.perf_counter() - start < 2


# --- this machine


def test_a_good_machine_is_ok(report_on):
    report = report_on()
    names = ("processor", "CPU features", "memory", "disk", "GPU")
    assert [find(report, name).status for name in names] == ["OK"] * 5
    assert "4 cores, 8 threads" in str(report)


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"available_ram_bytes": 10**8}, "memory", "Close programs"),
        ({"disk_free_bytes": 10**9}, "disk", "Mistral 7B takes 4.4 GB"),
        ({"cpu_features": ("AVX",)}, "CPU features", "no-binary"),
        ({"os": "Darwin", "machine": "arm64"}, "GPU", "DGGML_METAL"),
    ],
)
def test_a_weak_machine_gets_a_warning_with_advice(report_on, changes, name, words):
    check = find(report_on(**changes), name)
    assert check.status == "warning"
    assert words in check.fix


def test_a_gpu_is_shown_with_its_memory(report_on):
    check = find(report_on(gpus=(hardware.Gpu("A100 (CUDA0)", 3 * 10**10, 4 * 10**10),)), "GPU")
    assert (check.status, check.found) == ("OK", "A100 (CUDA0), 30.0 GB of 40.0 GB free")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no file"), (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer")],
)
def test_a_tiny_model_that_is_not_whole_is_missing(monkeypatch, tmp_path, content, words):
    path = tmp_path / "tiny.gguf"
    if content:
        path.write_bytes(content)
    monkeypatch.setattr(doctor, "TINY_MODEL_PATH", path)
    check = find(doctor.doctor(), "tiny model")
    assert check.status == "missing"
    assert words in check.found


@pytest.mark.parametrize(("engine_is_there", "status"), [(True, "OK"), (False, "missing")])
def test_compilers_are_needed_only_where_llama_cpp_is_missing(monkeypatch, engine_is_there, status):
    monkeypatch.setattr(doctor, "missing_languages", lambda: ["C++"])
    check = doctor._check_compilers(engine_is_there)
    assert check.status == status
    assert "C++" in check.found


# --- how it looks


def test_text_says_each_status_in_words():
    checks = (Check("a", "OK", "1"), Check("b", "warning", "2", "do"), Check("c", "missing", "3"))
    lines = str(Report(checks)).splitlines()
    assert [lines[i].split()[0] for i in (0, 1, 3)] == ["OK", "warning", "missing"]
    assert lines[2].split() == ["fix:", "do"]
    assert lines[-1] == "2 of 3 need attention: b, c"


def test_a_warning_leaves_the_report_ok():
    assert Report((Check("a", "warning", ""),)).ok
    assert not Report((Check("a", "missing", ""),)).ok
    assert str(Report((Check("a", "OK", "1"),))).endswith("All 1 checks are OK.")


def test_html_shows_text_as_text():
    class Collector(HTMLParser):
        def __init__(self):
            super().__init__()
            self.tags, self.text = set(), ""

        def handle_starttag(self, tag, attrs):
            self.tags.add(tag)

        def handle_data(self, data):
            self.text += data

    collector = Collector()
    collector.feed(Report((Check("<b>", "missing", "<script>x</script>", "a & b"),))._repr_html_())
    assert {"script", "b"}.isdisjoint(collector.tags)
    assert "<script>x</script>" in collector.text
    assert "✗ missing" in collector.text
