"""The rendered course: complete, free of dead links, shown right and searched by a real browser."""

from __future__ import annotations

import doctest
import functools
import json
import os
import re
import shutil
import threading
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import lesson_factory as factory
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import page_content, page_search, pages
from tools.notebooks import EDITIONS, images, lesson_paths, read_notebook
from tools.page_content import alternative_text
from tools.pages import Site, build, words

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
PHONE = {"width": 390, "height": 800}
DESKTOP = {"width": 1280, "height": 900}
BELOW = "some/course"  # the site is no server's root


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(output=tmp_path_factory.mktemp("server") / BELOW)
    build(site)
    return site.output


@pytest.fixture(scope="module")
def texts(site):
    """Every page by its place, without the pictures in it."""
    return {
        page.relative_to(site).as_posix(): re.sub(
            r'"data:[^"]{100,}"', '"data:,"', page.read_text(encoding="utf-8")
        )
        for page in sorted(site.rglob("*.html"))
    }


@pytest.fixture(scope="module")
def address(site):
    """Address of the site on a server, in a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    folder = str(site.parent.parent)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{BELOW}/"
    server.shutdown()
    server.server_close()


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


@pytest.fixture
def open_page(browser):
    """Open an address; at the end, nothing may have gone wrong or have left the site."""
    opened, problems, requests = [], [], []

    def open_page(address, viewport=DESKTOP, **options):
        page = browser.new_page(viewport=viewport, **options)
        page.set_default_timeout(10_000)
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on("request", lambda request: requests.append(request.url))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.goto(address)
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert problems == []
    own = re.compile(rf"data:|blob:|file:///.*/{BELOW}/|http://127\.0\.0\.1:\d+/{BELOW}/")
    assert [url for url in requests if not own.match(url)] == []


@functools.cache
def parsed(text):
    return BeautifulSoup(text, "html.parser")


def links(text):
    return [unescape(found) for found in re.findall(r'(?:href|src)="([^"]*)"', text)]


def ids(text):
    return re.findall(r'\bid="([^"]*)"', text)


# ---- Without a browser -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "module", [page_content, page_search, pages], ids=lambda module: module.__name__
)
def test_docstring_examples_hold(module):
    assert doctest.testmod(module).failed == 0


def test_every_lesson_of_both_editions_has_a_page(texts):
    lessons = {f"{edition}/{path.stem}.html" for edition, path in LESSONS}
    indexes = {"index.html", *(f"{edition}/index.html" for edition in EDITIONS)}
    assert {place for place in texts if not place.startswith("files/")} == lessons | indexes


def test_every_link_and_anchor_inside_the_site_leads_somewhere(site, texts):
    anchors = {place: set(ids(text)) for place, text in texts.items()}
    for place, text in texts.items():
        for link in links(text):
            if re.match(r"https?:|data:|mailto:", link):
                continue
            path, _, fragment = link.partition("#")
            target = (site / place).parent / unquote(path) if path else site / place
            assert not path.startswith("/"), f"{place}: {link} leaves a site that has a folder"
            assert target.is_file(), f"{place} links to {link}"
            there = target.resolve().relative_to(site.resolve()).as_posix()
            assert not fragment or unquote(fragment) in anchors[there], f"{place}: no anchor {link}"


def test_no_id_is_given_twice(texts):
    for place, text in texts.items():
        assert len(ids(text)) == len(set(ids(text))), place


def test_nothing_on_a_page_comes_from_elsewhere(texts):
    for place, text in texts.items():
        assert not re.search(r'\bsrc="(?:https?:)?//', text), place
        assert not re.search(r'<link[^>]*href="(?:https?:)?//', text), place


@pytest.mark.parametrize("edition", EDITIONS)
def test_lessons_lead_to_their_neighbours_index_and_twin(texts, edition):
    names = [f"{path.stem}.html" for path in lesson_paths(edition)]
    for n, name in enumerate(names):
        page = parsed(texts[f"{edition}/{name}"])
        ways = {a["rel"][0]: a["href"] for a in page.select(".pager a")}
        expected = {"prev": names[n - 1 : n], "next": names[n + 1 : n + 2]}
        assert ways == {way: there[0] for way, there in expected.items() if there}
        assert page.select_one("a.home")["href"] == "index.html"
        (other,) = page.select("a.language")
        there = f"{other['hreflang']}/{name}"
        assert other["href"] == (f"../{there}" if there in texts else "../ko/index.html")
        assert page.html["lang"] == edition
        assert page.select_one("meta[name=description]")["content"]
        assert page.title.text.startswith(page.h1.text)
        assert page.select_one("a.skip")["href"] == "#page-text"
        contents = [a.text for a in page.select(".contents a")]
        assert contents == [" ".join(h2.text.split()) for h2 in page.select("main h2")]
        assert len(contents) > 4


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_index_says_what_lessons_say_of_themselves(texts, edition):
    page = parsed(texts[f"{edition}/index.html"])
    entries = page.select(".lessons a")
    assert len(entries) == len(lesson_paths(edition))
    for entry, path in zip(entries, lesson_paths(edition), strict=True):
        cells = {cell.id: cell.source for cell in read_notebook(path).cells}
        assert entry.select_one(".name").text in cells["title"]
        assert entry.select_one(".question").text in alternative_text(cells["title"])
        for number in re.findall(r"\d+", entry.select_one(".minutes").text):
            assert re.search(rf"\b{number}\D", cells["what"])
    assert len(page.select_one("main p").text) > 100


def test_exercises_say_where_they_run_and_keep_their_starter(texts):
    page = parsed(texts["ko/01_tokenization.html"])
    exercise = page.select_one("#q1")
    assert exercise.select_one(".exercise-note").text == words("ko")["exercise"]
    assert "..." in exercise.select_one("pre").text
    assert "q1.check" in exercise.select_one("pre").text
    assert page.select_one("#progress .exercise-note").text == words("ko")["progress"]


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_index_of_the_search_names_every_section_once(site, texts, edition):
    script = (site / edition / "search-index.js").read_text(encoding="utf-8")
    sections = json.loads(script.removeprefix("window.courseSections = ").removesuffix(";\n"))
    named = [section[page_search.ADDRESS] for section in sections]
    expected = []
    for path in lesson_paths(edition):
        page = parsed(texts[f"{edition}/{path.stem}.html"])
        expected += [f"{path.stem}.html"]
        expected += [f"{path.stem}.html{a['href']}" for a in page.select(".contents a")]
    assert named == expected
    assert len(script) < 600_000


def test_words_are_the_same_in_every_language():
    assert words("en").keys() == words("ko").keys()
    assert words("en")["script"].keys() == words("ko")["script"].keys()


def test_alternative_text_is_the_caption_without_markup():
    assert alternative_text("scores of `▁서울` and [others](a.md), *sorted*") == (
        "scores of ▁서울 and others, sorted"
    )


def notebook(*sources):
    cells = [new_markdown_cell(source, id=f"cell-{n}") for n, source in enumerate(sources)]
    return new_notebook(cells=cells)


def test_a_heading_below_other_words_has_an_anchor_of_its_own():
    soup = page_content.rendered(notebook("# 1 · Title", "## First\n\nx\n\n## Second"), words("en"))
    anchors = [(heading.anchor, heading.text) for heading in page_content.headings(soup)]
    assert anchors == [("cell-1", "First"), ("cell-1-2", "Second")]


def test_sections_hold_prose_and_code_but_no_output():
    book = notebook("# 1 · Title\n\nWhy?", "## One\n\n- a\n- b\n\n| c | d |\n|---|---|\n| e | f |")
    book.cells.append(new_code_cell("x = 1", id="code"))
    soup = page_content.rendered(book, words("en"))
    assert page_search.sections(soup, "1.html", "1 · Title") == [
        ["1.html", "1 · Title", "1 · Title", "Why?", ""],
        ["1.html#cell-1", "1 · Title", "One", "a b c d e f", "x = 1"],
    ]


def test_launch_badges_become_words_and_are_no_part_of_the_question(small_course):
    badge = "[![Open in Colab](https://example.org/colab.svg)](https://example.org/run)"
    book = notebook(f"# 1 · Title\n\n{badge}\n\n**Why `x`?** Because.")
    assert page_content.question(book) == "Why x?"
    soup = page_content.rendered(book, words("en"))
    pages.rewrite_links(soup, small_course.notebooks / "en" / "x.ipynb", "en/x.html", small_course)
    assert str(soup.select_one("p")) == '<p><a href="https://example.org/run">Open in Colab</a></p>'
    (section,) = page_search.sections(soup, "x.html", "1 · Title")
    assert section[page_search.PROSE] == "Why x? Because."


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("lesson 00; about 75 minutes", "75"),
        ("60 to 90 minutes", "60–90"),
        ("0강, 60~90분", "60–90"),
        ("2분 뒤에 시작, 40분쯤", "40"),
        ("soon", ""),
    ],
)
def test_minutes_are_read_from_the_lesson(source, expected):
    book = new_notebook(cells=[new_markdown_cell(source, id="what")])
    assert page_content.minutes(book) == expected


@pytest.fixture
def small_course(tmp_path):
    """A course whose README links to all kinds of things."""
    notebooks = factory.write_course(tmp_path)
    (tmp_path / "README.md").write_text(
        "# A course\n\n[![badge](https://example.org/b.svg)](https://example.org)\n\n"
        "[한국어](README.ko.md)\n\nWhat it is: [more](docs/more.md#a-part), [gone](gone.md).\n\n"
        "## Start\n\n![logo](https://example.org/logo.png) [folder](notebooks)"
        " [lesson](notebooks/en/00_start_here.ipynb) [out](../secret.txt) [data](data.bin)"
        " [same](#start)",
        encoding="utf-8",
    )
    (tmp_path.parent / "secret.txt").write_text("no", encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "more.md").write_text(
        "# More\n\n## A part\n\n[code](some%20code.py) [back](../README.md)", encoding="utf-8"
    )
    (tmp_path / "docs" / "some code.py").write_text("x = '<b>'\n", encoding="utf-8")
    (tmp_path / "data.bin").write_bytes(b"\xff\x00")
    return Site(notebooks=notebooks, output=tmp_path / "build" / "pages")


@pytest.fixture
def no_fonts(monkeypatch):
    monkeypatch.setattr(pages, "style", lambda characters: "")


def test_linked_files_come_along_and_what_leads_nowhere_becomes_text(small_course, no_fonts):
    build(small_course)
    files = small_course.output / "files"
    found = {p.relative_to(files).as_posix() for p in files.rglob("*") if p.is_file()}
    assert found == {"README.md.html", "docs/more.md.html", "docs/some code.py.html", "data.bin"}
    readme = (files / "README.md.html").read_text(encoding="utf-8")
    main = BeautifulSoup(readme, "html.parser").main
    assert [(a.text, a["href"]) for a in main.select("a")] == [
        ("badge", "https://example.org"),
        ("more", "docs/more.md.html#a-part"),
        ("lesson", "../en/00_start_here.html"),
        ("data", "data.bin"),
        ("same", "#start"),
    ]
    assert main.select("img") == []
    assert "gone" in main.text and "한국어" in main.text
    more = (files / "docs" / "more.md.html").read_text(encoding="utf-8")
    assert 'id="a-part"' in more and 'href="some%20code.py.html"' in more
    index = (small_course.output / "en" / "index.html").read_text(encoding="utf-8")
    introduction = BeautifulSoup(index, "html.parser").select_one("main p")
    assert introduction.text == "What it is: more, gone."
    assert introduction.a["href"] == "../files/docs/more.md.html#a-part"


def test_a_folder_with_other_things_is_not_emptied(small_course):
    small_course.output.mkdir(parents=True)
    (small_course.output / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="something else"):
        build(small_course)
    assert (small_course.output / "thesis.txt").read_text(encoding="utf-8") == "mine"


# ---- With a browser ----------------------------------------------------------------------------


def elements_in_boxes(page):
    """Texts with Hangul for which the browser took no font that has it."""
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    selector = "h1, h2, h3, p, li, td, nav a, header a, pre, summary"
    texts = page.evaluate(
        "s => [...document.querySelectorAll(s)].map(e => e.innerText || '')", selector
    )
    nodes = session.send("DOM.querySelectorAll", {"nodeId": root, "selector": selector})["nodeIds"]
    return [
        text
        for node, text in zip(nodes, texts, strict=True)
        if re.search("[가-힣]", text)
        and "NanumGothic" not in str(session.send("CSS.getPlatformFontsForNode", {"nodeId": node}))
    ]


def width(page):
    return page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.browser
@pytest.mark.parametrize(("edition", "path"), LESSONS, ids=lambda v: getattr(v, "stem", v))
def test_a_lesson_shows_figures_and_hangul_and_fits_a_phone(site, open_page, edition, path):
    page = open_page((site / edition / f"{path.stem}.html").as_uri())
    page.evaluate("document.fonts.ready.then(() => 0)")
    shown = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.alt])")
    assert len(shown) == sum(len(images(cell)) for cell in read_notebook(path).cells)
    assert all(width > 100 and alt for width, alt in shown), shown
    assert elements_in_boxes(page) == []
    page.set_viewport_size(PHONE)
    assert width(page) <= 390
    sizes = (
        "[...document.querySelectorAll('main p, main pre')].map(e => getComputedStyle(e).fontSize)"
    )
    assert min(float(size.removesuffix("px")) for size in page.evaluate(sizes)) >= 13


@pytest.mark.browser
def test_all_other_pages_fit_a_phone(texts, address, open_page):
    page = open_page(address, viewport=PHONE)
    lessons = {f"{edition}/{path.stem}.html" for edition, path in LESSONS}
    for place in texts.keys() - lessons:
        page.goto(address + place)
        assert width(page) <= 390, place


def search(page, query):
    page.locator(".search input").fill(query)
    page.wait_for_function("document.querySelector('.results p').textContent")
    return page.locator(".results li")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("edition", "query", "lesson", "marked"),
    [
        ("en", "QUANTIZ", "06", "Quantiz"),  # the beginning of a word, in any case
        ("en", "sliding window", "03", "sliding"),
        ("en", "train_bpe", "01", "train_bpe"),  # code
        ("en", "tokenizations", "01", "Tokenization"),  # nobody writes that: without its ending
        ("ko", "토큰화", "01", "토큰화"),
        ("ko", "양자화에서는", "06", "양자화"),  # a particle that no lesson has there
        ("ko", "어텐션 헤드", "03", "어텐션"),
        ("ko", "자화", "06", "자화"),  # inside a word
    ],
)
def test_search_finds_a_lesson_below_a_folder(address, open_page, edition, query, lesson, marked):
    page = open_page(f"{address}{edition}/00_start_here.html")
    results = search(page, query)
    texts = results.all_inner_texts()
    assert any(f"{lesson} · " in text for text in texts[:8]), texts
    assert marked.lower() in [m.lower() for m in results.locator("mark").all_inner_texts()]


@pytest.mark.browser
@pytest.mark.parametrize(("edition", "query"), [("en", "softmax"), ("ko", "양자화")])
@pytest.mark.parametrize("where", ["server", "folder"])
def test_the_keyboard_opens_the_section_that_was_found(
    site, address, open_page, edition, query, where
):
    base = address if where == "server" else f"{site.as_uri()}/"
    page = open_page(f"{base}{edition}/index.html")
    page.keyboard.press("/")
    page.keyboard.insert_text(query)
    page.locator(".results a").nth(2).wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    second = page.locator(".results a").nth(1)
    there = second.evaluate("a => a.href")
    assert second.evaluate("a => a === document.activeElement")
    heading = second.locator(".heading").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(there)
    shown = page.locator("main h1, main h2", has_text=heading).first
    assert "#" not in page.url or 0 <= shown.bounding_box()["y"] < 200
    page.keyboard.press("/")
    assert page.locator(".search input").evaluate("e => e === document.activeElement")


@pytest.mark.browser
def test_enter_opens_the_first_result_and_escape_closes_the_list(address, open_page):
    page = open_page(f"{address}en/03_attention.html")
    search(page, "induction head")
    page.keyboard.press("Escape")
    assert page.locator(".results").is_hidden()
    search(page, "softmax")
    first = page.locator(".results a").first
    first.wait_for()
    there = first.evaluate("a => a.href")
    page.keyboard.press("Enter")
    page.wait_for_url(there)
    assert page.locator(".results").is_hidden()


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</s>",  # lessons quote this one
    "(.*)+$ [",
    "__proto__ constructor",
    '"; alert(1); "',
]


@pytest.mark.browser
def test_a_hostile_query_stays_text(address, open_page):
    page = open_page(f"{address}en/index.html")
    for query in HOSTILE:
        results = search(page, query)
        assert page.locator(".search input").input_value() == query
        found = page.evaluate("[...document.querySelectorAll('.results *')].map(e => e.localName)")
        assert set(found) <= {"p", "ol", "li", "a", "span", "mark"}
        if query == "</s>":
            assert results.locator("mark").first.inner_text() == "</s>"
        page.keyboard.press("Escape")
    assert page.title() == words("en")["course"]


@pytest.mark.browser
def test_nothing_found_is_said(address, open_page):
    page = open_page(f"{address}ko/index.html")
    assert search(page, "뷁뷁뷁").count() == 0
    assert page.locator(".results p").inner_text() == words("ko")["script"]["nothing"]


@pytest.mark.browser
def test_the_other_language_opens_at_the_same_place(address, open_page):
    page = open_page(f"{address}en/01_tokenization.html#quiz")
    page.locator("a.language").click()
    page.wait_for_url("**/ko/01_tokenization.html#quiz")
    assert 0 <= page.locator("#quiz h2").bounding_box()["y"] < 200


@pytest.mark.browser
def test_pages_can_be_read_without_javascript(address, open_page):
    page = open_page(f"{address}ko/02_embeddings_and_positions.html", java_script_enabled=False)
    assert page.locator(".search").is_hidden()
    page.locator(".contents a").nth(2).click()
    assert page.url.partition("#")[2]
    page.locator(".pager a[rel=next]").click()
    page.wait_for_url("**/ko/03_attention.html")


@pytest.mark.browser
def test_pages_are_dark_where_a_reader_wants_it_so(address, open_page):
    page = open_page(f"{address}en/00_start_here.html", color_scheme="dark")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert all(int(n) < 60 for n in re.findall(r"\d+", background))
