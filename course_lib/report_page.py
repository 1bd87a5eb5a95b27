"""A report card as a page to keep: HTML that needs no network."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from course_lib.bar_plots import plot_report_card
from course_lib.exercises.messages import find_prose, has_prose
from course_lib.exercises.messages import language as edition_language
from course_lib.plots import use_course_style
from course_lib.report_card import ReportCard

_TEMPLATES = Path(__file__).parent / "data"
_FIGURE_SCALE, _FIGURE_DPI = 0.85, 180  # smaller than in a notebook, so that words look larger


def save_report_card(
    card: ReportCard,
    path: str | os.PathLike[str],
    *,
    learner: str = "",
    machine: str = "",
    date: str = "",
    language: str | None = None,
) -> Path:
    """Write a card as one HTML page that needs no network, to be read, kept or printed.

    It has no scripts, and every text in it is shown as text. A file that is there already is
    never touched: the page then gets a number behind its name.

    Parameters
    ----------
    card : ReportCard
    path : str or path-like
        Its folder must exist.
    learner, machine, date : str
        Left out where empty.
    language : str, optional
        Of the fixed words, ``"en"`` or ``"ko"``; that of the edition when left out.

    Returns
    -------
    Path
        Of the file that was written.

    Raises
    ------
    FileNotFoundError
        When there is no such folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}. Make it first, or name another")
    page = _page(card, language or edition_language(), learner, machine, date)
    free, number = path, 1
    while True:
        try:
            with free.open("x", encoding="utf-8") as file:
                file.write(page)
            return free
        except FileExistsError:
            number += 1
            free = path.with_name(f"{path.stem}-{number}{path.suffix}")


def _page(card: ReportCard, language: str, learner: str, machine: str, date: str) -> str:
    prose = find_prose("report_card", language)
    names = {row.what: _row_name(row.what, language) for row in card.rows}
    verdict = prose["verdict_yes" if card.passed else "verdict_no"]
    n_passed = sum(row.passed is True for row in card.rows)
    facts = {"machine": machine, "date": date}
    pages = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template("report_card.html.j2").render(
        card=card,
        language=language,
        prose=prose,
        names=names,
        learner=learner,
        verdict=verdict.format(passed=n_passed, total=len(card.rows)),
        origin=[f"{prose[name]}: {value}" for name, value in facts.items() if value],
        figure=_figure(card, names),
    )


def _row_name(what: str, language: str) -> str:
    """Return the name of a measure in a language, if the messages have one."""
    path = f"report_card.rows.{re.sub(r'[^a-z0-9]+', '_', what.lower()).strip('_')}"
    return find_prose(path, language) if has_prose(path) else what


def _figure(card: ReportCard, names: Mapping[str, str]) -> str:
    """Draw the card, in the style of the course, as the text of a PNG."""
    import matplotlib
    from matplotlib import pyplot as plt

    data = io.BytesIO()
    with matplotlib.rc_context():
        use_course_style()
        figure = plot_report_card(card, names).figure
        figure.set_size_inches(figure.get_size_inches() * _FIGURE_SCALE)
        figure.savefig(data, format="png", dpi=_FIGURE_DPI)
        plt.close(figure)
    return base64.b64encode(data.getvalue()).decode("ascii")
