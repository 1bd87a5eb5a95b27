"""TEACHING.md and its twin: every lesson, plans that add up, links that lead somewhere; answers."""

import re
from itertools import pairwise

import pytest

from course_lib.exercises.problem import ValueProblem
from tools import answer_key
from tools.answer_key import WrongAnswerError, exercise_texts
from tools.lesson_exercises import lesson_problems
from tools.notebooks import EDITIONS, ROOT, Lesson, lesson_paths

GUIDES = {"en": "TEACHING.md", "ko": "TEACHING.ko.md"}
LABELS = {
    "en": ("Goal", "Live", "Skip", "What people believe", "Questions", "Checkpoint", "Together"),
    "ko": ("목표", "함께", "건너뛸 곳", "흔한 오해", "자주 나오는 질문", "점검", "같이 풀기"),
}
PLANS = {240, 420}
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
editions = pytest.mark.parametrize("edition", EDITIONS)


def guide(edition):
    return (ROOT / GUIDES[edition]).read_text(encoding="utf-8")


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def sections(text):
    """Text below each heading, by the heading."""
    found = list(HEADING.finditer(without_code(text)))
    ends = [match.start() for match in found[1:]] + [None]
    return {match[2]: without_code(text)[match.end() : end] for match, end in zip(found, ends)}


def plans(edition):
    """Rows (start, minutes) of each plan, by its total."""
    found = {}
    for heading, text in sections(guide(edition)).items():
        if total := re.search(r": (\d+) ?(?:minutes|분)$", heading):
            rows = re.findall(r"^\| (\d+):(\d\d) \| (\d+) \|", text, re.MULTILINE)
            found[int(total[1])] = [(60 * int(h) + int(m), int(n)) for h, m, n in rows]
    return found


@editions
def test_the_minutes_of_a_plan_add_up_and_follow_each_other(edition):
    assert set(plans(edition)) == PLANS
    for total, rows in plans(edition).items():
        assert rows[0][0] == 0
        assert sum(minutes for _, minutes in rows) == total
        assert all(start + n == following for (start, n), (following, _) in pairwise(rows))


def test_both_guides_have_the_same_plans():
    assert plans("en") == plans("ko")


@editions
def test_every_lesson_is_named_with_all_that_an_instructor_needs(edition):
    texts = list(sections(guide(edition)).values())
    for path in lesson_paths("en"):  # the Korean lesson of a new one may still be in the making
        (text,) = (t for t in texts if f"(notebooks/{edition}/{path.name})" in t)
        for label in LABELS[edition]:
            assert f"**{label}" in text, f"{path.name}: {label}"
        assert len(re.findall(r"^- \*", text, re.MULTILINE)) >= 4


@editions
def test_links_lead_somewhere(edition):
    text = without_code(guide(edition))
    anchors = {anchor(heading) for _, heading in HEADING.findall(text)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, fragment = target.partition("#")
        if not path:
            assert fragment in anchors, target
        elif not path.startswith("https://"):
            wanted = (ROOT / path).read_text(encoding="utf-8")
            found = {anchor(heading) for _, heading in HEADING.findall(wanted)}
            assert not fragment or fragment in found, target


def anchor(heading):
    """The address that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_twins_have_the_same_outline_code_tables_and_lists():
    def outline(text):
        bare = without_code(text)
        return {
            "headings": [len(marks) for marks, _ in HEADING.findall(bare)],
            "table rows": len(re.findall(r"^\|", bare, re.MULTILINE)),
            "items": len(re.findall(r"^- ", bare, re.MULTILINE)),
            "code": [
                re.sub(r"\s*#.*|/(en|ko)/|%2F(en|ko)%2F", "", block)
                for block in re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)
            ],
        }

    english, korean = (outline(guide(edition)) for edition in EDITIONS)
    assert english == korean


@editions
def test_sections_named_in_a_guide_exist_in_their_lesson(edition):
    texts = sections(guide(edition))
    for path in lesson_paths("en"):
        text = next(t for t in texts.values() if f"/{path.name})" in t)
        there = {
            int(number)
            for cell in Lesson.read(path).prose
            for number in re.findall(r"^## (\d+) ·", cell.source, re.MULTILINE)
        }
        (line,) = re.findall(rf"^\*\*{LABELS[edition][1]}\.\*\*.*$", text, re.MULTILINE)
        other_lesson = r"(?:lessons?|and|,) \d\d\b|\d+강"
        named = map(int, re.findall(r"(?<![\d.])\d{1,2}(?![\d.])", re.sub(other_lesson, "", line)))
        assert set(named) <= there | {0}, line


# ---- The answer key ---------------------------------------------------------------------------


def test_the_key_holds_every_exercise_with_its_task_and_answer(tmp_path):
    assert answer_key.main(["--edition", "en", "--output", str(tmp_path)]) == 0
    key = (tmp_path / "answers-en.md").read_text(encoding="utf-8")
    for path in lesson_paths("en"):
        lesson = Lesson.read(path)
        texts = dict(exercise_texts(lesson))
        for number, (name, problem) in enumerate(lesson_problems(lesson).items(), start=1):
            assert texts[name].startswith(f"**Exercise {number} · "), (path.name, name)
            assert texts[name] in key
            assert problem.solution_source in key


def test_a_wrong_answer_cannot_get_into_the_key(monkeypatch):
    wrong = ValueProblem(key="start_here.utf8_bytes", expected=6, solution="n_bytes = 5")
    monkeypatch.setattr(answer_key, "lesson_problems", lambda lesson: {"q1": wrong})
    with pytest.raises(WrongAnswerError):
        answer_key.answer_key("en")


def test_the_key_of_a_lesson_speaks_korean(monkeypatch):
    first = lesson_paths("ko")[:1]
    monkeypatch.setattr(answer_key, "lesson_paths", lambda edition, notebooks: first)
    key = answer_key.answer_key("ko")
    assert key.startswith("# 연습 문제 정답")
    assert "**연습 1 · " in key and "힌트" in key
