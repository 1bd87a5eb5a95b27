"""Every exercise of every lesson, found by globbing: outcomes, prose, editions."""

from __future__ import annotations

import ast
import importlib
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest

import course_lib.exercises.messages as messages
from course_lib.exercises.messages import LANGUAGES, MissingProseError, Remark, load_messages

FOLDER = Path(messages.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("ex[0-9][0-9]_*.py"))
ENGINE = [path for path in sorted(FOLDER.glob("*.py")) if path.stem not in MODULES]
HANGUL = re.compile("[가-힣]")

NOT_LESSONS = {"engine", "chat_window", "report_card"}


def lesson(module):
    return importlib.import_module(f"course_lib.exercises.{module}")


PROBLEMS = [problem for module in MODULES for problem in lesson(module).progress.problems]


def flatten(prose, path=""):
    """Dotted path and text of every sentence."""
    if isinstance(prose, str):
        return {path: prose}
    pairs = prose.items() if isinstance(prose, dict) else enumerate(prose)
    found = {}
    for key, value in pairs:
        found |= flatten(value, f"{path}.{key}".lstrip("."))
    return found


def blanks(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


PROSE = {language: flatten(load_messages(language)) for language in LANGUAGES}


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.key)
@pytest.mark.parametrize("language", LANGUAGES)
def test_problem_meets_every_foreseen_answer(problem, language, monkeypatch):
    monkeypatch.setenv("COURSE_LANGUAGE", language)
    problem.verify()


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.key)
def test_problem_foresees_two_mistakes(problem):
    assert len(problem.mistakes) >= 2


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.key)
def test_every_card_of_a_problem_can_be_shown(problem, monkeypatch):
    for language in LANGUAGES:
        monkeypatch.setenv("COURSE_LANGUAGE", language)
        for card in (problem.hint(), problem.solution(), problem.check(object())):
            assert str(card)
            assert f'lang="{language}"' in card._repr_html_()


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.key)
def test_starter_reference_and_mistakes_answer_to_one_name(problem):
    for source in (problem.starter, problem.solution_source, *problem.mistake_sources().values()):
        last = ast.parse(source).body[-1]
        name = last.targets[0].id if isinstance(last, ast.Assign) else last.name
        assert name == problem.answer_name


@pytest.mark.parametrize("module", MODULES)
def test_module_names_its_problems_in_order(module):
    names = vars(lesson(module))
    problems = lesson(module).progress.problems
    assert problems == tuple(names[f"q{n}"] for n in range(1, len(problems) + 1))
    assert 4 <= len(problems) <= 6


def test_keys_are_unique():
    keys = [problem.key for problem in PROBLEMS]
    assert len(keys) == len(set(keys))


def test_every_entry_of_a_lesson_belongs_to_a_problem():
    tables = load_messages("en").items()
    lessons = {name: set(found) for name, found in tables if name not in NOT_LESSONS}
    written = {f"{name}.{problem}" for name, problems in lessons.items() for problem in problems}
    assert written == {problem.key for problem in PROBLEMS}


def test_languages_have_the_same_keys():
    assert PROSE["en"].keys() == PROSE["ko"].keys()


@pytest.mark.parametrize("path", PROSE["en"])
def test_sentences_have_the_same_blanks(path):
    assert blanks(PROSE["en"][path]) == blanks(PROSE["ko"][path])


@pytest.mark.parametrize("language", LANGUAGES)
def test_backticks_come_in_pairs(language):
    for path, sentence in PROSE[language].items():
        assert sentence.count("`") % 2 == 0, path


def test_korean_prose_is_korean():
    without = [path for path, sentence in PROSE["ko"].items() if not HANGUL.search(sentence)]
    assert set(without) <= {
        "engine.labels.headline",
        "engine.labels.progress_line",
        "engine.labels.with_unit",
    }


def test_korean_sentences_keep_one_register():
    formal = [path for path, sentence in PROSE["ko"].items() if re.search(r"니다[.?]", sentence)]
    assert not formal


def test_remarks_named_in_the_code_have_prose_and_the_other_way_round():
    sources = [path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")]
    words = set(re.findall(r"\w+", " ".join(sources)))
    composed = {f"{kind}_too_{size}" for kind in ("text", "list") for size in ("short", "long")}
    assert load_messages("en")["engine"]["remarks"].keys() <= words | composed


def test_missing_prose_names_the_file_and_the_key():
    with pytest.raises(MissingProseError, match=r"messages/ko\.toml has no 'engine\.nothing'"):
        Remark("engine.nothing").text("ko")


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_lessons_exercises_is_light(module):
    heavy = "llama_cpp", "matplotlib", "torch", "ipywidgets", "huggingface_hub"
    code = (
        f"import sys, course_lib.exercises.{module};"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    root = FOLDER.parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.name)
def test_engine_reads_its_prose_from_the_messages(path):
    code = path.read_text(encoding="utf-8")
    assert set(HANGUL.findall(code)) <= set("서울")  # the word of the examples
