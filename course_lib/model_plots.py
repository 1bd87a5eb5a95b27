"""Figures of what goes on inside a model: matrices, heads, rotations, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from course_lib.plots import ACCENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = (ACCENT, "#0369a1", "#4d7c0f", "#7e22ce", "#57534e")  # told apart without colour, too
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


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


def plot_rotations(points: Mapping[str, np.ndarray]) -> Figure:
    """Draw where a point of the plane stands at each position, one circle a series.

    Parameters
    ----------
    points : mapping from label to np.ndarray, shape (n_positions, 2)
    """
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(1, len(points), figsize=(3 * len(points), 3.2), squeeze=False)
    for axes, (label, places) in zip(grid.flat, points.items()):
        axes.add_patch(plt.Circle((0, 0), 1, fill=False, color="lightgrey"))
        named = np.array([np.inf, np.inf])  # where the last number stands
        for position, (x, y) in enumerate(places):
            axes.plot([0, x], [0, y], color="grey", linewidth=0.8)
            axes.plot(x, y, "o", color=ACCENT, markersize=5)
            if np.hypot(*(places[position] - named)) > 0.15:
                axes.annotate(str(position), (1.18 * x, 1.18 * y), ha="center", va="center")
                named = places[position]
        axes.set(title=label, xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
        axes.set_axis_off()
    return figure


def plot_curves(
    x: Sequence[float] | np.ndarray,
    curves: Mapping[str, Sequence[float] | np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
) -> Axes:
    """Draw one or more curves, told apart by colour and dashes.

    Parameters
    ----------
    x : sequence of float, length n
    curves : mapping from label to sequence of float, length n
    xlabel, ylabel : str
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(7, 3.2))
    for index, (label, y) in enumerate(curves.items()):
        style = {"color": _COLOURS[index % 5], "linestyle": _DASHES[index % 5]}
        axes.plot(x, y, label=label, **style)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend()
    return axes


def _name_sides(axes: Axes, rows: Sequence[object], columns: Sequence[object]) -> None:
    long = max((len(str(name)) for name in columns), default=0) > 2
    axes.set_xticks(range(len(columns)), columns, rotation=90 if long else 0)
    axes.set_yticks(range(len(rows)), rows)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
