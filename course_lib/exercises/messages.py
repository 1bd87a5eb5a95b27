"""The prose of the exercises: which language, which sentence, as text and as HTML."""

from __future__ import annotations

import html
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LANGUAGES = ("en", "ko")


class MissingProseError(KeyError):
    """A sentence that `messages/*.toml` should have and does not."""


def language() -> str:
    """Language of the learner: `COURSE_LANGUAGE`, else the notebook's folder, else English.

    Examples
    --------
    >>> language() in LANGUAGES
    True
    """
    folder = Path.cwd()
    chosen = os.environ.get("COURSE_LANGUAGE", "")[:2].lower()
    if chosen not in LANGUAGES and folder.parent.name == "notebooks":
        chosen = folder.name
    return chosen if chosen in LANGUAGES else "en"


@lru_cache(maxsize=len(LANGUAGES))
def load_messages(language: str) -> dict[str, Any]:
    """All prose of one language, as nested dictionaries.

    Examples
    --------
    >>> sorted(load_messages("en")) == sorted(load_messages("ko"))
    True
    """
    path = Path(__file__).parent / "messages" / f"{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def find_prose(path: str, language: str) -> Any:
    """Look up a dotted path such as `"start_here.utf8_bytes.hints.0"`.

    Raises
    ------
    MissingProseError
        When the language has nothing there.

    Examples
    --------
    >>> find_prose("engine.status.correct", "en")
    'Correct'
    """
    found: Any = load_messages(language)
    try:
        for step in path.split("."):
            found = found[int(step) if isinstance(found, list) else step]
    except (KeyError, IndexError, ValueError, TypeError):
        message = f"messages/{language}.toml has no {path!r}. Add it to every language."
        raise MissingProseError(message) from None
    return found


def has_prose(path: str) -> bool:
    """Whether the optional entry `path` exists.

    Examples
    --------
    >>> has_prose("engine.status.correct"), has_prose("engine.status.perhaps")
    (True, False)
    """
    try:
        find_prose(path, LANGUAGES[0])
    except MissingProseError:
        return False
    return True


@dataclass(frozen=True)
class Remark:
    """One sentence: where its prose is, and the values that fill its blanks.

    Parameters
    ----------
    path : str
        Dotted path in `messages/*.toml`.
    details : Mapping[str, str | int | Remark]
        A string is shown as code (a learner's value, a type), a count and a `Remark` as prose.

    Examples
    --------
    >>> remark = Remark("engine.remarks.expected", {"expected": "a < b"})
    >>> remark.text("en")
    'Expected: a < b.'
    >>> remark.html("en")
    'Expected: <code>a &lt; b</code>.'
    """

    path: str
    details: Mapping[str, str | int | Remark] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Last step of the path: `"expected"`."""
        return self.path.rpartition(".")[2]

    def text(self, language: str) -> str:
        """The sentence as plain text."""
        filled = {
            name: value.text(language) if isinstance(value, Remark) else value
            for name, value in self.details.items()
        }
        return find_prose(self.path, language).format(**filled)

    def html(self, language: str) -> str:
        """The sentence as HTML, with `backticks` and values as code and all else escaped."""
        filled = {name: _detail_html(value, language) for name, value in self.details.items()}
        # Only the template's own backticks are markup: values go in afterwards.
        template = html.escape(find_prose(self.path, language), quote=False)
        return re.sub(r"`([^`]+)`", r"<code>\1</code>", template).format(**filled)


def _detail_html(value: str | int | Remark, language: str) -> str:
    if isinstance(value, Remark):
        return value.html(language)
    return str(value) if isinstance(value, int) else f"<code>{html.escape(value)}</code>"
