"""What a Markdown cell says: its words, its links, its pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass

HANGUL = re.compile("[가-힣]")

_FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`+[^`]+`+")
_MATH = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)(?:\s+\"[^\"]*\")?\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_TAG = re.compile(r"<[a-zA-Z/!][^<>]*>")
_BARE_ADDRESS = re.compile(r"<?https?://[^\s<>)]+>?")
_ATTRIBUTE = re.compile(r"""\b(?:href|src)\s*=\s*["']([^"']+)["']""")
_IMG = re.compile(r"<img\b[^<>]*>", re.IGNORECASE)
_BADGES = re.compile(r"\n\n\[!\[[^\n]*(?=\n|$)")
_ALT = re.compile(r"""\balt\s*=\s*["'][^"']*\w[^"']*["']""")


@dataclass(frozen=True)
class Picture:
    """A picture that Markdown shows: how it is written, and whether it has alternative text."""

    source: str
    described: bool


def without_code_blocks(markdown: str) -> str:
    """Markdown without its fenced code."""
    return _FENCE.sub(" ", markdown)


def without_badges(markdown: str) -> str:
    r"""Markdown without its paragraphs of launch badges, which each fork has its own.

    Examples
    --------
    >>> without_badges("# Title\n\n[![Open](a.svg)](b)\n\nText.")
    '# Title\n\nText.'
    """
    return _BADGES.sub("", markdown)


def count_words(markdown: str) -> int:
    r"""Words that a reader reads: no fenced code, no addresses, no markup.

    Examples
    --------
    >>> count_words("## One *two* [three](four.md) `five`\n\n```python\nsix\n```")
    4
    >>> count_words("| 나는 | 학교에 간다 |\n|---|---|")
    3
    """
    text = _LINK.sub(r"\g<text>", without_code_blocks(markdown))
    text = _TAG.sub(" ", _BARE_ADDRESS.sub(" ", text))
    return sum(bool(re.search(r"\w", word)) for word in re.split(r"[\s|]+", text))


def needs_translation(markdown: str) -> bool:
    """Whether a cell has words: not only code, formulas, links, numbers and markup.

    Examples
    --------
    >>> needs_translation("Rotate by an angle."), needs_translation("로짓")
    (True, True)
    >>> needs_translation("$$x^2$$ `rope(x)` <br> https://arxiv.org/abs/2310.06825 ---")
    False
    """
    text = _CODE.sub(" ", _MATH.sub(" ", without_code_blocks(markdown)))
    text = _LINK.sub(r" \g<text> ", _BARE_ADDRESS.sub(" ", text))
    return bool(re.search(r"[^\W\d_]{2,}", _TAG.sub(" ", text)))


def links(markdown: str) -> list[str]:
    """Targets of all links and pictures, Markdown's and HTML's.

    Examples
    --------
    >>> links('[a](b.md) ![c](d.png "e") <a href="f.py">g</a> `[h](i)`')
    ['b.md', 'd.png', 'f.py']
    """
    text = _CODE.sub(" ", without_code_blocks(markdown))
    written = [found.group("target") for found in _LINK.finditer(text)]
    return written + _REFERENCE.findall(text) + _ATTRIBUTE.findall(text)


def pictures(markdown: str) -> list[Picture]:
    """Pictures that Markdown shows.

    Examples
    --------
    >>> [picture.described for picture in pictures("![A map](a.png) ![](b.png) <img src='c.png'>")]
    [True, False, False]
    """
    text = _CODE.sub(" ", without_code_blocks(markdown))
    written = [found for found in _LINK.finditer(text) if found.group("image")]
    tagged = _IMG.findall(text)
    return [Picture(found.group(0), bool(found.group("text").strip())) for found in written] + [
        Picture(tag, bool(_ALT.search(tag))) for tag in tagged
    ]
