"""A small lesson that keeps every convention, for tests that break one at a time."""

from __future__ import annotations

from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_lib.exercises.ex00_start_here import progress
from tools.editions import stamp, synchronise
from tools.lesson_exercises import cell_source
from tools.notebooks import Lesson, write_notebook

NAME = "00_start_here.ipynb"
PROBLEMS = {f"q{n}": problem for n, problem in enumerate(progress.problems, start=1)}
# A red square, two pixels wide
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5E"
    "rkJggg=="
)
PICTURE = "<IPython.core.display.Image object>"
DRAW = f"""\
from base64 import b64decode

from IPython.display import Image, display

display(Image(b64decode("{PNG}")))
3"""
QUIZ = "## Quiz\n\n" + "Why?\n\n<details><summary>Answer</summary>\n\nSo.\n\n</details>\n\n" * 5
PARAGRAPHS = {"en": "Every token becomes a vector. " * 9, "ko": "토큰마다 벡터가 하나 생겨요. " * 9}


def code(cell_id: str, source: str, value: str = "") -> NotebookNode:
    """A code cell that ended in a value; `lesson` gives it its count."""
    outputs = [new_output("execute_result", {"text/plain": value})] if value else []
    return new_code_cell(source, id=cell_id, outputs=outputs)


def prose(cell_id: str, source: str) -> NotebookNode:
    """A Markdown cell."""
    return new_markdown_cell(source, id=cell_id)


def exercise(name: str) -> NotebookNode:
    """The exercise cell of a problem of lesson 00."""
    cell = new_code_cell(cell_source(name, PROBLEMS[name]), id=name)
    cell.metadata["tags"] = ["exercise"]
    return cell


def figure() -> list[NotebookNode]:
    """A cell that draws and ends in a number, and the caption below it."""
    drawn = code("picture", DRAW, "3")
    drawn.outputs.insert(0, new_output("display_data", {"image/png": PNG, "text/plain": PICTURE}))
    return [drawn, prose("picture-caption", "*Figure 1: a red square.*")]


def english() -> NotebookNode:
    """The English notebook."""
    names = ", ".join(PROBLEMS)
    cells = [
        prose("title", "# 00 · A lesson\n\nCan a test find what is wrong?"),
        prose(
            "what", "**What you'll do** · **What you'll learn** · **What you'll need**: 5 minutes"
        ),
        code("setup", f"from course_lib.exercises.ex00_start_here import progress, {names}"),
        *figure(),
        *(exercise(name) for name in PROBLEMS),
        *(prose(f"paragraph-{n}", PARAGRAPHS["en"]) for n in range(34)),
        prose("formula", "$$x^2$$"),
        code("sum", "1 + 1", "2"),
        prose("payoff", "## Payoff\n\nEqual to Python's own."),
        prose("recap", "## Recap\n\n| one | two |\n|---|---|\n| 1 | 2 |"),
        prose("quiz", QUIZ),
        prose("further-reading", "## Further reading\n\n[Paper](https://arxiv.org/abs/2310.06825)"),
        prose("next", "## Next\n\n[Tokenization](01_tokenization.ipynb)"),
    ]
    counted = [c for c in cells if c.cell_type == "code" and "tags" not in c.metadata]
    for count, cell in enumerate(counted, start=1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return new_notebook(cells=cells)


def korean() -> NotebookNode:
    """Its Korean twin, translated and stamped."""
    original = english()
    notebook = synchronise(original, None)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.id != "formula":
            cell.source = translate(cell.source)
    stamp(original, notebook)
    return notebook


def translate(text: str) -> str:
    """Korean prose in the same form."""
    if text == PARAGRAPHS["en"]:
        return PARAGRAPHS["ko"]
    for word, translation in {"Figure": "그림", "minutes": "분", "lesson": "수업"}.items():
        text = text.replace(word, translation)
    return text if text.startswith("*그림") else f"{text}\n\n우리말 문장이에요."


def write_course(root: Path) -> Path:
    """Write both editions below `root` and return the folder of the notebooks."""
    for edition, notebook in {"en": english(), "ko": korean()}.items():
        path = root / "notebooks" / edition / NAME
        path.parent.mkdir(parents=True)
        write_notebook(path, notebook)
    return root / "notebooks"


def read(notebooks: Path, edition: str = "en") -> Lesson:
    """Read one of the two lessons."""
    return Lesson.read(notebooks / edition / NAME)


def cell(notebook: NotebookNode, cell_id: str) -> NotebookNode:
    """Cell with this id."""
    return next(one for one in notebook.cells if one.id == cell_id)
