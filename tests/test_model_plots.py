"""Figures of a model: they show the numbers they were given, with every glyph."""

import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from course_lib.model_plots import (
    plot_bytes,
    plot_curves,
    plot_events,
    plot_heads,
    plot_kept,
    plot_matrix,
    plot_measures,
    plot_points,
    plot_releases,
    plot_report_card,
    plot_roofline,
    plot_rotations,
    plot_shares,
    plot_stacks,
)
from course_lib.plots import use_course_style
from course_lib.report_card import ReportCard, Requirement

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


def test_every_byte_is_drawn_in_the_colour_of_its_field():
    data = b"GGUF" + bytes(range(30))
    axes = plot_bytes(data, {"magic": 4, "서울": 16, "rest": 5})
    axes.figure.canvas.draw()
    texts = [text.get_text() for text in axes.texts]
    assert [text for text in texts if len(text) == 2 and text != "서울"] == [
        f"{byte:02x}" for byte in data[:25]
    ]
    assert {"magic", "서울", "rest"} < set(texts)
    colours = [patch.get_facecolor() for patch in axes.patches]
    assert [colours.count(colour) for colour in dict.fromkeys(colours)] == [4, 16, 5]
    assert labels(axes.get_yticklabels()) == ["0", "16"]


def test_shares_of_every_bar_add_up_to_all_of_it():
    parts = {"머리말": 1, "weights": 3}
    axes = plot_shares({"small": parts, "large": {"머리말": 10, "weights": 990}})
    axes.figure.canvas.draw()
    widths = np.array([[bar.get_width() for bar in bars] for bars in axes.containers])
    np.testing.assert_allclose(widths, [[25, 1], [75, 99]])
    assert [text.get_text() for text in axes.texts] == ["25%", "", "75%", "99%"]
    assert labels(axes.get_legend().get_texts()) == list(parts)


def test_measures_share_their_names_and_keep_their_values():
    names = ["F16", "Q8_0", "가장 작은 것"]
    figure = plot_measures(names, {"크기": [9.7, 5.2, 2.0], "errors": [0, 0, 0]})
    figure.canvas.draw()
    widths = [[bar.get_width() for bar in axes.containers[0]] for axes in figure.axes]
    assert widths == [[9.7, 5.2, 2.0], [0, 0, 0]]
    assert labels(figure.axes[0].get_yticklabels()) == names
    assert labels(figure.axes[0].texts) == ["9.7", "5.2", "2"]
    assert figure.axes[0].yaxis_inverted()


def test_points_stand_where_they_belong_with_their_names():
    axes = plot_points(
        {"Q4_0": (4.5, 0.09), "비트": (8.5, 0.005)}, xlabel="비트", ylabel="오차", log_y=True
    )
    axes.figure.canvas.draw()
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines] == [
        (4.5, 0.09),
        (8.5, 0.005),
    ]
    assert labels(axes.texts) == ["Q4_0", "비트"]
    assert axes.get_yscale() == "log"


def test_a_roofline_rises_to_its_ridge_and_keeps_the_measured_points():
    series = {"Q4_0": {"1": (3.6, 1e11), "64": (228.0, 5e11)}, "넘파이": {"1": (0.5, 3e10)}}
    axes = plot_roofline(series, bandwidth=5e10, arithmetic=2e11)
    axes.figure.canvas.draw()
    roof, ridge, *measured = axes.lines
    x, y = roof.get_data()
    np.testing.assert_allclose(y, np.minimum(50 * x, 200))
    assert x[0] < 0.5 and x[-1] > 228
    assert list(ridge.get_xdata()) == [4, 4]
    assert [list(zip(*line.get_data())) for line in measured] == [
        [(3.6, 100), (228, 500)],
        [(0.5, 30)],
    ]
    assert labels(axes.get_legend().get_texts()) == list(series)
    assert labels(axes.texts) == ["1", "64", "1", "ridge"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_points_of_a_roofline_need_not_be_many():
    axes = plot_roofline({"a": {"x": (100.0, 1e9)}}, bandwidth=1e10, arithmetic=1e12)
    assert max(axes.lines[0].get_xdata()) >= 200


def test_stacks_are_as_long_as_their_parts_together():
    bars = {"작은 것": {"weights": 1.0, "캐시": 0.5}, "large": {"weights": 4.0, "캐시": 2.0}}
    axes = plot_stacks(bars, xlabel="GB", limits={"한계": 7.0})
    axes.figure.canvas.draw()
    spans = [[(bar.get_x(), bar.get_width()) for bar in part] for part in axes.containers]
    assert spans == [[(0, 1), (0, 4)], [(1, 0.5), (4, 2)]]
    assert labels(axes.texts) == ["1.5", "6.0", "한계"]
    assert axes.get_xlim()[1] > 7
    assert labels(axes.get_legend().get_texts()) == ["weights", "캐시"]
    assert labels(axes.get_yticklabels()) == list(bars)
    assert axes.yaxis_inverted()


def test_events_are_strokes_at_their_time_in_their_row():
    axes = plot_events({"심장": [0.0, 0.5, 2.0], "answer": [], "c": [1.0]}, xlabel="seconds")
    axes.figure.canvas.draw()
    strokes = [[tuple(map(tuple, s)) for s in row.get_segments()] for row in axes.collections]
    assert [[stroke[0][0] for stroke in row] for row in strokes] == [[0, 0.5, 2], [], [1]]
    assert {y for row in strokes[2:] for stroke in row for _, y in stroke} == {1.68, 2.32}
    assert labels(axes.get_yticklabels()) == ["심장", "answer", "c"]
    assert axes.yaxis_inverted()


def test_a_report_card_shows_what_passed_by_side_sign_and_hatching():
    wanted = [
        Requirement("memory", "GB", at_most=6),
        Requirement("speed", at_least=6),
        Requirement("mistakes", at_most=0),
        Requirement("열린 것", at_least=1),
    ]
    card = ReportCard("x", wanted)
    for what, value in (("memory", 0.6), ("speed", 3), ("mistakes", 2)):
        card.record(what, value)
    axes = plot_report_card(card, {"memory": "메모리"})
    axes.figure.canvas.draw()
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], [1, -0.30103, -2, 0])
    assert [bar.get_hatch() for bar in axes.patches] == [None, "///", "///", "///"]
    assert labels(axes.texts)[:2] == ["✓ 0.6 GB  (≤ 6 GB)", "✗ 3  (≥ 6)"]
    assert labels(axes.texts)[2:] == ["✗ 2  (≤ 0)", "? –  (≥ 1)"]
    assert labels(axes.get_yticklabels()) == ["메모리", "speed", "mistakes", "열린 것"]
    assert labels(axes.get_xticklabels()) == ["÷ 100", "÷ 10", "× 1", "× 10", "× 100"]


def test_releases_stand_at_their_month_and_size_in_their_group():
    models = {
        "Llama 2 7B": ("2023-07", 7.0, "Llama"),
        "작은 모델": ("2024-12", 0.6, "연구용"),
        "Llama 2 70B": ("2023-07", 70.0, "Llama"),
    }
    axes = plot_releases(models)
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(drawn["Llama"], [(2023 + 6.5 / 12, 7), (2023 + 6.5 / 12, 70)])
    np.testing.assert_allclose(drawn["연구용"], [(2024 + 11.5 / 12, 0.6)])
    assert len({(line.get_marker(), line.get_color()) for line in axes.lines}) == 2
    assert labels(axes.texts) == list(models)


def test_names_of_releases_evade_each_other():
    models = {f"a long name {n}": (f"2023-0{3 + n}", 7.0, "Llama") for n in range(3)}
    axes = plot_releases(models | {"far away": ("2026-01", 1.0, "MIT")})
    axes.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[i + 1 :])
