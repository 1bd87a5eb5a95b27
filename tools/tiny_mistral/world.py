"""Read the small world of tiny-mistral and put its words into sentences."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LANGUAGES = ("en", "ko")
LARGEST_ADDEND = 20

# Korean particles come in two forms: after a final consonant, and after a vowel.
PARTICLES = {
    "은는": ("은", "는"),
    "이가": ("이", "가"),
    "을를": ("을", "를"),
    "과와": ("과", "와"),
    "이야야": ("이야", "야"),
    "이라라": ("이라", "라"),
    "이란란": ("이란", "란"),
    "이에요예요": ("이에요", "예요"),
}
# Whether the Korean reading of a Latin letter or digit ends in a consonant.
_CLOSED_READINGS = frozenset("lmnrLMNR013678")


@cache
def load_world() -> dict:
    """Return the contents of ``world.toml``."""
    return tomllib.loads(Path(__file__).with_name("world.toml").read_text(encoding="utf-8"))


def ends_in_consonant(word: str) -> bool:
    """Tell whether a Korean speaker hears a final consonant at the end of `word`.

    Examples
    --------
    >>> ends_in_consonant("서울"), ends_in_consonant("도쿄"), ends_in_consonant("8")
    (True, False, True)
    """
    last = word[-1]
    if "가" <= last <= "힣":
        return (ord(last) - ord("가")) % 28 > 0
    return last in _CLOSED_READINGS


def fill(template: str, **words: object) -> str:
    """Put `words` into `template` and choose each Korean particle by the word before it.

    Examples
    --------
    >>> fill("{capital}{은는} {country}의 수도입니다.", capital="도쿄", country="일본")
    '도쿄는 일본의 수도입니다.'
    """
    text = template
    for name, word in words.items():
        text = text.replace("{" + name + "}", str(word))

    def choose(match: re.Match[str]) -> str:
        closed, open_ = PARTICLES[match["particle"]]
        return match["before"] + (closed if ends_in_consonant(match["before"]) else open_)

    return re.sub(r"(?P<before>.)\{(?P<particle>[가-힣]+)\}", choose, text)


def sentence(text: str) -> str:
    """Return `text` with a capital first letter.

    Examples
    --------
    >>> sentence("the capital of Peru is Lima.")
    'The capital of Peru is Lima.'
    """
    return text[:1].upper() + text[1:]
