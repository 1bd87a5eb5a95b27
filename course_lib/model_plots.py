"""Figures of what goes on inside a model: matrices, heads, bytes, and all other figures by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from course_lib.bar_plots import plot_measures, plot_report_card, plot_shares, plot_stacks
from course_lib.curve_plots import (
    plot_curves,
    plot_events,
    plot_points,
    plot_releases,
    plot_roofline,
    plot_rotations,
)
from course_lib.plots import ACCENT

__all__ = [
    "plot_bytes",
    "plot_curves",
    "plot_events",
    "plot_heads",
    "plot_kept",
    "plot_matrix",
    "plot_measures",
    "plot_points",
    "plot_releases",
    "plot_report_card",
    "plot_roofline",
    "plot_rotations",
    "plot_shares",
    "plot_stacks",
]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TINTS = ("#ffedd5", "#e0f2fe", "#ecfccb", "#f3e8ff")


def plot_matrix(
    matrix: np.ndarray,
    rows: Sequence[object],
    columns: Sequence[object],
    *,
    value_label: str = "",
    rows_label: str = "",
    columns_label: str = "",
    texts: Sequence[Sequence[str]] | None = None,
) -> Axes:
    """Draw numbers as a grid of colours, each row and column with its name.

    Parameters
    ----------
    matrix : np.ndarray, shape (n_rows, n_columns)
        ``-inf`` stays white.
    rows, columns : sequence
        Names along the sides.
    value_label, rows_label, columns_label : str
        What the colours, the rows and the columns are.
    texts : sequence of sequence of str, optional
        Words to write into the cells.
    """
    import matplotlib.pyplot as plt

    n_rows, n_columns = np.shape(matrix)
    cell = (0.75, 0.42) if texts else (0.32, 0.3) if n_columns < 16 else (0.2, 0.18)
    size = (2.2 + cell[0] * n_columns, 1.0 + cell[1] * n_rows)
    _, axes = plt.subplots(figsize=(min(size[0], 10), min(size[1], 8)))
    image = axes.imshow(np.where(np.isfinite(matrix), matrix, np.nan), aspect="auto")
    axes.figure.colorbar(image, label=value_label)
    _name_sides(axes, rows, columns)
    axes.set(xlabel=columns_label, ylabel=rows_label)
    if texts:
        middle = (np.nanmin(matrix) + np.nanmax(matrix)) / 2
        for (row, column), value in np.ndenumerate(matrix):
            colour = "black" if value > middle else "white"
            axes.text(column, row, texts[row][column], ha="center", va="center", color=colour)
    return axes


def plot_heads(attention: np.ndarray, pieces: Sequence[str], *, title: str = "head") -> Figure:
    """Draw the attention weights of several heads side by side.

    Parameters
    ----------
    attention : np.ndarray, shape (n_heads, n_tokens, n_tokens)
        Row: the token that looks; column: the token that is looked at.
    pieces : sequence of str, length n_tokens
    title : str
        What is counted: ``"head"`` gives "head 0", "head 1" and so on.
    """
    import matplotlib.pyplot as plt

    n_heads = len(attention)
    n_columns = min(4, n_heads)
    n_rows = -(-n_heads // n_columns)
    size = (1.0 + 2.3 * n_columns, 0.6 + 2.2 * n_rows)
    figure, grid = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= n_heads:
            axes.set_axis_off()
            continue
        axes.imshow(attention[number], vmin=0, vmax=1, aspect="auto")
        axes.set_title(f"{title} {number}")
        _name_sides(axes, pieces if number % n_columns == 0 else [], pieces)
        if number % n_columns:
            axes.set_yticks([])
    return figure


def plot_kept(pieces: Sequence[str], before: np.ndarray, after: np.ndarray) -> Axes:
    """Draw the probability of each piece before and after filtering; rejected ones are crossed out.

    Parameters
    ----------
    pieces : sequence of str, length n
    before, after : np.ndarray, shape (n,)
        0 in `after` means rejected.
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(7, 0.8 + 0.24 * len(pieces)))
    rows = np.arange(len(pieces))
    axes.barh(rows - 0.2, before, height=0.4, color="lightgrey", label="before")
    axes.barh(rows + 0.2, after, height=0.4, color=ACCENT, label="after")
    names = [piece if p > 0 else f"× {piece}" for piece, p in zip(pieces, after)]
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.set_xlabel("probability")
    axes.legend(loc="lower right")
    return axes


def plot_bytes(data: bytes, fields: Mapping[str, int]) -> Axes:
    """Draw bytes in rows of sixteen, as two digits and as a character, with the name of each field.

    Parameters
    ----------
    data : bytes
    fields : mapping from name to number of bytes
        In the order of the bytes; those behind the last field are left out.

    Examples
    --------
    >>> axes = plot_bytes(b"GGUF...", {"magic": 4})
    >>> [text.get_text() for text in axes.texts[:3]]
    ['magic', '47', 'G']
    """
    import matplotlib.pyplot as plt

    n_rows = -(-sum(fields.values()) // 16)
    _, axes = plt.subplots(figsize=(9.2, 0.3 + 0.72 * n_rows))
    offset = 0
    for index, (name, n_bytes) in enumerate(fields.items()):
        row, column = divmod(offset, 16)
        axes.text(column + 0.06, row - 0.16, name, color=ACCENT, fontsize=9)
        for at in range(offset, offset + n_bytes):
            _draw_byte(axes, at, data[at], _TINTS[index % 4])
        offset += n_bytes
    axes.set(xlim=(0, 16), ylim=(n_rows - 0.3, -0.45), xticks=[])
    axes.set_yticks([row + 0.25 for row in range(n_rows)], [16 * row for row in range(n_rows)])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return axes


def _draw_byte(axes: Axes, at: int, value: int, colour: str) -> None:
    import matplotlib.pyplot as plt

    row, column = divmod(at, 16)
    axes.add_patch(plt.Rectangle((column + 0.03, row - 0.1), 0.94, 0.7, color=colour, linewidth=0))
    shown = chr(value) if 32 < value < 127 else "·"
    place = {"ha": "center", "va": "center", "family": "monospace"}
    axes.text(column + 0.5, row + 0.1, f"{value:02x}", fontsize=11, **place)
    axes.text(column + 0.5, row + 0.42, shown, fontsize=9, color="#57534e", **place)


def _name_sides(axes: Axes, rows: Sequence[object], columns: Sequence[object]) -> None:
    long = max((len(str(name)) for name in columns), default=0) > 2
    axes.set_xticks(range(len(columns)), columns, rotation=90 if long else 0)
    axes.set_yticks(range(len(rows)), rows)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
