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
# Draws a syllable and a code point that no font has, and tells whether they look different.
SHOWS_HANGUL = """() => {
  const draw = text => {
    const canvas = document.createElement('canvas');
    const pen = canvas.getContext('2d');
    pen.font = '40px ' + getComputedStyle(document.querySelector('main p')).fontFamily;
    pen.fillText(text, 10, 60);
    return canvas.toDataURL();
  };
  return draw('한') !== draw('\\u{10ffff}') && draw('한') !== draw('국');
}"""


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


@pytest.mark.browser
@pytest.mark.parametrize(("edition", "path"), LESSONS, ids=lambda v: getattr(v, "stem", v))
def test_a_page_shows_its_figures_and_hangul_without_errors(site, browser, edition, path):
    page = browser.new_page()
    problems = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto((site / edition / f"{path.stem}.html").as_uri())
    page.evaluate("document.fonts.load('40px \"Course Hangul\"', '한국')")
    shown = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.alt])")
    assert problems == []
    assert len(shown) == sum(len(images(cell)) for cell in read_notebook(path).cells)
    assert all(width > 100 and alt for width, alt in shown), shown
    assert page.get_attribute("html", "lang") == edition
    assert page.evaluate(SHOWS_HANGUL)
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(("edition", "path"), LESSONS, ids=lambda v: getattr(v, "stem", v))
def test_a_page_fits_a_phone(site, browser, edition, path):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((site / edition / f"{path.stem}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
