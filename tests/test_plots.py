"""Hangul in figures, against the font file's own table of characters."""

import subprocess
import sys
import warnings
from importlib import metadata

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib import pyplot as plt
from matplotlib.ft2font import FT2Font

from course_lib import plots
from course_lib.plots import (
    FontNotFoundError,
    hangul_font_path,
    use_course_style,
    use_hangul_font,
)

matplotlib.use("Agg")
TEXT = "한국의 수도는 서울 ▁ − 뷁 é"


@pytest.fixture(autouse=True)
def own_settings():
    with matplotlib.rc_context():
        yield


def draw(text, path=None):
    figure = plt.figure(figsize=(5, 2))
    figure.text(0.05, 0.6, text, size=24)
    figure.text(0.05, 0.2, text, size=24, weight="bold")
    figure.canvas.draw()
    if path:
        figure.savefig(path)
    pixels = np.asarray(figure.canvas.buffer_rgba()).copy()
    plt.close(figure)
    return pixels


def test_font_file_has_every_hangul_syllable():
    characters = set(FT2Font(str(hangul_font_path())).get_charmap())
    assert set(range(ord("가"), ord("힣") + 1)) <= characters


def test_hangul_is_drawn_without_a_missing_glyph():
    use_course_style()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = draw(TEXT)
    assert not np.array_equal(pixels, draw("□" * len(TEXT)))


def test_different_syllables_look_different():
    use_hangul_font()
    assert not np.array_equal(draw("서울"), draw("부산"))


def test_negative_ticks_are_drawn_without_a_missing_glyph():
    use_course_style()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, axes = plt.subplots()
        axes.plot([-3, 3], [-1e-3, 1e-3])
        axes.set_title("로짓")
        figure.canvas.draw()
    plt.close(figure)


def test_bold_is_a_real_bold_font_found_without_a_complaint(caplog):
    family = use_hangul_font()
    bold = font_manager.findfont(font_manager.FontProperties(family=family, weight="bold"))
    assert bold.endswith("NanumGothicBold.ttf")
    assert caplog.text == ""


def test_a_second_call_registers_nothing_twice():
    use_hangul_font()
    n_fonts = len(font_manager.fontManager.ttflist)
    use_hangul_font()
    assert len(font_manager.fontManager.ttflist) == n_fonts


def test_missing_package_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(plots, "files", missing)
    with pytest.raises(FontNotFoundError, match="pip install koreanize-matplotlib"):
        hangul_font_path()


def test_font_path_needs_no_matplotlib():
    code = (
        "import sys; from course_lib.plots import hangul_font_path; hangul_font_path();"
        "print({'matplotlib', 'koreanize_matplotlib', 'llama_cpp'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
