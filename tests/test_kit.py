"""Offline kits: whole or not at all, checked by the system's own tools, for the right machine."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from hashlib import sha256

import pytest

from course_lib.model_catalog import MODELS
from tools import kit, kit_wheels
from tools.install_engine import PACKAGE, ROOT
from tools.kit import KitError, check_kit, course_files, make_kit
from tools.kit_target import Target
from tools.kit_wheels import requirements, run_pip

NAME = "qwen3-0.6b"
HERE = Target("Linux", "x86_64", ("glibc", "2.36"), ("3.11",))


@pytest.fixture
def course(tmp_path):
    """A small course, with what must not travel."""
    root = tmp_path / "my course"  # a space, as on many a stick
    for name in (
        "Makefile",
        "notebooks/ko/00_시작.ipynb",
        "course_lib/data/tiny.gguf",
        "models/large.gguf",
        "lost.gguf",
        ".venv/bin/python",
        "build/kit/course/Makefile",
        "course_lib/__pycache__/a.pyc",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


@pytest.fixture
def wheels(monkeypatch):
    """Stands for pip: packages come from nowhere; the test may add what happens meanwhile."""
    meanwhile = []

    def collect(python, folder, root):
        folder.mkdir()
        (folder / "llama_cpp_python-0-py3-none-any.whl").write_bytes(b"engine")
        for action in meanwhile:
            action()
        return "3.11"

    monkeypatch.setattr(kit, "collect_wheels", collect)
    return meanwhile


@pytest.fixture
def model(monkeypatch, tmp_path):
    """A catalogue with one model, whose file is here."""
    path = tmp_path / "published" / "model.gguf"
    path.parent.mkdir()
    path.write_bytes(b"weights " * 1000)
    digest = sha256(path.read_bytes()).hexdigest()
    entry = replace(MODELS[NAME], sha256=digest, size_bytes=8000, file_name=path.name)
    monkeypatch.setitem(MODELS, NAME, entry)
    monkeypatch.setenv("COURSE_MODELS", str(path.parent))
    return path


def verified(folder):
    """What the system's `sha256sum -c` says about a kit."""
    tool = shutil.which("sha256sum")
    command = [tool, "-c"] if tool else ["shasum", "-a", "256", "-c"]
    return subprocess.run([*command, "SHA256SUMS"], cwd=folder, capture_output=True, text=True)


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_kit_holds_the_course_and_the_packages_and_nothing_else(course, wheels):
    made = make_kit(course / "build" / "stick", root=course)
    assert files_of(made) == {
        "README.txt",
        "SHA256SUMS",
        "kit.json",
        "wheels/llama_cpp_python-0-py3-none-any.whl",
        "course/Makefile",
        "course/notebooks/ko/00_시작.ipynb",
        "course/course_lib/data/tiny.gguf",
    }


def test_the_systems_own_tool_finds_every_file_whole_and_notices_a_damaged_one(
    course, wheels, tmp_path
):
    made = make_kit(tmp_path / "kit", root=course)
    listed = {line.split("  ", 1)[1] for line in (made / "SHA256SUMS").read_text().splitlines()}
    assert listed == files_of(made) - {"SHA256SUMS"}
    assert verified(made).returncode == 0
    damaged = made / "course" / "course_lib" / "data" / "tiny.gguf"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    said = verified(made)
    assert said.returncode != 0
    assert "tiny.gguf: FAILED" in said.stdout


def test_the_readme_speaks_both_languages_and_names_the_machine(course, wheels, tmp_path):
    text = (make_kit(tmp_path / "kit", root=course) / "README.txt").read_text(encoding="utf-8")
    assert "make lab EDITION=ko" in text
    assert "Copy this whole folder" in text and "폴더를 통째로" in text
    assert text.count(Target.here(["3.11"]).described) == 2
    assert max(map(len, text.splitlines())) <= 100


def test_new_and_changed_files_travel_deleted_and_ignored_ones_do_not(course, wheels, tmp_path):
    git = shutil.which("git") or pytest.skip("no git here")

    def run(*arguments):
        subprocess.run([git, "-C", course, *arguments], check=True, capture_output=True)

    (course / ".gitignore").write_text("build/\n.venv/\n__pycache__/\n*.gguf\n!course_lib/data/*\n")
    (course / "old.md").write_text("old")
    run("init")
    run("add", ".")
    (course / "old.md").unlink()
    (course / "new.md").write_text("new")
    copied = files_of(make_kit(tmp_path / "kit", root=course) / "course")
    assert {"new.md", "course_lib/data/tiny.gguf"} <= copied
    assert not {"old.md", "lost.gguf", ".venv/bin/python", "build/kit/course/Makefile"} & copied


def test_a_course_below_somebody_elses_repository_is_not_taken_for_empty(course, tmp_path):
    git = shutil.which("git") or pytest.skip("no git here")
    subprocess.run([git, "init", tmp_path], check=True, capture_output=True)
    (tmp_path / ".gitignore").write_text("*\n")
    assert "Makefile" in course_files(course)


def test_a_kit_within_the_course_does_not_swallow_its_predecessor(course, wheels):
    for _ in range(2):
        made = make_kit(course / "stick", root=course)
    assert not [name for name in files_of(made) if "stick" in name]


@pytest.mark.parametrize("content", ["thesis.txt", "course/Makefile"])
def test_a_folder_that_is_no_kit_is_left_alone(course, wheels, tmp_path, content):
    theirs = tmp_path / "theirs" / content
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(KitError, match="no kit, so nothing was changed"):
        make_kit(tmp_path / "theirs", root=course)
    assert files_of(tmp_path / "theirs") == {content}
    with pytest.raises(KitError, match="no folder"):
        make_kit(theirs, root=course)


def test_a_kit_in_which_somebody_has_worked_is_left_alone(course, wheels, tmp_path):
    made = make_kit(tmp_path / "kit", root=course)
    (made / "course" / ".venv").mkdir()
    with pytest.raises(KitError, match="somebody has worked"):
        make_kit(made, root=course)


def test_an_older_kit_is_replaced(course, wheels, tmp_path):
    made = make_kit(tmp_path / "kit", root=course)
    (made / "course" / "gone.md").write_text("old")
    make_kit(made, root=course)
    assert "course/gone.md" not in files_of(made)
    assert verified(made).returncode == 0


@pytest.mark.parametrize("error", [KitError("no network"), KeyboardInterrupt(), OSError("full")])
def test_what_breaks_off_leaves_nothing_behind(course, wheels, tmp_path, error):
    def fail():
        raise error

    old = make_kit(tmp_path / "old", root=course)
    before = files_of(old)
    wheels.append(fail)
    for output in (tmp_path / "new" / "kit", old):
        with pytest.raises(type(error)):
            make_kit(output, root=course)
    assert not list((tmp_path / "new").iterdir())
    assert files_of(old) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".old")]


def test_a_signal_to_end_leaves_nothing_behind(tmp_path):
    slow = "import time, tools.kit as k; k.collect_wheels = lambda *a: print('on', flush=True) or "
    code = f"{slow}time.sleep(60)\nimport signal, sys\n"
    code += "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
    code += "sys.exit(k.main(['--output', sys.argv[1]]))"
    command = [sys.executable, "-c", code, str(tmp_path / "kit")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        while process.stdout.readline().strip() != "on":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 130
    assert not list(tmp_path.iterdir())


def test_a_model_is_copied_to_where_the_course_looks_for_it(course, wheels, model, tmp_path):
    made = make_kit(tmp_path / "kit", [NAME], root=course)
    assert (made / "course" / "models" / model.name).read_bytes() == model.read_bytes()
    assert NAME in (made / "README.txt").read_text(encoding="utf-8")


def test_a_model_with_another_content_stays_here(course, wheels, model, tmp_path):
    model.write_bytes(b"Weights " * 1000)  # as long as it should be
    with pytest.raises(KitError, match="SHA-256 differs"):
        make_kit(tmp_path / "kits" / "kit", [NAME], root=course)
    assert not list((tmp_path / "kits").iterdir())


def test_a_model_that_is_not_here_is_not_downloaded(course, wheels, model, tmp_path):
    model.unlink()
    with pytest.raises(KitError, match=f"course_lib download {NAME}"):
        make_kit(tmp_path / "kit", [NAME], root=course)
    with pytest.raises(KitError, match="Choose of"):
        make_kit(tmp_path / "kit", ["no-such-model"], root=course)


def test_the_packed_kit_unpacks_to_the_same_files(course, wheels, tmp_path):
    made = make_kit(tmp_path / "out" / "kit", root=course, with_tar=True)
    assert {path.name for path in made.parent.iterdir()} == {"kit", "kit.tar"}
    with tarfile.open(made.parent / "kit.tar") as archive:
        archive.extractall(tmp_path / "there")
    assert files_of(tmp_path / "there" / "kit") == files_of(made)
    assert verified(tmp_path / "there" / "kit").returncode == 0


def test_too_full_a_disk_is_noticed_first(course, wheels, tmp_path, monkeypatch):
    monkeypatch.setattr(kit.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1))
    with pytest.raises(KitError, match="too little"):
        make_kit(tmp_path / "kit", root=course)


# ---- On the other machine ---------------------------------------------------------------------


def made_for(tmp_path, target, wheels, course, monkeypatch):
    monkeypatch.setattr(Target, "here", classmethod(lambda cls, pythons=(): target))
    return make_kit(tmp_path / "kit", root=course)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"system": "Darwin", "c_library": ("", "")}, "this machine is Darwin"),
        ({"machine": "aarch64"}, r"this machine is Linux \(aarch64\)"),
        ({"c_library": ("", "")}, "another C library"),
        ({"pythons": ("3.12",)}, r"this is Python 3.12.\n.*PYTHON=python3.11\n"),
    ],
)
def test_another_machine_is_refused_with_the_reason(
    course, wheels, tmp_path, monkeypatch, other, reason
):
    made = made_for(tmp_path, HERE, wheels, course, monkeypatch)
    assert check_kit(made, HERE) == []
    with pytest.raises(KitError, match=reason) as refused:
        check_kit(made, replace(HERE, **other))
    assert "Linux (x86_64), Python 3.11" in str(refused.value)
    assert "make lab KIT=" in str(refused.value)


def test_an_older_c_library_is_a_warning(course, wheels, tmp_path, monkeypatch):
    made = made_for(tmp_path, HERE, wheels, course, monkeypatch)
    (warning,) = check_kit(made, replace(HERE, c_library=("glibc", "2.9")))
    assert "older" in warning
    assert check_kit(made, replace(HERE, c_library=("glibc", "2.41"))) == []


def test_what_is_no_kit_is_said_to_be_none(tmp_path, capsys):
    for content in (None, "{}", "[]", "no JSON"):
        if content is not None:
            (tmp_path / "kit.json").write_text(content)
        assert kit.main(["--check", str(tmp_path)]) == 1
        assert "is not a kit" in capsys.readouterr().err


def test_the_check_needs_nothing_that_is_not_installed_yet(course, wheels, tmp_path):
    made = make_kit(tmp_path / "kit", root=course)
    mark = (made / "kit.json").read_text()
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    (made / "kit.json").write_text(mark.replace('"3.11"', f'"{version}"'))
    command = [sys.executable, "-I", "-S", "-c"]  # -S: no site-packages
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tools.kit import main; "
    code += "sys.exit(main(['--check', sys.argv[1]]))"
    done = subprocess.run([*command, code, str(made)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("inside", [True, False])
def test_make_lets_pip_see_the_kit_alone(tmp_path, inside):
    make = shutil.which("make") or pytest.skip("no make here")
    found = tmp_path / "a kit"
    folder = found / "course" if inside else tmp_path / "clone"
    for needed in (found, folder):
        needed.mkdir(parents=True, exist_ok=True)
    (found / "kit.json").write_text("{}")
    shutil.copy(ROOT / "Makefile", folder)
    printed = "\nshow:\n\t@echo $$PIP_NO_INDEX $$PIP_FIND_LINKS\n"
    (folder / "show.mk").write_text("include Makefile\n" + printed)

    def shown(*settings):
        command = [make, "-s", "-f", "show.mk", "show", f"PYTHON={sys.executable}", *settings]
        environment = {**os.environ, "PIP_FIND_LINKS": "/elsewhere"}
        environment.pop("PIP_NO_INDEX", None)  # when the tests run inside a kit
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        return done.stdout.strip()

    assert shown(*([] if inside else [f"KIT={found}"])) == f"1 {(found / 'wheels').as_uri()}"
    assert shown("KIT=") == "/elsewhere"


# ---- Packages ---------------------------------------------------------------------------------


def test_the_requirements_are_those_of_the_project_and_of_its_build():
    wanted = requirements()
    names = {line.split("=")[0].split(">")[0].split("[")[0].split("<")[0] for line in wanted}
    assert {"numpy", PACKAGE, "pytest", "nbval", "openai", "hatchling", "pip", "editables"} <= names
    assert not any(line.startswith("course-lib") for line in wanted)


def test_pips_last_words_are_passed_on():
    with pytest.raises(KitError, match=r"last words:\n(.*\n)*sorry"):
        run_pip([sys.executable, "-c", "import sys; print('sorry'); sys.exit(3)"], "trying")


def test_a_long_step_says_where_it_is(monkeypatch, capsys):
    monkeypatch.setattr(kit_wheels, "HEARTBEAT_S", 0.3)
    code = "import time; print('Collecting jupyterlab', flush=True); time.sleep(1)"
    started = time.monotonic()
    run_pip([sys.executable, "-c", code], "packages")
    assert time.monotonic() - started < 30
    assert "packages, " in (said := capsys.readouterr().out)
    assert "Collecting jupyterlab" in said


class FakePip:
    """Stands for pip and the engine: records what is asked of it, and answers as the test says."""

    def __init__(self, monkeypatch, wheels, answers, runs):
        self.asked, self.answers, self.runs, self.wheels = [], answers, runs, wheels
        monkeypatch.setattr(kit_wheels, "run_pip", self.run)
        monkeypatch.setattr(kit_wheels, "engine_runs", lambda pip, wheels: self.runs.pop(0))
        monkeypatch.setattr(kit_wheels, "find_compilers", dict)

    def run(self, command, label, environment=None):
        self.asked.append("compile" if "--no-binary" in command else "ready-made")
        if not self.answers.pop(0):
            raise KitError("pip failed")
        (self.wheels / "llama_cpp_python-1-py3-none-any.whl").touch()


@pytest.mark.parametrize(
    ("cmake_args", "answers", "runs", "asked"),
    [
        ("", [True], [True], ["ready-made"]),
        ("", [False, True], [True], ["ready-made", "compile"]),
        ("", [True, True], [False, True], ["ready-made", "compile"]),
        ("-DGGML_CUDA=on", [True], [True], ["compile"]),
    ],
)
def test_the_engine_of_a_kit_is_one_that_runs_here(
    monkeypatch, tmp_path, cmake_args, answers, runs, asked
):
    monkeypatch.setenv("CMAKE_ARGS", cmake_args)
    pip = FakePip(monkeypatch, tmp_path, answers, runs)
    kit_wheels.collect_engine(["pip"], tmp_path, "1")
    assert pip.asked == asked
    assert len(list(tmp_path.iterdir())) == 1


def test_an_engine_that_does_not_run_makes_no_kit(monkeypatch, tmp_path):
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    FakePip(monkeypatch, tmp_path, [False, True], [False])
    with pytest.raises(KitError, match="does not run"):
        kit_wheels.collect_engine(["pip"], tmp_path, "1")
