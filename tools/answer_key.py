"""Write the answer key for instructors, from the exercises themselves.

``python -m tools.answer_key`` writes ``build/answers-en.md`` and ``build/answers-ko.md``. Each
answer is handed in to its exercise first, so that a wrong one cannot get into the key.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from course_lib.exercises.base_problem import Problem
from course_lib.exercises.cards import Status
from course_lib.exercises.messages import Remark, find_prose
from tools.lesson_exercises import lesson_problems, problem_name
from tools.notebooks import EDITIONS, ROOT, Lesson, lesson_paths

_WORDS = {
    "en": {
        "title": "Answer key",
        "note": "Made by `make answers` from the exercises of the course; each answer was checked.",
        "why": "Why",
        "hints": "Hints",
        "mistakes": "Usual mistakes, and what the course says to them",
    },
    "ko": {
        "title": "연습 문제 정답",
        "note": "`make answers`가 강의의 연습 문제에서 뽑아 만든 문서입니다. 정답은 모두 채점해 "
        "확인했습니다.",
        "why": "왜 그럴까요",
        "hints": "힌트",
        "mistakes": "자주 하는 실수와 강의가 주는 피드백",
    },
}


class WrongAnswerError(Exception):
    """A reference answer that its own exercise does not accept."""


def answer_key(edition: str, notebooks: Path = ROOT / "notebooks") -> str:
    """Return the key of an edition in Markdown.

    Raises
    ------
    WrongAnswerError
        When a reference answer is not judged as correct.
    """
    words = _WORDS[edition]
    parts = [f"# {words['title']}", words["note"]]
    for path in lesson_paths(edition, notebooks):
        lesson = Lesson.read(path)
        parts.append(f"## {lesson.cells[0].source.splitlines()[0].lstrip('# ')}")
        texts = dict(exercise_texts(lesson))
        for name, problem in lesson_problems(lesson).items():
            parts += _exercise(name, problem, texts.get(name, ""), edition)
    return "\n\n".join(parts) + "\n"


def exercise_texts(lesson: Lesson) -> Iterator[tuple[str, str]]:
    """Yield the name of each exercise and its task: the last paragraph before its cell."""
    previous = ""
    for cell in lesson.cells:
        if name := problem_name(cell):
            yield name, "**" + previous.rpartition("\n\n**")[2].removeprefix("**")
        previous = cell.source if cell.cell_type == "markdown" else previous


def _exercise(name: str, problem: Problem, task: str, edition: str) -> list[str]:
    if problem.check(problem.reference()).status is not Status.CORRECT:
        raise WrongAnswerError(f"{problem.key}: its own answer is not accepted.")
    words, prose = _WORDS[edition], Remark(f"{problem.key}.explanation").text(edition)
    title = Remark(f"{problem.key}.title").text(edition)
    hints = find_prose(f"{problem.key}.hints", edition)
    mistakes = [Remark(f"{problem.key}.mistakes.{m}").text(edition) for m in problem.mistakes]
    return [
        f"### {name} · {title}",
        task,
        f"```python\n{problem.solution_source}\n```",
        f"**{words['why']}.** {prose}",
        _listed(words["hints"], hints, "1."),
        _listed(words["mistakes"], mistakes, "-"),
    ]


def _listed(label: str, items: Iterable[str], mark: str) -> str:
    return "\n".join([f"**{label}**", "", *(f"{mark} {item}" for item in items)])


def main(arguments: Iterable[str] | None = None) -> int:
    """Write the keys of the editions asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build", metavar="FOLDER")
    parser.add_argument("--edition", choices=EDITIONS, action="append", help="default: all")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    for edition in options.edition or EDITIONS:
        path = options.output / f"answers-{edition}.md"
        path.write_text(answer_key(edition), encoding="utf-8", newline="\n")
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
