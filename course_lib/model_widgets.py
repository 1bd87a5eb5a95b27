"""Widgets that let a learner look into a model: RoPE, attention, sampling, and its floats."""

from __future__ import annotations

import html
import io
import math
from typing import TYPE_CHECKING

import numpy as np

from course_lib.float_formats import N_BITS, FloatParts, float_parts
from course_lib.model_plots import plot_curves, plot_heads, plot_kept
from course_lib.rope import rope_frequencies
from course_lib.sampling import Sampler, entropy, softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import ipywidgets
    from matplotlib.figure import Figure

    from course_lib.tokenizer import Tokenizer

_FARTHEST = 4096
_FLOAT_FIELDS = {"sign": "#fecaca", "exponent": "#bae6fd", "mantissa": "#bbf7d0"}  # under black
_BITS = "padding:1px 3px;margin-right:3px;color:#000;font-family:monospace"


def rope_similarity(distance: int | np.ndarray, head_dim: int, theta: float) -> np.ndarray:
    """Return what is left of a vector's product with its own copy `distance` tokens away.

    Parameters
    ----------
    distance : int or np.ndarray of int, shape (n,)
    head_dim : int
    theta : float

    Returns
    -------
    np.ndarray, shape (n,) or ()
        1 at distance 0, when all pairs of the vector have the same length.

    Examples
    --------
    >>> rope_similarity(np.array([0, 1]), head_dim=4, theta=10_000.0).round(2)
    array([1.  , 0.77])
    """
    return np.cos(np.multiply.outer(distance, rope_frequencies(head_dim, theta))).mean(axis=-1)


def rope_explorer(head_dim: int) -> ipywidgets.VBox:
    """Return sliders for theta and distance, and a curve that follows them."""
    import ipywidgets

    theta = ipywidgets.FloatLogSlider(value=10_000, min=2, max=7, step=0.1, description="theta")
    distance = ipywidgets.IntSlider(value=500, min=0, max=_FARTHEST, description="distance")
    distances = np.arange(0, _FARTHEST + 1, 8)

    def draw() -> Figure:
        curve = {f"theta {theta.value:,.0f}": rope_similarity(distances, head_dim, theta.value)}
        axes = plot_curves(distances, curve, xlabel="distance", ylabel="mean cosine")
        axes.axvline(distance.value, color="grey", linewidth=0.8)
        return axes.figure

    def describe() -> str:
        value = rope_similarity(distance.value, head_dim, theta.value)
        return f"theta {theta.value:,.0f}, distance {distance.value:,}: {value:.3f}"

    return _follow([theta, distance], draw, describe)


def attention_explorer(attention: Sequence[np.ndarray], pieces: Sequence[str]) -> ipywidgets.VBox:
    """Return sliders for layer, head and token, the head's weights, and the largest in words.

    Parameters
    ----------
    attention : sequence of np.ndarray, each of shape (n_heads, n_tokens, n_tokens)
        One a layer, as `Trace.attention` has them.
    pieces : sequence of str, length n_tokens
    """
    import ipywidgets

    n_heads = len(attention[0])
    layer = ipywidgets.IntSlider(value=0, max=len(attention) - 1, description="layer")
    head = ipywidgets.IntSlider(value=0, max=n_heads - 1, description="head")
    token = ipywidgets.IntSlider(value=len(pieces) - 1, max=len(pieces) - 1, description="token")

    def draw() -> Figure:
        weights = attention[layer.value][head.value]
        figure = plot_heads(weights[None], pieces)
        figure.axes[0].set_title(f"layer {layer.value}, head {head.value}")
        figure.axes[0].axhline(token.value, color="white", linewidth=0.8)
        return figure

    def describe() -> str:
        row = attention[layer.value][head.value][token.value]
        best = np.argsort(-row)[:3]
        shares = ", ".join(f"{pieces[i]} {row[i]:.2f}" for i in best if row[i] > 0)
        return f"{pieces[token.value]} → {shares}"

    return _follow([layer, head, token], draw, describe)


def sampling_explorer(
    logits: np.ndarray, tokenizer: Tokenizer, n_shown: int = 20
) -> ipywidgets.VBox:
    """Return sliders for temperature, top-k, top-p and min-p, and the tokens that stay.

    Parameters
    ----------
    logits : np.ndarray, shape (vocab_size,)
    tokenizer : Tokenizer
    n_shown : int
        How many of the likeliest tokens are drawn.
    """
    import ipywidgets

    temperature = ipywidgets.FloatSlider(value=1, min=0, max=2, step=0.1, description="temperature")
    k = ipywidgets.IntSlider(value=0, min=0, max=50, description="top-k")
    p = ipywidgets.FloatSlider(value=1, min=0, max=1, step=0.01, description="top-p")
    m = ipywidgets.FloatSlider(value=0, min=0, max=1, step=0.01, description="min-p")
    before = softmax(logits)
    shown = np.argsort(-before, kind="stable")[:n_shown]
    pieces = [tokenizer.piece(int(i)) for i in shown]

    def filtered() -> np.ndarray:
        sampler = Sampler(temperature.value, k.value, p.value, m.value, repeat_penalty=1.0)
        after = np.zeros_like(before)
        ids, after_filters = sampler.candidates(logits, [])
        after[ids] = after_filters
        return after

    def draw() -> Figure:
        return plot_kept(pieces, before[shown], filtered()[shown]).figure

    def describe() -> str:
        after = filtered()
        n_kept = int((after > 0).sum())
        share = float(before[after > 0].sum())
        bits = entropy(after)
        return f"tokens that stay: {n_kept}, with {share:.0%} of the probability, {bits:.1f} bits"

    return _follow([temperature, k, p, m], draw, describe)


def float_explorer(x: float = 0.1) -> ipywidgets.VBox:
    """Return a number to type or slide, and its bits in three float formats, in colour."""
    import ipywidgets

    number = ipywidgets.FloatText(value=x, description="number")
    size = ipywidgets.FloatLogSlider(min=-46, max=39, step=0.02, description="size")
    table = ipywidgets.HTML()

    def slide(change: dict) -> None:
        number.value = math.copysign(float(f"{change['new']:.3g}"), number.value)

    def show(_: object = None) -> None:
        table.value = _float_table(number.value)
        length = abs(number.value)
        if 1e-46 <= length <= 1e39 and abs(math.log10(length / size.value)) > 0.01:
            size.value = length  # the slider follows what is typed, but not its own rounding

    show()
    number.observe(show, names="value")
    size.observe(slide, names="value")
    return ipywidgets.VBox([number, size, table])


def _float_table(x: float) -> str:
    titles = ("", *_FLOAT_FIELDS, "value", "relative error", "")
    cells = [f"<th style='text-align:left'>{html.escape(title)}</th>" for title in titles]
    rows = [f"<tr>{''.join(cells)}</tr>", *(_float_row(x, name) for name in N_BITS)]
    return f"<table style='border-spacing:8px 3px'>{''.join(rows)}</table>"


def _float_row(x: float, name: str) -> str:
    parts = float_parts(x, name)
    bits = "".join(
        f"<td><span style='{_BITS};background:{colour}'>{getattr(parts, field)}</span></td>"
        for field, colour in _FLOAT_FIELDS.items()
    )
    kind = "" if parts.kind == "normal" else parts.kind
    words = (f"{parts.value:.9g}", _relative_error(x, parts), kind)
    others = "".join(f"<td>{html.escape(word)}</td>" for word in words)
    return f"<tr><th>{html.escape(name)}</th>{bits}{others}</tr>"


def _relative_error(x: float, parts: FloatParts) -> str:
    """Say how far a rounded number is off, as a share of `x`; nothing for infinity."""
    if not (math.isfinite(x) and math.isfinite(parts.value)):
        return ""
    return f"{abs(parts.value - x) / abs(x):.1e}" if parts.value != x else "0"


def _follow(
    controls: Sequence[ipywidgets.Widget],
    draw: Callable[[], Figure],
    describe: Callable[[], str],
) -> ipywidgets.VBox:
    """Put a picture and a line of words below controls, and renew both at every change."""
    import ipywidgets

    picture = ipywidgets.Image(format="png", layout={"align_self": "flex-start"})  # not stretched
    words = ipywidgets.HTML()

    def show(_: object = None) -> None:
        picture.value = _png(draw())
        words.value = html.escape(describe())

    for control in controls:
        control.observe(show, names="value")
    show()
    return ipywidgets.VBox([*controls, words, picture])


def _png(figure: Figure) -> bytes:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)  # else the notebook would show it once more
    return buffer.getvalue()
