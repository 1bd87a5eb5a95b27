"""Widgets in the real JupyterLab, moved by a real browser."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from tests.test_pages import browser  # noqa: F401 - a fixture
from tools.notebooks import lesson_paths, read_notebook

pytestmark = pytest.mark.browser
START_S = 60
READY_MS = 60_000


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running JupyterLab: (its folder, its address)."""
    folder = tmp_path_factory.mktemp("lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}"]
    command += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    command += [f"--notebook-dir={folder}"]
    command += ["--allow-root"] * (hasattr(os, "geteuid") and os.geteuid() == 0)
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(folder / "config")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(f"{address}/api/status")
            yield folder, address
        finally:
            server.terminate()


def _wait_for(address):
    give_up_at = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.3)


def cells_until(name, cell_id):
    """The code of a lesson that a widget needs, as a notebook of its own."""
    path = next(path for path in lesson_paths("en") if path.stem == name)
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": python})
    for cell in read_notebook(path).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and cell.id != "setup" and "exercise" not in tags:
            notebook.cells.append(nbformat.v4.new_code_cell(cell.source))
        if cell.id == cell_id:
            break
    return notebook


@pytest.fixture
def opened(lab, browser):  # noqa: F811
    """Open a notebook in JupyterLab, run all its cells, and return the page."""
    folder, address = lab
    pages = []

    def open_notebook(notebook):
        nbformat.write(notebook, folder / "widget.ipynb")
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(READY_MS)
        pages.append(page)
        page.goto(f"{address}/lab/tree/widget.ipynb?reset")
        page.get_by_text(re.compile(r"\| Idle$")).first.wait_for()  # the kernel has started
        page.evaluate("() => void jupyterapp.commands.execute('notebook:run-all-cells')")
        return page

    yield open_notebook
    for page in pages:
        page.close()


@pytest.mark.parametrize(
    ("lesson", "label", "before", "after"),
    [
        ("02_embeddings_and_positions", "distance", "distance 500:", r"distance 50[1-9]:"),
        ("03_attention", "head", "▁간다 →", r"▁간다 → "),
        ("05_sampling", "top-k", "tokens that stay: 2048", r"^tokens that stay: 3,"),
    ],
)
def test_sliders_change_what_is_shown(opened, lesson, label, before, after):
    page = opened(cells_until(lesson, "explorer"))
    words = page.locator(".widget-html-content").last
    words.wait_for()
    first = words.inner_text()
    assert before in first
    slider = page.locator(".widget-inline-hbox", has_text=label).first.locator(".noUi-handle")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelector('.widget-html-content').innerText !== before", arg=first
    )
    page.wait_for_timeout(500)  # three steps, each drawn
    assert re.search(after, words.inner_text()), words.inner_text()
    assert page.locator("img.widget-image").evaluate("i => i.naturalWidth") > 300


def test_a_float_can_be_typed_and_pulled(opened):
    page = opened(cells_until("06_quantization", "explorer"))
    table = page.locator(".widget-html-content").last
    table.get_by_text("0.0999755859").wait_for()  # 0.1 in F16
    number = page.locator(".widget-text", has_text="number").locator("input")
    number.fill("70000")
    number.press("Enter")
    table.get_by_text("infinity").wait_for()
    slider = page.locator(".widget-inline-hbox", has_text="size").first.locator(".noUi-handle")
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    table.get_by_text("infinity").wait_for(state="detached")
    page.wait_for_timeout(500)
    typed = float(number.input_value())
    assert 1000 < typed < 65_504
    before = page.evaluate("() => document.querySelector('.widget-html-content').innerText")
    page.wait_for_timeout(1000)  # slider and number have come to rest
    assert float(number.input_value()) == typed
    assert table.inner_text() == before


SLOW_MODEL = """
import time

from course_lib.widgets import ChatWindow


class Slow:
    n_ctx = 4000

    def stream_chat(self, messages, **options):
        words = (messages[-1]["content"].split() or ["?"]) * 300
        for word in words[: options["max_tokens"]]:
            time.sleep(0.02)
            yield word + " "

    def count_tokens(self, text):
        return len(text.split())


window = ChatWindow(Slow())
window
"""


def one_cell(source):
    """A notebook of one cell."""
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": python})
    notebook.cells.append(nbformat.v4.new_code_cell(source))
    return notebook


def text_of(page, selector="div[title]"):
    """What stands in the bubbles."""
    return page.locator(f".widget-html-content {selector}").all_inner_texts()


def test_a_chat_streams_stops_goes_on_and_clears(opened):
    page = opened(one_cell(SLOW_MODEL))
    box = page.locator(".widget-text input").first
    box.wait_for()
    stop, clear = (page.get_by_role("button", name=name) for name in ("Stop", "Clear"))
    box.fill("<script>document.title='broken'</script> <b>hi</b> **there**")
    box.press("Enter")
    answer = page.locator('.widget-html-content div[title="the model"]')
    answer.wait_for()
    first = answer.inner_text()
    page.wait_for_function(  # it grows
        "n => document.querySelector('.widget-html-content div[title=\"the model\"]')"
        ".innerText.length > n + 100",
        arg=len(first),
    )
    started = time.perf_counter()
    stop.click()
    page.locator('.widget-html-content div[title="note"]').wait_for()
    assert time.perf_counter() - started < 0.3 + 0.2  # the browser's own part
    shown = answer.inner_text()
    page.wait_for_timeout(500)
    assert answer.inner_text() == shown
    assert "**there**" in shown
    assert "<b>hi</b>" in shown
    assert page.locator(".widget-html-content b, .widget-html-content script").count() == 0
    assert "broken" not in page.title()

    box.fill("again")
    box.press("Enter")
    page.get_by_text("again again").wait_for()
    clear.click()
    page.wait_for_function("() => !document.querySelector('.widget-html-content div[title]')")
    assert text_of(page) == []
