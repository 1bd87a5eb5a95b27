"""Figures of curves, points and events along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from course_lib.plots import ACCENT, COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v")
_SIDES = ((7, -3, "left"), (-7, -3, "right"), (0, 8, "center"), (0, -14, "center"))  # in points


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
        style = {"color": COLOURS[index % 5], "linestyle": _DASHES[index % 5]}
        axes.plot(x, y, label=label, **style)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend()
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


def plot_roofline(
    series: Mapping[str, Mapping[str, tuple[float, float]]], bandwidth: float, arithmetic: float
) -> Axes:
    """Draw how much arithmetic a machine can do, and how much was done, on logarithmic axes.

    The slope is what memory admits, `bandwidth` times the intensity; the flat part is `arithmetic`.
    They meet at the ridge.

    Parameters
    ----------
    series : mapping from label to mapping from name to (intensity, speed)
        Points in floating-point operations a byte, and a second. Each has its name beside it.
    bandwidth : float
        Bytes a second.
    arithmetic : float
        Floating-point operations a second.

    References
    ----------
    Williams, Waterman & Patterson 2009, "Roofline", Communications of the ACM 52(4).

    Examples
    --------
    >>> axes = plot_roofline({"NumPy": {"n = 1": (0.5, 2e10)}}, bandwidth=5e10, arithmetic=2e11)
    >>> axes.get_legend().get_texts()[0].get_text(), axes.texts[0].get_text()
    ('NumPy', 'n = 1')
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(7.6, 4.2))
    ridge = arithmetic / bandwidth
    intensities = [x for points in series.values() for x, _ in points.values()]
    x = np.geomspace(min(*intensities, ridge) / 2, 2 * max(*intensities, ridge), 200)
    axes.plot(x, np.minimum(bandwidth * x, arithmetic) / 1e9, color="black", linewidth=1.5)
    axes.axvline(ridge, color="grey", linestyle=":", linewidth=1)
    for index, (label, points) in enumerate(series.items()):
        places = {name: (a, speed / 1e9) for name, (a, speed) in points.items()}
        style = {"marker": _MARKERS[index % 5], "color": COLOURS[index % 5]}
        axes.plot(*zip(*places.values()), label=label, linewidth=0.8, **style)
    axes.set(xscale="log", yscale="log", xlabel="FLOP per byte", ylabel="GFLOP per second")
    axes.xaxis.set_major_formatter("{x:g}")  # 0.1, as powers of ten have no font of their own
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.margins(y=0.12)
    axes.legend(loc="lower right")
    for index, points in enumerate(series.values()):
        for name, (a, speed) in points.items():
            axes.annotate(
                name, (a, speed / 1e9), xytext=(0, 7 if index else -15), textcoords="offset points",
                ha="center", fontsize=9, color=COLOURS[index % 5],
                bbox={"boxstyle": "square,pad=0.05", "color": "white", "alpha": 0.8},
            )  # fmt: skip
    axes.annotate(
        "ridge", (ridge, 0), xycoords=("data", "axes fraction"), xytext=(4, 5),
        textcoords="offset points", color="grey",
    )  # fmt: skip
    return axes


def plot_events(rows: Mapping[str, Sequence[float]], *, xlabel: str) -> Axes:
    """Draw when things happened: one row a kind of event, one stroke an event.

    Parameters
    ----------
    rows : mapping from label to sequence of float
        The places of the strokes.
    xlabel : str
        What the places are.

    Examples
    --------
    >>> axes = plot_events({"heart": [0.0, 0.1, 0.4], "answer": [0.3]}, xlabel="seconds")
    >>> [text.get_text() for text in axes.get_yticklabels()]
    ['heart', 'answer']
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(8, 0.8 + 0.42 * len(rows)))
    for row, times in enumerate(rows.values()):
        axes.vlines(times, row - 0.32, row + 0.32, color=COLOURS[row % 2], linewidth=1.2)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=xlabel, ylim=(len(rows) - 0.4, -0.6))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
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
        style = {"marker": _MARKERS[index % 5], "color": COLOURS[index % 5], "linestyle": ""}
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
