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
_TINTS = ("#ffedd5", "#e0f2fe", "#ecfccb", "#f3e8ff")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v")
_SIDES = ((7, -3, "left"), (-7, -3, "right"), (0, 8, "center"), (0, -14, "center"))  # in points


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


def plot_shares(bars: Mapping[str, Mapping[str, float]]) -> Axes:
    """Draw what each whole consists of: one bar a whole, all of one length, with percentages.

    Parameters
    ----------
    bars : mapping from label to mapping from part to size
        Every bar has the same parts, in the same order.

    Examples
    --------
    >>> axes = plot_shares({"a file": {"header": 1, "weights": 3}})
    >>> [text.get_text() for text in axes.texts]
    ['25%', '75%']
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(8, 1.0 + 0.6 * len(bars)))
    start = np.zeros(len(bars))
    totals = np.array([sum(parts.values()) for parts in bars.values()], dtype=float)
    for index, name in enumerate(next(iter(bars.values()))):
        shares = 100 * np.array([parts[name] for parts in bars.values()]) / totals
        drawn = axes.barh(
            range(len(bars)), shares, left=start, height=0.6, label=name,
            color=_COLOURS[index % 5], edgecolor="white",
        )  # fmt: skip
        labels = [f"{share:.0f}%" if share >= 3 else "" for share in shares]
        axes.bar_label(drawn, labels, label_type="center", color="white")
        start += shares
    axes.set_yticks(range(len(bars)), bars)
    axes.set(xlim=(0, 100), xticks=[])
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=5)
    return axes


def plot_measures(names: Sequence[str], measures: Mapping[str, Sequence[float]]) -> Figure:
    """Draw several measures of the same things side by side, one panel a measure, as bars.

    Parameters
    ----------
    names : sequence of str, length n
    measures : mapping from label to sequence of float, length n

    Examples
    --------
    >>> figure = plot_measures(["F16", "Q8_0"], {"megabytes": [9.7, 5.2], "errors": [0, 1]})
    >>> [axes.get_title() for axes in figure.axes]
    ['megabytes', 'errors']
    """
    import matplotlib.pyplot as plt

    size = (1.0 + 1.6 * len(measures), 0.7 + 0.3 * len(names))
    figure, grid = plt.subplots(1, len(measures), figsize=size, sharey=True, squeeze=False)
    for axes, (label, values) in zip(grid.flat, measures.items()):
        bars = axes.barh(range(len(names)), values, color=ACCENT)
        axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=3, fontsize=9)
        axes.set(title=label, xticks=[], xlim=(0, 1.55 * max(*values, 1e-12)))
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(length=0)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    return figure


def plot_points(
    points: Mapping[str, tuple[float, float]], *, xlabel: str, ylabel: str, log_y: bool = False
) -> Axes:
    """Draw points, each with its name beside it.

    Parameters
    ----------
    points : mapping from name to (x, y)
    xlabel, ylabel : str
    log_y : bool
        Equal steps upwards are equal factors.

    Examples
    --------
    >>> axes = plot_points({"Q4_0": (4.5, 0.09)}, xlabel="bits", ylabel="error")
    >>> axes.texts[0].get_text()
    'Q4_0'
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(7, 3.4))
    for name, (x, y) in points.items():
        axes.plot(x, y, "o", color=ACCENT)
        axes.annotate(name, (x, y), xytext=(7, -3), textcoords="offset points")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")  # 0.01, as powers of ten have no font of their own
    axes.margins(x=0.12, y=0.12)
    return axes


def plot_stacks(
    bars: Mapping[str, Mapping[str, float]],
    *,
    xlabel: str,
    limits: Mapping[str, float] | None = None,
) -> Axes:
    """Draw what each whole adds up from: one bar a whole, as long as it is, with its total.

    Parameters
    ----------
    bars : mapping from label to mapping from part to size
        Every bar has the same parts, in the same order.
    xlabel : str
        What the lengths are.
    limits : mapping from label to size, optional
        Lines to compare the bars with.

    Examples
    --------
    >>> axes = plot_stacks({"a model": {"weights": 4, "cache": 0.5}}, xlabel="GB")
    >>> [text.get_text() for text in axes.texts]
    ['4.5']
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(8, 1.1 + 0.34 * len(bars)))
    end = np.zeros(len(bars))
    for index, name in enumerate(next(iter(bars.values()))):
        sizes = np.array([parts[name] for parts in bars.values()], dtype=float)
        axes.barh(
            range(len(bars)), sizes, left=end, label=name,
            color=_COLOURS[index % 5], edgecolor="white",
        )  # fmt: skip
        end += sizes
    for row, total in enumerate(end):
        axes.annotate(
            f"{total:.1f}", (total, row), xytext=(4, -4), textcoords="offset points",
            bbox={"boxstyle": "square,pad=0.1", "color": "white"},
        )  # fmt: skip
    for label, size in (limits or {}).items():
        axes.axvline(size, color="black", linestyle="--", linewidth=1)
        axes.annotate(label, (size, -0.6), xytext=(4, 3), textcoords="offset points")
    axes.set_yticks(range(len(bars)), bars)
    longest = max(*end, *(limits or {}).values(), 0.0)
    axes.set(xlabel=xlabel, xlim=(0, 1.12 * longest), ylim=(len(bars) - 0.4, -0.6))
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def plot_releases(models: Mapping[str, tuple[str, float, str]]) -> Axes:
    """Draw models by the month of their release and by their size, in groups.

    Parameters
    ----------
    models : mapping from name to (month, size, group)
        A month is written as ``"2024-05"``, a size in billions of weights.

    Examples
    --------
    >>> axes = plot_releases({"Mistral 7B v0.3": ("2024-05", 7.2, "Apache-2.0")})
    >>> axes.texts[0].get_text()
    'Mistral 7B v0.3'
    """
    import matplotlib.pyplot as plt

    places = {name: (_year(month), size) for name, (month, size, _) in models.items()}
    groups = {group: [] for *_, group in models.values()}
    for name, (*_, group) in models.items():
        groups[group].append(places[name])
    _, axes = plt.subplots(figsize=(9.2, 4.4))
    for index, (group, points) in enumerate(groups.items()):
        style = {"marker": _MARKERS[index % 5], "color": _COLOURS[index % 5], "linestyle": ""}
        axes.plot(*zip(*points), label=group, **style)
    axes.set_yscale("log", subs=(2, 5))
    for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        which("{x:g}")  # 0.5, as powers of ten have no font of their own
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("billions of weights")
    axes.margins(x=0.12, y=0.1)
    axes.legend()
    _name_points(axes, places)
    return axes


def _year(month: str) -> float:
    year, number = month.split("-")
    return int(year) + (int(number) - 0.5) / 12


def _name_points(axes: Axes, places: Mapping[str, tuple[float, float]]) -> None:
    """Write each name on that side of its point where it covers nothing, if there is one."""
    from matplotlib.transforms import Bbox

    axes.figure.canvas.draw()
    taken = [axes.get_legend().get_window_extent()]
    for x, y in axes.transData.transform(list(places.values())):
        taken.append(Bbox.from_extents(x - 8, y - 8, x + 8, y + 8))
    for name, place in places.items():
        for x, y, side in _SIDES:
            text = axes.annotate(
                name, place, xytext=(x, y), textcoords="offset points", ha=side, fontsize=9
            )
            box = text.get_window_extent()
            if (x, y, side) == _SIDES[-1] or not any(map(box.overlaps, taken)):
                break
            text.remove()
        taken.append(box)


def _name_sides(axes: Axes, rows: Sequence[object], columns: Sequence[object]) -> None:
    long = max((len(str(name)) for name in columns), default=0) > 2
    axes.set_xticks(range(len(columns)), columns, rotation=90 if long else 0)
    axes.set_yticks(range(len(rows)), rows)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
