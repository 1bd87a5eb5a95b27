"""What a learner sees: cards that show as HTML in a notebook and as text elsewhere."""

from __future__ import annotations

import html
from dataclasses import dataclass
from enum import Enum

from course_lib.exercises.messages import Remark


class Status(str, Enum):
    """How an answer was judged."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NOT_ATTEMPTED = "not_attempted"
    ERROR = "error"

    def remark(self) -> Remark:
        """The status in words."""
        return Remark(f"engine.status.{self.value}")


# A glyph beside the word and the colour: no meaning hangs on colour alone.
_LOOKS = {
    "correct": ("✓", "#2e7d32"),
    "incorrect": ("✗", "#c62828"),
    "not_attempted": ("○", "#757575"),
    "error": ("!", "#ef6c00"),
    "hint": ("?", "#1565c0"),
    "solution": ("=", "#6a1b9a"),
    "progress": ("▸", "#00838f"),
}
# Text keeps the notebook's own colour, on a tint that suits light and dark themes.
_CARD = (
    "border-left:4px solid {colour};background:{colour}14;color:inherit;"
    "padding:0.5em 1em;margin:0.5em 0"
)
_PRE = "background:rgba(127,127,127,0.12);color:inherit;padding:0.5em;margin:0.4em 0"


def icon(kind: str) -> str:
    """Glyph of a kind of card.

    Examples
    --------
    >>> icon("correct")
    '✓'
    """
    return _LOOKS[kind][0]


@dataclass(frozen=True, repr=False)
class Card:
    """A headline, a list, sentences and code, in one language.

    Parameters
    ----------
    kind : str
        A status, or `"hint"`, `"solution"`, `"progress"`: fixes glyph and colour.
    language : str
    headline : Remark
    remarks : tuple[Remark, ...]
        Sentences below the headline and the list.
    code : str
        Shown as it is, last of all.
    items : tuple[tuple[str, Remark], ...]
        Glyph and sentence of each line of a list.

    Examples
    --------
    >>> Card("correct", "en", Remark("engine.status.correct"))
    ✓ Correct
    """

    kind: str
    language: str
    headline: Remark
    remarks: tuple[Remark, ...] = ()
    code: str = ""
    items: tuple[tuple[str, Remark], ...] = ()

    @property
    def message(self) -> str:
        """The sentences as plain text, without headline and code."""
        return " ".join(remark.text(self.language) for remark in self.remarks)

    def __str__(self) -> str:
        lines = [f"{icon(self.kind)} {self.headline.text(self.language)}"]
        lines += [f"{glyph} {item.text(self.language)}" for glyph, item in self.items]
        lines += [self.message]
        lines += [f"    {line}" for line in self.code.splitlines()]
        return "\n".join(line for line in lines if line)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        glyph, colour = _LOOKS[self.kind]
        style = _CARD.format(colour=colour)
        return (
            f'<div role="status" lang="{self.language}" style="{style}">'
            f"<p><strong>{_glyph(glyph)} {self.headline.html(self.language)}</strong></p>"
            f"{self._items_html()}{self._sentences_html()}{self._code_html()}</div>"
        )

    def _sentences_html(self) -> str:
        sentences = " ".join(remark.html(self.language) for remark in self.remarks)
        return f"<p>{sentences}</p>" if sentences else ""

    def _items_html(self) -> str:
        items = "".join(
            f"<li>{_glyph(glyph)} {item.html(self.language)}</li>" for glyph, item in self.items
        )
        return f'<ul style="list-style:none;padding-left:0">{items}</ul>' if items else ""

    def _code_html(self) -> str:
        if not self.code:
            return ""
        return f'<pre style="{_PRE}"><code>{html.escape(self.code)}</code></pre>'


def _glyph(glyph: str) -> str:
    return f'<span aria-hidden="true">{glyph}</span>'


@dataclass(frozen=True, repr=False)
class Outcome(Card):
    """What `check` answers.

    Parameters
    ----------
    status : Status
        `"correct"`, `"incorrect"`, `"not_attempted"` or `"error"`.
    reason : str
        Short name of what decided it: of a known mistake, or of the first remark.
    """

    status: Status = Status.NOT_ATTEMPTED
    reason: str = ""
