"""Rendered lessons: complete, free of dead links, and shown right by a real browser."""

from __future__ import annotations

import os
import re
import shutil

import pytest

from tools.notebooks import EDITIONS, images, lesson_paths, read_notebook
from tools.pages import Site, alternative_text, build

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
# A page of ours asks the network for nothing; the browser itself must not either.
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
LESSONS = [(e, path) for e in EDITIONS for path in lesson_paths(e)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(output=tmp_path_factory.mktemp("pages"))
    build(site)
    return site.output


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium here; on Debian: sudo apt-get install chromium")
    from playwright.sync_api import sync_playwright

    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        arguments = QUIET + ["--no-sandbox"] * is_root
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def test_every_link_inside_the_site_leads_somewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) == len(LESSONS) + 1 + len(EDITIONS)
    for page in pages:
        for address in re.findall(r'(?:href|src)="([^"#]+)', page.read_text(encoding="utf-8")):
            if not re.match(r"https?:|data:|mailto:", address):
                assert (page.parent / address).is_file(), f"{page.name} links to {address}"


def test_alternative_text_is_the_caption_without_markup():
    assert alternative_text("scores of `▁서울` and [others](a.md), *sorted*") == (
        "scores of ▁서울 and others, sorted"
    )


def elements_in_boxes(page):
    """Texts with Hangul for which the browser took no font that has it."""
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    selector = {"nodeId": root, "selector": "h1, h2, h3, p, li, td, nav a, pre, summary"}
    texts = page.evaluate(
        "s => [...document.querySelectorAll(s)].map(e => e.innerText)", selector["selector"]
    )
    nodes = session.send("DOM.querySelectorAll", selector)["nodeIds"]
    return [
        text
        for node, text in zip(nodes, texts, strict=True)
        if re.search("[가-힣]", text)
        and "NanumGothic" not in str(session.send("CSS.getPlatformFontsForNode", {"nodeId": node}))
    ]


@pytest.mark.browser
@pytest.mark.parametrize(("edition", "path"), LESSONS, ids=lambda v: getattr(v, "stem", v))
def test_a_page_shows_its_figures_and_hangul_without_errors(site, browser, edition, path):
    page = browser.new_page()
    problems = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto((site / edition / f"{path.stem}.html").as_uri())
    page.evaluate("document.fonts.ready.then(() => 0)")
    shown = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.alt])")
    assert problems == []
    assert len(shown) == sum(len(images(cell)) for cell in read_notebook(path).cells)
    assert all(width > 100 and alt for width, alt in shown), shown
    assert page.get_attribute("html", "lang") == edition
    assert elements_in_boxes(page) == []
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(("edition", "path"), LESSONS, ids=lambda v: getattr(v, "stem", v))
def test_a_page_fits_a_phone(site, browser, edition, path):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((site / edition / f"{path.stem}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
