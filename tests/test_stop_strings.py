"""Ending a stream before a stop string, however the text is cut into pieces."""

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.stop_strings import until_stop

LETTERS = st.text("ab강", max_size=9)
STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


def first_whole_stop(text, stops):
    """What is left of `text` by the definition: look for a stop string after every character."""
    for end in range(1, len(text) + 1):
        ended = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if ended:
            return text[: min(ended)]
    return text


def cut(text, cuts):
    places = sorted({min(place, len(text)) for place in cuts} | {0, len(text)})
    return [text[start:end] for start, end in itertools.pairwise(places)]


@settings(max_examples=1000)
@given(LETTERS, STOPS, st.lists(st.integers(0, 9), max_size=4))
@example(text="aab강", stops=["aab강", "b"], cuts=[])
def test_the_text_ends_before_the_first_whole_stop_string_in_pieces_of_any_size(text, stops, cuts):
    assert "".join(until_stop(cut(text, cuts), stops)) == first_whole_stop(text, stops)


@given(LETTERS, STOPS)
def test_nothing_is_held_back_that_cannot_begin_a_stop_string(text, stops):
    shown = ""
    for n_characters in range(1, len(text) + 1):
        if first_whole_stop(text[:n_characters], stops) != text[:n_characters]:
            break
        shown = "".join(_before_the_last(until_stop(_then_wait(text[:n_characters]), stops)))
        held = text[len(shown) : n_characters]
        assert not held or any(stop.startswith(held) for stop in stops)
    assert text.startswith(shown)


class _Waiting(Exception):
    pass


def _then_wait(text):
    yield from text
    raise _Waiting


def _before_the_last(pieces):
    try:
        yield from pieces
    except _Waiting:
        return


def test_without_stop_strings_every_piece_passes_at_once():
    pieces = iter(["서울", "입니다", "."])
    assert next(until_stop(pieces, [])) == "서울"
    assert list(pieces) == ["입니다", "."]


def test_nothing_more_is_asked_of_the_model_once_a_stop_string_is_whole():
    asked = []

    def pieces():
        for piece in ("one ", "two ", "three"):
            asked.append(piece)
            yield piece

    assert "".join(until_stop(pieces(), ["two"])) == "one "
    assert asked == ["one ", "two "]
