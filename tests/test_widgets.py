"""What a learner plays with: right in content, and safe with any text."""

import re

import pytest

from course_lib.tokenizer import TokenizerError
from course_lib.widgets import token_explorer, token_view

HOSTILE = "<script>alert(1)</script> & \"'</span>"


def visible(page):
    """The text of HTML without its tags."""
    return re.sub(r"<[^<>]*>", "", page)


def test_a_view_shows_the_pieces_of_the_tokenizer(tiny_tokenizer):
    view = token_view("나는 학교에 간다", tiny_tokenizer)
    ids = tiny_tokenizer.encode("나는 학교에 간다", add_bos=False)
    assert view.pieces == tuple(tiny_tokenizer.piece(i) for i in ids)
    assert f"({len(ids)} tokens, 9 characters)" in repr(view)
    assert [int(i) for i in re.findall(r"title='(\d+)'", view._repr_html_())] == ids


def test_a_text_never_becomes_markup(tiny_tokenizer):
    page = token_view(HOSTILE, tiny_tokenizer)._repr_html_()
    assert set(re.findall(r"</?(\w+)", page)) <= {"div", "span"}


def test_control_and_byte_tokens_are_marked_by_more_than_colour(tiny_tokenizer):
    page = token_view("<s>뷁", tiny_tokenizer, parse_control=True)._repr_html_()
    boxes = re.findall(r"<span style='([^']*)'[^>]*>([^<]*)</span>", page)
    dashed = [text for style, text in boxes if "dashed" in style]
    assert dashed == ["&lt;s&gt;", "&lt;0xEB&gt;", "&lt;0xB7&gt;", "&lt;0x81&gt;"]


def test_invalid_unicode_is_refused(tiny_tokenizer):
    with pytest.raises(TokenizerError, match="surrogate"):
        token_view("\ud800", tiny_tokenizer)


def test_the_explorer_follows_what_is_typed(tiny_tokenizer):
    box, shown = token_explorer(tiny_tokenizer, "안녕").children
    assert "2 tokens, 2 characters" in visible(shown.value)
    box.value = "한국의 수도는"
    assert shown.value == token_view("한국의 수도는", tiny_tokenizer)._repr_html_()


def test_the_explorer_shows_an_error_as_text(tiny_tokenizer):
    box, shown = token_explorer(tiny_tokenizer, "").children
    box.value = "<b>\ud800"
    assert "surrogate" in shown.value
    assert "<b>" not in shown.value
