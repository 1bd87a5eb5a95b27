"""The exercises inside a lesson: are they the right ones, and do they answer as they should?

An exercise cell is a problem's starter, an empty line, and ``q1.check(answer)``. `answer_cells`
puts other answers in their places, and `run_answers` runs the lesson with them.
"""

from __future__ import annotations

import copy
import importlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode

from course_lib.exercises.base_problem import Problem
from course_lib.exercises.cards import Status, icon
from course_lib.exercises.messages import Remark
from tools.notebooks import ROOT, Lesson, is_exercise

N_EXERCISES = range(4, 7)
CELL_TIMEOUT_S = 60
_CHECK = re.compile(r"^(?P<name>q\d+)\.check\(", re.MULTILINE)
_CONSULTATION = re.compile(r"progress\(\)|q\d+\.(hint|solution)\(\)")  # also stored un-run


@dataclass(frozen=True)
class Answer:
    """One answer to an exercise, and what a learner is to read in return.

    Parameters
    ----------
    problem : str
        Its name in the lesson, `"q1"`.
    name : str
        `"solution"`, or the name of a known mistake.
    source : str
        What the learner types.
    wanted : str
        How the card begins.
    sentence : str
        What it says; may be empty.
    """

    problem: str
    name: str
    source: str
    wanted: str
    sentence: str = ""

    def complaint(self, card: str) -> str | None:
        """What is wrong with the card that the check showed."""
        if card.startswith(self.wanted) and self.sentence in card:
            return None
        wish = f"{self.wanted} … {self.sentence}".rstrip(" …")
        return f"{self.problem}, {self.name}: wanted {wish!r}, got {card!r}"


def lesson_problems(lesson: Lesson) -> dict[str, Problem]:
    """Problems of the lesson's exercise module, by name and in order; empty without a module."""
    folder = ROOT / "course_lib" / "exercises"
    modules = sorted(folder.glob(f"ex{lesson.number:02}_*.py")) if lesson.number >= 0 else []
    if not modules:
        return {}
    problems = importlib.import_module(f"course_lib.exercises.{modules[0].stem}").progress.problems
    return {f"q{n}": problem for n, problem in enumerate(problems, start=1)}


def exercise_complaints(
    lesson: Lesson, problems: dict[str, Problem] | None = None
) -> Iterator[str]:
    """Say where the exercise cells differ from the problems of the lesson's module."""
    problems = lesson_problems(lesson) if problems is None else problems
    if not problems:
        yield f"no exercises: course_lib/exercises/ex{lesson.number:02}_*.py is missing"
    cells = [cell for cell in lesson.cells if is_exercise(cell)]
    for cell in cells:
        if not _CHECK.search(cell.source) and not _CONSULTATION.fullmatch(cell.source.strip()):
            yield f"{cell.id}: an exercise ends in 'q1.check(answer)', or is just 'progress()'"
    found = [(name, cell) for cell in cells if (name := problem_name(cell))]
    names = [name for name, _ in found]
    if names != list(problems):
        yield f"the exercises are {names}; those of the module, in order: {list(problems)}"
    if len(found) not in N_EXERCISES:
        yield f"{len(found)} exercises; {N_EXERCISES.start} to {N_EXERCISES.stop - 1} are right"
    for name, cell in found:
        if name in problems and cell.source != cell_source(name, problems[name]):
            yield f"{cell.id}: should be\n{cell_source(name, problems[name])}"


def problem_name(cell: NotebookNode) -> str | None:
    """Name of the problem that an exercise cell checks: `"q1"`."""
    found = _CHECK.search(cell.source) if is_exercise(cell) else None
    return found.group("name") if found else None


def cell_source(name: str, problem: Problem, answer: str | None = None) -> str:
    """Source of an exercise cell, with the starter or another answer in it."""
    answer = problem.starter if answer is None else answer
    return f"{answer.rstrip()}\n\n{name}.check({problem.answer_name})"


def references(name: str, problem: Problem) -> list[Answer]:
    """The reference solution, which is to be judged as correct."""
    return [Answer(name, "solution", problem.solution_source, icon(Status.CORRECT.value))]


def mistakes(name: str, problem: Problem, language: str = "en") -> list[Answer]:
    """Each known mistake, which is to be judged as incorrect and told apart."""
    return [
        Answer(
            name,
            mistake,
            source,
            icon(Status.INCORRECT.value),
            Remark(f"{problem.key}.mistakes.{mistake}").text(language),
        )
        for mistake, source in problem.mistake_sources().items()
    ]


def answer_cells(
    notebook: NotebookNode,
    problems: dict[str, Problem],
    answers: Callable[[str, Problem], list[Answer]],
) -> tuple[NotebookNode, dict[str, Answer]]:
    """Put answers, one cell each, in place of every exercise.

    Returns
    -------
    tuple[NotebookNode, dict[str, Answer]]
        A changed copy, and the answers by the id of their cell.
    """
    changed, placed = copy.deepcopy(notebook), {}
    changed.cells = []
    for cell in notebook.cells:
        name = problem_name(cell)
        if name not in problems:
            changed.cells.append(copy.deepcopy(cell))
            continue
        check = cell.source[_CHECK.search(cell.source).start() :]
        for answer in answers(name, problems[name]):
            new = copy.deepcopy(cell)
            new.id = f"{cell.id}-{len(placed)}"
            new.source = f"{answer.source.rstrip()}\n\n{check}"
            placed[new.id] = answer
            changed.cells.append(new)
    return changed, placed


def run_answers(notebook: NotebookNode, answers: dict[str, Answer], folder: Path) -> list[str]:
    """Run a lesson with answers in it, in its own folder, and return the complaints.

    Cells after the last answer run only if all answers are references: they must stand them.
    """
    notebook = copy.deepcopy(notebook)
    if any(answer.name != "solution" for answer in answers.values()):
        last = max(i for i, cell in enumerate(notebook.cells) if cell.id in answers)
        notebook.cells = notebook.cells[: last + 1]
    environment = {name: value for name, value in os.environ.items() if name != "COURSE_LANGUAGE"}
    NotebookClient(
        notebook, timeout=CELL_TIMEOUT_S, resources={"metadata": {"path": str(folder)}}
    ).execute(env=environment)
    cards = {cell.id: shown(cell) for cell in notebook.cells if cell.id in answers}
    judged = (answers[cell_id].complaint(card) for cell_id, card in cards.items())
    return [complaint for complaint in judged if complaint]


def shown(cell: NotebookNode) -> str:
    """Plain text of the value in which a cell ends."""
    values = [out.data for out in cell.outputs if out.output_type == "execute_result"]
    return values[-1].get("text/plain", "") if values else ""
