"""The bar: silent when the work is short, gone when it is done."""

import importlib
import time

import pytest

from course_lib import progress_bar as module
from course_lib.progress_bar import progress_bar


def test_short_work_shows_no_bar(capfd):
    assert list(progress_bar(range(5))) == [0, 1, 2, 3, 4]
    assert capfd.readouterr() == ("", "")


def test_long_work_shows_one(capfd, monkeypatch):
    monkeypatch.setattr(module, "_DELAY_S", 0.01)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    for _ in progress_bar(range(3), unit="tensor", mininterval=0):
        time.sleep(0.02)
    assert "tensor" in capfd.readouterr().err


@pytest.mark.parametrize("bar", ["std", "notebook"])
def test_the_environment_can_turn_it_off_in_notebooks_too(bar, capfd, monkeypatch):
    monkeypatch.setattr(module, "_DELAY_S", 0.01)
    monkeypatch.setattr("tqdm.auto.tqdm", importlib.import_module(f"tqdm.{bar}").tqdm)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    bar = progress_bar(range(3), mininterval=0)
    for _ in bar:
        time.sleep(0.02)
    assert bar.disable
    assert capfd.readouterr() == ("", "")
