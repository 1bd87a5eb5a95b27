"""Figures of the lessons: one style, with Hangul.

matplotlib's own font has no Hangul, and would draw boxes. The font comes with the
`koreanize-matplotlib` package, whose files are used without importing it: its code needs
``distutils``, which Python 3.12 no longer has.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, files
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FONT_PACKAGE = "koreanize-matplotlib"
ACCENT = "#c2410c"  # readable on white and on dark, and beside grey for the colour-blind
COLOURS = (ACCENT, "#0369a1", "#4d7c0f", "#7e22ce", "#57534e")  # told apart without colour, too
BOX = {"boxstyle": "round,pad=0.3", "facecolor": "#fff7ed", "edgecolor": ACCENT}
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


def plot_probabilities(pieces: Sequence[str], probabilities: np.ndarray) -> Axes:
    """Draw the probability of each piece as a bar with its value, in the order given.

    Parameters
    ----------
    pieces : sequence of str, length n
    probabilities : np.ndarray, shape (n,)
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(6, 0.5 + 0.35 * len(pieces)))
    bars = axes.barh(range(len(pieces)), probabilities, color=ACCENT)
    axes.bar_label(bars, [f"{p:.3f}" for p in probabilities], padding=4)
    axes.set_yticks(range(len(pieces)), pieces)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.12), xlabel="probability")
    return axes


def plot_segmentations(rows: Mapping[str, Sequence[str]]) -> Axes:
    """Draw one text cut in several ways, one way a row; a box is as wide as its characters.

    Boxes that the row above does not have are filled.

    Parameters
    ----------
    rows : mapping from label to pieces
        The pieces of every row spell the same text.
    """
    import matplotlib.pyplot as plt

    n_characters = len("".join(next(iter(rows.values()))))
    _, axes = plt.subplots(figsize=(min(11, 1.5 + 0.42 * n_characters), 0.4 + 0.42 * len(rows)))
    above: set[tuple[int, int]] = set()
    for row, pieces in enumerate(rows.values()):
        ends = list(accumulate(map(len, pieces)))
        boxes = set(zip([0, *ends], ends))
        for (start, end), piece in zip(sorted(boxes), pieces):
            is_new = row > 0 and (start, end) not in above
            axes.barh(
                row, end - start - 0.08, left=start + 0.04, height=0.76,
                color=BOX["facecolor"] if is_new else "white", edgecolor=ACCENT if is_new else "grey",  # noqa: E501
            )  # fmt: skip
            axes.text((start + end) / 2, row, piece, ha="center", va="center")
        above = boxes
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlim=(0, n_characters), xticks=[])
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(left=False)
    return axes


def plot_token_counts(counts: Mapping[str, tuple[int, int]], labels: tuple[str, str]) -> Axes:
    """Draw pairs of token counts as bars side by side, with their values.

    Parameters
    ----------
    counts : mapping from vocabulary to (count, count)
    labels : (str, str)
        What the first and the second count are of.
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(7, 0.8 + 0.6 * len(counts)))
    for index, (label, colour) in enumerate(zip(labels, ("#78716c", ACCENT))):
        values = [pair[index] for pair in counts.values()]
        rows = [row + 0.4 * index for row in range(len(counts))]
        bars = axes.barh(rows, values, height=0.36, color=colour, label=label)
        axes.bar_label(bars, padding=3)
    axes.set_yticks([row + 0.2 for row in range(len(counts))], counts)
    axes.set_xlabel("tokens")
    axes.invert_yaxis()
    axes.legend()
    return axes


def plot_generation_map(
    text: str,
    pieces: Sequence[str],
    vectors: np.ndarray,
    n_layers: int,
    logits: np.ndarray,
    next_piece: str,
) -> Figure:
    """Draw the way from a text to the next token, with the real values of every stage.

    Parameters
    ----------
    text : str
    pieces : sequence of str, length n_tokens
    vectors : np.ndarray, shape (n_tokens, dim)
    n_layers : int
        Number of transformer blocks.
    logits : np.ndarray, shape (vocab_size,)
    next_piece : str
        The token with the largest logit.
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 5, figsize=(11, 2.6), width_ratios=[2, 1.4, 2.2, 1.4, 2.2])
    titles = ("1 text →", "2 tokens →", "3 vectors →", "4 blocks →", "5 logits → 6 sample")
    for panel, title in zip(panels, titles):
        panel.set_title(title, loc="left", fontweight="bold")
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    panels[0].text(0.5, 0.5, text, ha="center", va="center", fontsize=13)
    for row, piece in enumerate(pieces):
        panels[1].text(
            0.5, 1 - (row + 0.5) / len(pieces), piece, ha="center", va="center", bbox=BOX
        )
    panels[2].imshow(vectors[:, :24], aspect="auto", cmap="RdBu")
    panels[2].set_xlabel(f"{len(pieces)} × {vectors.shape[1]}")
    for layer in range(n_layers):
        height = (layer + 0.5) / n_layers
        panels[3].text(0.5, height, f"block {layer}", ha="center", va="center", bbox=BOX)
    best = int(logits.argmax())
    panels[4].plot(logits, linewidth=0.4, color="grey")
    panels[4].plot(best, logits[best], "o", color=ACCENT)
    panels[4].annotate(next_piece, (best, logits[best]), xytext=(6, -3), textcoords="offset points")
    panels[4].set_xlabel(f"{len(logits)}")
    return figure


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
