"""The report card: lines that do not move, values on either side of them, and the page."""

import base64
import re
from html.parser import HTMLParser

import matplotlib
import pytest
from matplotlib import pyplot as plt

from course_lib.exercises.messages import LANGUAGES, find_prose
from course_lib.report_card import CardRow, ReportCard, Requirement
from course_lib.report_page import save_report_card

matplotlib.use("Agg")
HOSTILE = "<script>'x'</script> & \"{b}\" $\\no$"


def make_card(memory=3.4, right=0.96):
    wanted = [Requirement("memory", "GB", at_most=6), Requirement("right answers", at_least=0.9)]
    card = ReportCard("Study desk", wanted)
    for what, value in (("memory", memory), ("right answers", right)):
        if value is not None:
            card.record(what, value)
    return card


class Page(HTMLParser):
    """Names and attributes of a page's tags, and its text."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def attributes(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def saved(tmp_path, card=None, **options):
    path = save_report_card(card or make_card(), tmp_path / "card.html", **options)
    return Page(path.read_text(encoding="utf-8"))


# Lines and values


@pytest.mark.parametrize(
    ("limits", "value", "passed"),
    [
        ({"at_least": 0.9}, 0.9, True),
        ({"at_least": 0.9}, 0.89, False),
        ({"at_most": 6}, 6, True),
        ({"at_most": 6}, 6.1, False),
        ({"at_most": 0}, 0, True),
        ({"at_least": 1}, float("nan"), False),
        ({"at_most": 1}, float("nan"), False),
        ({"at_least": 1}, float("inf"), True),
    ],
)
def test_the_line_itself_is_good_enough_and_nan_never(limits, value, passed):
    assert Requirement("x", **limits).is_met_by(value) is passed


@pytest.mark.parametrize("limits", [{}, {"at_least": 1, "at_most": 2}])
def test_a_requirement_has_exactly_one_line(limits):
    with pytest.raises(ValueError, match="'speed' needs either at_least=… or at_most=…"):
        Requirement("speed", **limits)


@pytest.mark.parametrize(
    ("limits", "value", "margin"),
    [
        ({"at_least": 6}, 12, 2),
        ({"at_least": 6}, 3, 0.5),
        ({"at_most": 6}, 3, 2),
        ({"at_most": 6}, 12, 0.5),
        ({"at_most": 6}, 0, float("inf")),
        ({"at_most": 0}, 0, 1),
        ({"at_most": 0}, 2, 0),
        ({"at_least": 0}, 2, float("inf")),
    ],
)
def test_margin_tells_how_many_times_as_good_as_wanted(limits, value, margin):
    assert CardRow(Requirement("x", **limits), value).margin == margin


def test_a_card_passes_when_all_was_measured_and_is_good_enough():
    assert make_card().passed
    assert not make_card(memory=6.5).passed
    assert not make_card(right=None).passed
    assert make_card(memory=7, right=None).verdicts() == {"memory": False, "right answers": None}


def test_a_value_can_be_recorded_again_and_a_line_cannot_be_moved():
    card = make_card(memory=7)
    assert card.record("memory", 5) is True
    assert card.verdicts()["memory"]
    with pytest.raises(AttributeError):
        card.rows[0].requirement.at_most = 8


def test_what_is_not_on_the_card_is_refused_with_what_is():
    with pytest.raises(KeyError, match=r"'speed' is not on the card\. It has: memory, r"):
        make_card().record("speed", 1)


def test_a_value_must_be_a_number():
    with pytest.raises(TypeError, match="'memory' should be a number, not 'much'"):
        make_card().record("memory", "much")


def test_requirements_need_different_names():
    twice = [Requirement("a", at_least=1), Requirement("a", at_most=2)]
    for requirements in ([], twice):
        with pytest.raises(ValueError, match="different names"):
            ReportCard("x", requirements)


def test_a_printed_card_is_a_table_with_a_sign_for_each_row():
    assert str(make_card(memory=7, right=None)).splitlines() == [
        "Study desk",
        "✗  memory         ≤ 6 GB  7 GB",
        "?  right answers  ≥ 0.9   –",
    ]


# The page


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_says_everything_in_its_language(tmp_path, language):
    facts = {"learner": "김민준", "machine": "Ryzen 7", "date": "2026-03-01"}
    page = saved(tmp_path, make_card(memory=7), language=language, **facts)
    assert page.attributes("html") == [{"lang": language}]
    for text in ("Study desk", *facts.values(), "≤ 6 GB", "7 GB", "0.96", "✓", "✗"):
        assert text in page.text
    for name in ("course", "what", "wanted", "measured", "outcome", "machine", "date", "note"):
        assert find_prose(f"report_card.{name}", language) in page.text
    row = find_prose("report_card.rows.memory", language)
    for text in (row, find_prose("report_card.outcome_no", language)):
        assert text in page.text
    assert f"{row}: " in page.attributes("img")[0]["alt"]


def test_the_edition_names_the_language(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LANGUAGE", "ko")
    assert saved(tmp_path).attributes("html") == [{"lang": "ko"}]


def test_a_page_needs_no_network_and_has_no_script(tmp_path):
    page = saved(tmp_path)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "a"})
    (image,) = page.attributes("img")
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert not page.open


def test_every_text_is_shown_as_text(tmp_path):
    card = ReportCard(HOSTILE, [Requirement(HOSTILE, HOSTILE, at_most=1)])
    card.record(HOSTILE, 2)
    page = saved(tmp_path, card, learner=HOSTILE, machine=HOSTILE, date=HOSTILE)
    assert not page.attributes("script")
    assert page.text.count(HOSTILE) == 8  # title twice, name, unit twice, learner, machine, date
    assert HOSTILE in page.attributes("img")[0]["alt"]


def test_what_is_empty_leaves_no_line(tmp_path):
    page = saved(tmp_path, language="en")
    assert {"class": "learner"} not in page.attributes("p")
    assert "Measured on" not in page.text and "Date" not in page.text


def test_a_card_with_gaps_is_a_page_too(tmp_path):
    page = saved(tmp_path, make_card(right=None), language="en")
    assert "Not passed yet: 1 of 2" in re.sub(r"\s+", " ", page.text)
    assert "? not measured" in page.text


def test_a_file_that_is_there_is_never_touched(tmp_path):
    paths = [save_report_card(make_card(), tmp_path / "card.html") for _ in range(3)]
    assert [path.name for path in paths] == ["card.html", "card-2.html", "card-3.html"]
    own = tmp_path / "mine.html"
    own.write_text("mine", encoding="utf-8")
    assert save_report_card(make_card(), own).name == "mine-2.html"
    assert own.read_text(encoding="utf-8") == "mine"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere. Make it first"):
        save_report_card(make_card(), tmp_path / "nowhere" / "card.html")


def test_saving_leaves_figures_and_settings_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    saved(tmp_path)
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
