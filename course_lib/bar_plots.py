"""Figures of sizes, shares and measures, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from course_lib.plots import ACCENT, COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from course_lib.report_card import ReportCard

_CARD_COLOURS = {True: "#4d7c0f", False: "#b91c1c", None: "#57534e"}


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
            color=COLOURS[index % 5], edgecolor="white",
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
            color=COLOURS[index % 5], edgecolor="white",
        )  # fmt: skip
        end += sizes
    n_decimals = 0 if (end == end.round()).all() else 1
    for row, total in enumerate(end):
        axes.annotate(
            f"{total:.{n_decimals}f}", (total, row), xytext=(4, -4), textcoords="offset points",
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


def plot_report_card(card: ReportCard, names: Mapping[str, str] | None = None) -> Axes:
    """Draw how far each measure of a report card lies on the right side of its line, or the wrong.

    Bars to the right have passed, to the left not; equal lengths are equal factors, and what is
    more than a hundred times as good or as bad ends there. Colour and sign say the same.

    Parameters
    ----------
    card : ReportCard
    names : mapping from measure to label, optional
        Other names to write beside the bars.

    Examples
    --------
    >>> from course_lib.report_card import ReportCard, Requirement
    >>> card = ReportCard("Desk", [Requirement("memory", "GB", at_most=6)])
    >>> card.record("memory", 3)
    True
    >>> plot_report_card(card).texts[0].get_text()
    '✓ 3 GB  (≤ 6 GB)'
    """
    import matplotlib.pyplot as plt

    rows = card.rows
    _, axes = plt.subplots(figsize=(8, 1.1 + 0.4 * len(rows)))
    for place, row in enumerate(rows):
        margin = 1.0 if np.isnan(row.margin) else min(max(row.margin, 0.01), 100)
        length, colour = np.log10(margin), _CARD_COLOURS[row.passed]
        hatch = None if row.passed else "///"
        axes.barh(place, length, height=0.6, color=colour, hatch=hatch, edgecolor="white")
        axes.annotate(
            f"{row.mark} {row.value_text}  ({row.requirement.wanted_text})",
            (max(length, 0), place), xytext=(6, 0), textcoords="offset points", va="center",
            color=colour, parse_math=False,
        )  # fmt: skip
    axes.axvline(0, color="black", linewidth=1.2)
    shown_names = [(names or {}).get(row.what, row.what) for row in rows]
    axes.set_yticks(range(len(rows)), shown_names, parse_math=False)
    lowest = -2.1 if any(row.margin < 1 for row in rows) else -0.1
    ticks = {-2: "÷ 100", -1: "÷ 10", 0: "× 1", 1: "× 10", 2: "× 100"}
    shown = [tick for tick in ticks if tick > lowest]
    axes.set_xticks(shown, [ticks[tick] for tick in shown])
    axes.set(xlim=(lowest, 3.6), ylim=(len(rows) - 0.4, -0.6))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return axes
