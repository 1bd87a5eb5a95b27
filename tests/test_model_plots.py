"""Figures of a model: they show the numbers they were given, with every glyph."""

import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from course_lib.model_plots import (
    plot_curves,
    plot_heads,
    plot_kept,
    plot_matrix,
    plot_rotations,
)
from course_lib.plots import use_course_style

matplotlib.use("Agg")
PIECES = ["<s>", "▁나는", "▁학", "교"]


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        use_course_style()
        yield
    plt.close("all")


def labels(ticks):
    return [tick.get_text() for tick in ticks]


def test_a_matrix_is_drawn_as_it_is_with_its_names():
    matrix = np.arange(8.0).reshape(2, 4)
    axes = plot_matrix(matrix, ["서울", "부산"], PIECES, value_label="유사도")
    axes.figure.canvas.draw()
    np.testing.assert_array_equal(axes.images[0].get_array(), matrix)
    assert labels(axes.get_xticklabels()) == PIECES
    assert labels(axes.get_yticklabels()) == ["서울", "부산"]


def test_minus_infinity_stays_white():
    axes = plot_matrix(np.array([[0.0, -np.inf]]), ["a"], ["b", "c"])
    assert np.ma.getmaskarray(np.ma.masked_invalid(axes.images[0].get_array())).tolist() == [
        [False, True]
    ]


def test_words_are_written_into_the_cells_readable_on_their_colour():
    axes = plot_matrix(np.array([[0.0, 1.0]]), ["a"], ["b", "c"], texts=[["어두운", "밝은"]])
    assert [(t.get_text(), t.get_color()) for t in axes.texts] == [
        ("어두운", "white"),
        ("밝은", "black"),
    ]


@pytest.mark.parametrize(("n_heads", "n_panels"), [(1, 1), (2, 2), (6, 8), (8, 8)])
def test_each_head_has_its_panel(n_heads, n_panels):
    attention = np.random.default_rng(0).random((n_heads, 4, 4))
    figure = plot_heads(attention, PIECES)
    figure.canvas.draw()
    assert len(figure.axes) == n_panels
    for number in range(n_heads):
        assert figure.axes[number].get_title() == f"head {number}"
        np.testing.assert_array_equal(figure.axes[number].images[0].get_array(), attention[number])


def test_points_that_nearly_coincide_are_numbered_once():
    angles = np.arange(9) * 0.01
    points = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    figure = plot_rotations({"slow": points, "fast": points[:, ::-1] * [1, -1]})
    assert labels(figure.axes[0].texts) == ["0"]


def test_curves_keep_their_values_and_differ_by_more_than_colour():
    axes = plot_curves([0, 1], {"a": [1, 2], "b": [3, 4]}, xlabel="거리", ylabel="값")
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1, 2], [3, 4]]
    assert len({line.get_linestyle() for line in axes.lines}) == 2


def test_rejected_tokens_are_marked_by_more_than_colour():
    axes = plot_kept(["서울", "부산"], np.array([0.6, 0.4]), np.array([1.0, 0.0]))
    assert labels(axes.get_yticklabels()) == ["서울", "× 부산"]
    assert [bar.get_width() for bar in axes.patches] == [0.6, 0.4, 1.0, 0.0]
