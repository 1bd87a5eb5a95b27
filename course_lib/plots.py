"""Figures of the lessons: one style, with Hangul.

matplotlib's own font has no Hangul, and would draw boxes. The font comes with the
`koreanize-matplotlib` package, whose files are used without importing it: its code needs
``distutils``, which Python 3.12 no longer has.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

_FONT_PACKAGE = "koreanize-matplotlib"
_FONT_WEIGHTS = {"NanumGothic.ttf": 400, "NanumGothicBold.ttf": 700}


class FontNotFoundError(FileNotFoundError):
    """No font with Hangul came with the installed packages."""


def hangul_font_path() -> Path:
    """Find the file of a font with Hangul, NanumGothic; matplotlib is not imported.

    Raises
    ------
    FontNotFoundError
        When `koreanize-matplotlib`, which carries it, is not installed or not whole.

    Examples
    --------
    >>> hangul_font_path().name
    'NanumGothic.ttf'
    """
    return _font_file("NanumGothic.ttf")


def use_hangul_font() -> str:
    """Let matplotlib draw Hangul from now on, and return the font's name.

    DejaVu Sans stays behind it, for what NanumGothic lacks: ``▁`` and the minus sign ``−``.

    Raises
    ------
    FontNotFoundError
        As `hangul_font_path`.
    """
    import matplotlib
    from matplotlib import font_manager

    fonts = font_manager.fontManager.ttflist
    for name, weight in _FONT_WEIGHTS.items():
        path = str(_font_file(name))
        if path not in {font.fname for font in fonts}:
            font_manager.fontManager.addfont(path)
            # The bold file calls itself 600, and matplotlib complains whenever bold is asked for.
            fonts[-1] = replace(fonts[-1], weight=weight)
    family = font_manager.FontProperties(fname=str(hangul_font_path())).get_name()
    matplotlib.rcParams["font.family"] = [family, "DejaVu Sans"]
    return family


def use_course_style() -> None:
    """Set the look that all figures of the course share; call it once in a notebook."""
    import matplotlib

    use_hangul_font()
    matplotlib.rcParams.update(
        {
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "image.cmap": "viridis",
            "legend.frameon": False,
        }
    )


def _font_file(name: str) -> Path:
    try:
        packaged = files(_FONT_PACKAGE) or []
    except PackageNotFoundError:
        packaged = []
    paths = (Path(str(file.locate())) for file in packaged if file.name == name)
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise FontNotFoundError(f"{name} is missing. Run: python -m pip install {_FONT_PACKAGE}")
    return found
