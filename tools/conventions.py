"""The conventions that every lesson keeps, one function each.

A convention takes a lesson and returns what is wrong with it, as sentences that say where and what
to do. `CONVENTIONS` holds them all by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from statistics import median
from urllib.parse import unquote, urlsplit

from nbformat.validator import iter_validate

from tools.lesson_exercises import exercise_complaints
from tools.notebooks import (
    Lesson,
    caption,
    images,
    is_exercise,
    lesson_number,
    lesson_paths,
    output_texts,
    tags,
)
from tools.prose import count_words, links, pictures

Convention = Callable[[Lesson], list[str]]

OPENING = ("title", "what", "setup")
CLOSING = ("payoff", "recap", "quiz", "further-reading", "next")
LAST_LESSON = 11
N_CELLS = range(45, 91)
N_WORDS = {"en": range(1500, 2501), "ko": range(900, 2501)}  # Korean writes particles onto words
N_QUIZ_ANSWERS = 5
MEDIAN_LINES, MAX_LINES = 6, 25
MAX_UNCOMPARED = 4
TAGS = {"exercise", "nbval-ignore-output", "raises-exception"}

_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?")
_MINUTES = re.compile(r"\d+\s*(?:minutes|분)")
_ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/])/(?:home|Users|root|tmp|var|private|usr|opt|mnt|content|work|etc)/"
    r"|(?<!\w)[A-Za-z]:\\\w"
)
_UNPORTABLE = {
    "an absolute path": _ABSOLUTE_PATH,
    "a star import": re.compile(r"^\s*from\s+\S+\s+import\s+\*", re.MULTILINE),
    "sys.path": re.compile(r"\bsys\.path\b|^\s*from\s+sys\s+import\b.*\bpath\b", re.MULTILINE),
}

CONVENTIONS: dict[str, Convention] = {}


def convention(check: Callable[[Lesson], Iterator[str]]) -> Convention:
    """Register a convention; its complaints come as a list."""
    CONVENTIONS[check.__name__] = lambda lesson: list(check(lesson))
    return CONVENTIONS[check.__name__]


@convention
def name_has_a_number_and_a_slug(lesson: Lesson) -> Iterator[str]:
    """`07_gguf_and_models.ipynb`."""
    if not re.fullmatch(r"\d\d_[a-z0-9]+(_[a-z0-9]+)*\.ipynb", lesson.path.name):
        yield f"{lesson.path.name} should be named like 07_gguf_and_models.ipynb"


@convention
def format_is_valid(lesson: Lesson) -> Iterator[str]:
    """Format 4.5 or newer: older ones have no cell ids."""
    version = (lesson.notebook.nbformat, lesson.notebook.nbformat_minor)
    if version < (4, 5):
        yield f"format {version} has no cell ids; save it as 4.5"
    yield from (str(error) for error in iter_validate(lesson.notebook))


@convention
def ids_are_slugs(lesson: Lesson) -> Iterator[str]:
    """Readable, unique cell ids: what editions and tests hold on to."""
    ids = [cell.get("id", "") for cell in lesson.cells]
    for cell_id in sorted(set(ids)):
        if not _SLUG.fullmatch(cell_id) or _RANDOM_ID.fullmatch(cell_id):
            yield f"cell id {cell_id!r} should be words with hyphens, such as 'causal-mask'"
        if ids.count(cell_id) > 1:
            yield f"{ids.count(cell_id)} cells have the id {cell_id!r}"


@convention
def counts_run_from_one(lesson: Lesson) -> Iterator[str]:
    """Counts 1…n in order; exercises have none, and no output."""
    count = 0
    for cell in lesson.code:
        count += not is_exercise(cell)
        expected = None if is_exercise(cell) else count
        if cell.execution_count != expected:
            yield f"{cell.id}: count is {cell.execution_count}, not {expected}: make execute NB=…"
        if is_exercise(cell) and cell.outputs:
            yield f"{cell.id}: an exercise is stored without output: make execute NB=…"


@convention
def opening_is_complete(lesson: Lesson) -> Iterator[str]:
    """Title and question; what you'll do, learn and need; the set-up."""
    yield from _in_order(lesson, OPENING)
    title, what = _source(lesson, "title"), _source(lesson, "what")
    if not lesson.cells or lesson.cells[0].id != "title" or not title.startswith("# "):
        yield "the first cell is 'title' and begins with '# '"
    if "?" not in title + what:
        yield "the opening asks the question that the lesson answers"
    if len(re.findall(r"\*\*[^*]+\*\*|^#+ ", what, re.MULTILINE)) < 3:
        yield "'what' has three parts in bold: what you'll do, learn and need"
    if not _MINUTES.search(what):
        yield "'what' says how many minutes the lesson takes"
    if lesson.code and lesson.code[0].id != "setup":
        yield f"the first code cell is 'setup', not {lesson.code[0].id!r}"


@convention
def closing_is_complete(lesson: Lesson) -> Iterator[str]:
    """Payoff, recap, quiz, further reading, next lesson."""
    yield from _in_order(lesson, CLOSING)
    if not lesson.cells or lesson.cells[-1].id != "next":
        yield "the last cell is 'next'"
    if not re.search(r"^\|[\s:|-]*-[\s:|-]*\|\s*$", _section(lesson, "recap"), re.MULTILINE):
        yield "'recap' has a table"
    n_answers = _section(lesson, "quiz").count("<details")
    if n_answers != N_QUIZ_ANSWERS:
        yield f"'quiz' has {n_answers} answers in <details>, not {N_QUIZ_ANSWERS}"
    if not links(_section(lesson, "further-reading")):
        yield "'further-reading' links to a source"
    targets = [urlsplit(target).path for target in links(_source(lesson, "next"))]
    if lesson.number < LAST_LESSON and lesson.number + 1 not in map(lesson_number, targets):
        yield f"'next' links to lesson {lesson.number + 1:02}"


@convention
def size_suits_one_sitting(lesson: Lesson) -> Iterator[str]:
    """Number of cells and of words."""
    n_words = sum(count_words(cell.source) for cell in lesson.prose)
    for kind, n, allowed in (
        ("cells", len(lesson.cells), N_CELLS),
        ("words of prose", n_words, N_WORDS[lesson.edition]),
    ):
        if n not in allowed:
            yield f"{n} {kind}; {allowed.start} to {allowed.stop - 1} fit one sitting"


@convention
def code_cells_are_short(lesson: Lesson) -> Iterator[str]:
    """One idea a cell."""
    lines = {cell.id: _n_lines(cell.source) for cell in lesson.code}
    yield from (f"{i}: {n} lines, more than {MAX_LINES}" for i, n in lines.items() if n > MAX_LINES)
    if lines and median(lines.values()) > MEDIAN_LINES:
        yield f"the median code cell has {median(lines.values())} lines, more than {MEDIAN_LINES}"


@convention
def code_is_portable(lesson: Lesson) -> Iterator[str]:
    """No absolute paths, star imports or edits of `sys.path`."""
    for cell in lesson.code:
        for what, pattern in _UNPORTABLE.items():
            if found := pattern.search(cell.source):
                yield f"{cell.id}: {what}: {found.group(0).strip()!r}"


@convention
def outputs_hold_no_path_of_a_machine(lesson: Lesson) -> Iterator[str]:
    """What is stored shows nobody's folders."""
    for cell in lesson.code:
        for text in output_texts(cell):
            if found := _ABSOLUTE_PATH.search(text):
                yield f"{cell.id}: the output shows {text[found.start() :][:40]!r}"


@convention
def outputs_hold_no_error(lesson: Lesson) -> Iterator[str]:
    """Errors are shown on purpose only."""
    for cell in lesson.code:
        errors = [output.ename for output in cell.outputs if output.output_type == "error"]
        if errors and "raises-exception" not in tags(cell):
            yield f"{cell.id}: stored {errors[0]}; tag it raises-exception if it is meant"


@convention
def no_widget_state_is_stored(lesson: Lesson) -> Iterator[str]:
    """It is large, random, and never what the learner's kernel holds."""
    if "widgets" in lesson.notebook.metadata:
        yield "the notebook's metadata holds widget state: make execute NB=…"


@convention
def tags_are_known_and_few_cells_go_uncompared(lesson: Lesson) -> Iterator[str]:
    """A mistyped tag does nothing, silently."""
    for cell in lesson.cells:
        if unknown := set(tags(cell)) - TAGS:
            yield f"{cell.id}: unknown tags {sorted(unknown)}; there are {sorted(TAGS)}"
    uncompared = [cell.id for cell in lesson.code if "nbval-ignore-output" in tags(cell)]
    if len(uncompared) > MAX_UNCOMPARED:
        yield f"{uncompared} are not compared; {MAX_UNCOMPARED} cells may be, each with a reason"


@convention
def exercises_are_those_of_the_lesson(lesson: Lesson) -> Iterator[str]:
    """Starter and check of each problem of the lesson's exercise module, in order."""
    yield from exercise_complaints(lesson)


@convention
def figures_have_a_caption_and_a_number(lesson: Lesson) -> Iterator[str]:
    """The caption is the alternative text; the number is what tests compare."""
    for index, cell in enumerate(lesson.cells):
        if not images(cell):
            continue
        if len(images(cell)) > 1:
            yield f"{cell.id}: {len(images(cell))} figures; give each its own cell and caption"
        after = lesson.cells[index + 1 : index + 3]
        if caption(next(iter(after), None)) is None:
            yield f"{cell.id}: no caption below. Begin the next cell with '*Figure: …*' ('*그림: …*')"  # noqa: E501
        beside = [cell, *(other for other in after if other.cell_type == "code")]
        if not any(re.search(r"\d", text) for other in beside for text in output_texts(other)):
            yield f"{cell.id}: no number beside the figure; end the cell in one"
    for cell in lesson.prose:
        bare = [picture.source for picture in pictures(cell.source) if not picture.described]
        yield from (f"{cell.id}: no alternative text: {source}" for source in bare)


@convention
def links_lead_somewhere(lesson: Lesson) -> Iterator[str]:
    """Files exist; a lesson exists or is still to be written under its number."""
    for cell in lesson.prose:
        for target in links(cell.source):
            parts = urlsplit(target)
            if parts.scheme or not parts.path:
                continue
            file = lesson.path.parent / unquote(parts.path)
            if not file.exists() and not _is_planned(lesson, parts.path):
                yield f"{cell.id}: nothing at {target}"


def _is_planned(lesson: Lesson, target: str) -> bool:
    number = lesson_number(target)
    written = {lesson_number(path.name) for path in lesson_paths("en", lesson.path.parent.parent)}
    return number in range(LAST_LESSON + 1) and number not in written


def _in_order(lesson: Lesson, ids: tuple[str, ...]) -> Iterator[str]:
    present = [cell.id for cell in lesson.cells if cell.id in ids]
    if present != list(ids):
        yield f"cells with the ids {', '.join(ids)}, in this order; found {present}"


def _source(lesson: Lesson, cell_id: str) -> str:
    return next((cell.source for cell in lesson.cells if cell.id == cell_id), "")


def _section(lesson: Lesson, cell_id: str) -> str:
    """Prose from a cell of the closing to the next one."""
    ids = [cell.id for cell in lesson.cells]
    if cell_id not in ids:
        return ""
    following = CLOSING[CLOSING.index(cell_id) + 1 :]
    start = ids.index(cell_id)
    stop = next((i for i in range(start + 1, len(ids)) if ids[i] in following), len(ids))
    cells = lesson.cells[start:stop]
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def _n_lines(source: str) -> int:
    return sum(bool(line.strip()) for line in source.splitlines())
