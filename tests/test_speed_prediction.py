"""Predicted speed: whole models, slices, and nothing left behind."""

import tempfile
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest

from course_lib import speed_prediction
from course_lib.benchmark import predict_speed
from course_lib.config import MISTRAL_7B_V03
from course_lib.quantization_blocks import QuantizationError
from course_lib.speed_prediction import PredictionError, _extrapolated, _Runs, _slice_layers
from course_lib.tensor_layout import tensor_types

SMALL = replace(MISTRAL_7B_V03, dim=1024, n_heads=8, n_kv_heads=2, hidden_dim=3584, n_layers=16)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_straight_line_is_found_exactly():
    thin, thick = _Runs(100, [3.0] * 5), _Runs(200, [5.0] * 5)
    found = _extrapolated(thin, thick, 1000)
    assert found.median == pytest.approx(21.0)
    assert found.low < 21 < found.high


def test_noise_widens_the_error_bar():
    quiet = _extrapolated(_Runs(1, [1.0] * 5), _Runs(2, [2.0] * 5), 10)
    rng = np.random.default_rng(0)
    noisy = _Runs(2, list(2 + rng.uniform(-0.3, 0.3, 5)))
    found = _extrapolated(_Runs(1, [1.0] * 5), noisy, 10)
    assert found.high - found.low > 1.5 * (quiet.high - quiet.low)


@pytest.mark.parametrize("level", ["Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16"])
def test_slices_are_small_and_mix_formats_as_the_whole_does(level):
    types = tensor_types(MISTRAL_7B_V03, level)
    thin, thick = _slice_layers(MISTRAL_7B_V03, types)
    n_bytes = sum(speed_prediction._layer_bytes(MISTRAL_7B_V03, types, layer) for layer in thick)
    assert n_bytes <= speed_prediction.LARGEST_SLICE_BYTES
    assert len(thick) > len(thin)
    if level.endswith("_M"):
        assert len({types[f"blk.{layer}.attn_v.weight"] for layer in thick}) == 2


@pytest.mark.slow
def test_a_prediction_leaves_no_file_and_makes_sense(scratch):
    found = predict_speed(SMALL, "Q4_K_M")
    assert list(scratch.iterdir()) == []
    for speed in (found.decode_tokens_per_s, found.prefill_tokens_per_s):
        assert 0 < speed.low < speed.median < speed.high
    assert found.prefill_tokens_per_s.median > found.decode_tokens_per_s.median
    assert found.memory.total > 0


@pytest.mark.parametrize("level", ["F32", "BF16", "Q8_0", "Q5_1"])
def test_other_levels_are_predicted_too(scratch, level):
    tiny = replace(SMALL, dim=256, n_heads=4, hidden_dim=512, n_layers=4)
    assert predict_speed(tiny, level).decode_tokens_per_s.median > 0


def test_an_interrupt_leaves_no_file(scratch, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(speed_prediction, "load_engine", interrupt)
    with pytest.raises(KeyboardInterrupt):
        predict_speed(SMALL, "Q4_0")
    assert list(scratch.iterdir()) == []


def test_a_small_disk_is_noticed_first(scratch, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1_000_000))
    with pytest.raises(PredictionError, match="TMPDIR"):
        predict_speed(SMALL, "Q4_0")
    assert list(scratch.iterdir()) == []


def test_a_level_that_cannot_be_drawn_is_named():
    with pytest.raises(PredictionError, match="Q3_K_M cannot be tried"):
        predict_speed(SMALL, "Q3_K_M")
    with pytest.raises(QuantizationError, match="no level 'Q9'"):
        predict_speed(SMALL, "Q9")


def test_of_runs_that_make_no_sense_a_rough_number_is_left():
    disturbed, thick = _Runs(1, [9.0] * 5), _Runs(2, [2.0] * 5)  # more layers, less time
    found = _extrapolated(disturbed, thick, 32)
    assert found.median == pytest.approx(9 - 1 + 32)
    assert 0 < found.low < 0.5 * found.median
    quiet = _extrapolated(_Runs(1, [1.0] * 5), thick, 32)
    assert quiet.low > 0.8 * quiet.median


def test_a_layer_larger_than_a_slice_may_be_is_refused():
    wide = replace(MISTRAL_7B_V03, dim=16384, n_heads=128, n_kv_heads=16, hidden_dim=57344)
    with pytest.raises(PredictionError, match="a single layer takes"):
        predict_speed(wide, "Q8_0")
