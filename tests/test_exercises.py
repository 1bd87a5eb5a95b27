"""The exercise engine: what `check`, `hint`, `solution` and `progress` answer."""

from __future__ import annotations

import _thread
import contextlib
import itertools
import threading
import time

import numpy as np
import pytest

from course_lib.exercises.compare import compare
from course_lib.exercises.messages import language
from course_lib.exercises.problem import ArrayProblem, CodeProblem, FunctionProblem, ValueProblem
from course_lib.exercises.progress import Progress

GREEDY = "def pick_greedy(logits):\n    return int(np.argmax(logits))"


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("COURSE_LANGUAGE", "en")


@pytest.fixture
def greedy():
    return FunctionProblem(
        key="start_here.pick_greedy",
        cases=[((np.array([0.0, 2.0]),), 1), ((np.array([3.0, 2.0]),), 0)],
        solution=GREEDY,
        mistakes={"value_instead_of_index": "def pick_greedy(logits):\n    return max(logits)"},
    )


@pytest.fixture
def value():
    return ValueProblem(
        key="start_here.utf8_bytes",
        expected=6,
        solution="n_bytes = 6",
        mistakes={"characters": 2, "bytes_themselves": "n_bytes = '서울'.encode()"},
    )


def array_problem(expected, **options):
    return ArrayProblem(
        key="start_here.stages", expected=expected, solution="answer = np.ones(2)", **options
    )


# Outcomes


def test_reference_is_correct_and_explained(greedy):
    outcome = greedy.check(greedy.reference())
    assert outcome.status == "correct"
    assert "greedy decoding" in outcome.message


@pytest.mark.parametrize("blank", [..., None, [1, ...], {"a": ...}])
def test_blank_value_is_not_attempted(value, blank):
    assert value.check(blank).status == "not_attempted"


def test_check_without_an_answer_is_not_attempted(value):
    assert value.check().status == "not_attempted"


def half_filled(logits):
    scores = ...
    return scores + 1


def raises_not_implemented(logits):
    raise NotImplementedError


@pytest.mark.parametrize(
    "starter", [lambda logits: None, lambda logits: ..., half_filled, raises_not_implemented]
)
def test_unfilled_function_is_not_attempted(greedy, starter):
    assert greedy.check(starter).status == "not_attempted"


def test_function_without_return_is_told_about_return(greedy):
    def forgets_return(logits):
        int(np.argmax(logits))

    assert "return" in greedy.check(forgets_return).message


def test_calling_the_function_before_handing_it_in_is_explained(greedy):
    outcome = greedy.check(1)
    assert (outcome.status, outcome.reason) == ("incorrect", "not_a_function")


def test_known_mistake_gets_its_own_sentence(greedy):
    outcome = greedy.check(lambda logits: float(np.max(logits)))
    assert (outcome.status, outcome.reason) == ("incorrect", "value_instead_of_index")
    assert "position in the list" in outcome.message


def test_value_mistake_may_be_a_value_or_source(value):
    assert value.check(2).reason == "characters"
    assert value.check(b"\xec\x84\x9c\xec\x9a\xb8").reason == "bytes_themselves"
    assert value.mistake_sources()["characters"] == "n_bytes = 2"


def test_wrong_result_names_the_call_and_the_difference(greedy):
    message = greedy.check(lambda logits: 7).message
    assert "pick_greedy([0., 2.])" in message
    assert "too large by 6" in message
    assert "Expected: 1." in message


def test_value_feedback_keeps_the_answer_back_and_names_the_unit(value):
    message = value.check(5).message
    assert "5 bytes" in message
    assert "6" not in message


def test_generator_is_taken_for_the_list_it_produces():
    problem = ValueProblem(key="start_here.stages", expected=[0, 1, 4], solution="squares = []")
    assert problem.check(n * n for n in range(3)).status == "correct"


def test_comparator_replaces_comparison():
    problem = ValueProblem(
        key="start_here.stages",
        expected=["b", "a"],
        solution="letters = ['a', 'b']",
        comparator=lambda answer, expected: sorted(answer) == sorted(expected),
    )
    assert problem.check(["a", "b"]).status == "correct"
    assert problem.check(["a", "c"]).reason == "differs"


def test_code_problem_reports_the_named_finding():
    problem = CodeProblem(
        key="start_here.pick_greedy",
        judge=lambda pick: None if pick([1, 2]) == 1 else "smallest",
        solution=GREEDY,
        mistakes={"smallest": "def pick_greedy(logits):\n    return int(np.argmin(logits))"},
    )
    assert problem.check(problem.reference()).status == "correct"
    assert problem.check(problem.mistake_answers()["smallest"]).reason == "smallest"


def test_code_problem_may_answer_with_a_comparison():
    problem = CodeProblem(
        key="start_here.pick_greedy", judge=lambda f: compare(f([1, 2]), 1), solution=GREEDY
    )
    assert problem.check(lambda logits: 0).reason == "too_small"
    assert problem.check(lambda logits: 1).status == "correct"


def test_slow_cases_are_made_at_the_first_check():
    made = []

    def cases():
        made.append(True)
        return [(([0.0, 1.0],), 1)]

    problem = FunctionProblem(key="start_here.pick_greedy", cases=cases, solution=GREEDY)
    assert not made
    assert problem.check(lambda logits: 1).status == "correct"


def test_making_slow_cases_does_not_count_against_the_learner():
    def cases():
        time.sleep(0.3)
        return [(([0.0, 1.0],), 1)]

    problem = FunctionProblem(
        key="start_here.pick_greedy", cases=cases, solution=GREEDY, time_limit_s=0.2
    )
    assert problem.check(lambda logits: 1).status == "correct"


# The learner's code


def test_error_shows_the_learners_line_and_no_traceback(greedy):
    def divides(logits):
        total = 0
        return logits[0] / total if isinstance(logits, list) else 1 // total

    outcome = greedy.check(divides)
    assert outcome.status == "error"
    assert "ZeroDivisionError" in outcome.message
    assert outcome.code == "return logits[0] / total if isinstance(logits, list) else 1 // total"
    assert "Traceback" not in str(outcome)
    assert "exercises" not in str(outcome)


def test_error_names_the_call_that_met_it(greedy):
    def pick_greedy(logits):
        return logits.index(max(logits)) if len(logits) < 2 else 1 / 0

    assert "pick_greedy([" in greedy.check(pick_greedy).message


def test_a_known_mistake_that_fails_is_not_the_learners_error():
    problem = FunctionProblem(
        key="start_here.pick_greedy",
        cases=[(([0.1, 2.0],), 1)],
        solution=GREEDY,
        mistakes={"smallest": "def pick_greedy(logits):\n    raise ValueError"},
    )
    assert problem.check(lambda logits: 0).reason == "too_small"


def test_error_inside_a_library_shows_the_line_that_called_it(greedy):
    def reshapes(logits):
        return np.reshape(logits, (5, 7))

    outcome = greedy.check(reshapes)
    assert outcome.code == "return np.reshape(logits, (5, 7))"


def test_wrong_number_of_parameters_shows_the_def_line(greedy):
    def takes_two(logits, temperature):
        return 0

    assert greedy.check(takes_two).code == "def takes_two(logits, temperature):"


def test_error_in_a_notebook_cell_shows_the_line_of_the_cell(greedy):
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell.instance()
    shell.user_ns["greedy"] = greedy
    shell.run_cell("def pick(logits):\n    best = logits['x']\n    return best\nanswer = pick")
    outcome = shell.run_cell("greedy.check(answer)").result
    assert outcome.code == "best = logits['x']"
    assert "line 2" in outcome.message


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_exit_in_the_learners_code_is_an_error_like_any_other(greedy, error):
    def leaves(logits):
        raise error

    assert greedy.check(leaves).status == "error"


def test_error_whose_message_fails_is_still_reported(greedy):
    class RudeError(Exception):
        def __str__(self):
            raise ValueError

    def rude(logits):
        raise RudeError

    assert "RudeError" in greedy.check(rude).message


def test_runaway_recursion_is_an_error(greedy):
    def again(logits):
        return again(logits)

    outcome = greedy.check(again)
    assert "RecursionError" in outcome.message
    assert outcome.code == "return again(logits)"


def loops_for_ever(logits):
    while True:
        pass


def swallows_every_exception(logits):
    end = time.monotonic() + 6  # ends one day, for the sake of the other tests
    while time.monotonic() < end:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)


def sleeps(logits):
    time.sleep(6)


def generator_that_never_yields(logits):
    while True:
        if len(logits) > 99:
            yield 1


@pytest.mark.parametrize(
    "endless",
    [loops_for_ever, swallows_every_exception, sleeps, generator_that_never_yields],
)
def test_endless_code_is_answered_at_the_time_limit(greedy, endless):
    greedy.time_limit_s = 0.3
    start = time.monotonic()
    outcome = greedy.check(endless)
    assert time.monotonic() - start < 1
    assert (outcome.status, outcome.reason) == ("error", "time_limit")


def test_answer_comes_within_five_seconds_even_if_the_code_resists(greedy):
    start = time.monotonic()
    assert greedy.check(swallows_every_exception).reason == "time_limit"
    assert time.monotonic() - start < 5


def counts_for_ever(ticks):
    while True:
        ticks["n"] = ticks.get("n", 0) + 1


class Ticks(dict):
    """A dictionary that is handed over as it is, for it is no plain `dict`."""


@pytest.fixture
def counting():
    ticks = Ticks()
    problem = FunctionProblem(
        key="start_here.pick_greedy", cases=[((ticks,), 1)], solution=GREEDY, time_limit_s=0.3
    )
    return problem, ticks


def still_runs(ticks):
    before = ticks["n"]
    time.sleep(0.2)
    return ticks["n"] > before


def test_code_over_the_limit_is_stopped(counting):
    problem, ticks = counting
    problem.check(counts_for_ever)
    assert not still_runs(ticks)


def test_interrupted_code_is_stopped_and_the_interrupt_goes_on(counting):
    problem, ticks = counting
    problem.time_limit_s = 4.0
    threading.Timer(0.3, _thread.interrupt_main).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        problem.check(counts_for_ever)
    assert time.monotonic() - start < 2
    assert not still_runs(ticks)


def test_check_has_a_time_limit_in_a_thread_too(greedy):
    greedy.time_limit_s = 0.2
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(greedy.check(loops_for_ever)))
    thread.start()
    thread.join()
    assert outcomes[0].reason == "time_limit"


def test_endless_generator_is_cut_off(greedy):
    outcome = greedy.check(lambda logits: itertools.count())
    assert (outcome.status, outcome.reason) == ("incorrect", "endless")
    assert "10000" in outcome.message


def test_endless_iterator_as_a_value_is_cut_off(value):
    assert value.check(itertools.repeat(6)).reason == "endless"


def test_mutating_the_arguments_leaves_the_cases_alone(greedy):
    def sorts_in_place(logits):
        logits.sort()
        return 1

    greedy.check(sorts_in_place)
    assert greedy.check(greedy.reference()).status == "correct"


def test_nested_arguments_and_generators_are_copied():
    rng = np.random.default_rng(0)
    problem = FunctionProblem(
        key="start_here.pick_greedy",
        cases=[(([{"a": [1]}], rng), 1)],
        solution="def pick_greedy(rows, rng):\n    return 1",
    )

    def changes(rows, rng):
        rows[0]["a"].append(2)
        return len(rows[0]["a"]) + rng.random()

    first, second = problem.check(changes), problem.check(changes)
    assert first.message == second.message


def test_object_with_a_hostile_comparison_is_an_error(value):
    class Hostile(dict):
        def __contains__(self, key):
            raise RuntimeError("no")

        def values(self):
            raise RuntimeError("no")

    assert value.check(Hostile()).status == "incorrect"
    problem = ValueProblem(key="start_here.stages", expected={"a": 1}, solution="d = {'a': 1}")
    assert problem.check(Hostile()).status == "error"


# Hints, solution, progress


def test_each_call_shows_one_more_hint(value):
    cards = [value.hint() for _ in range(4)]
    assert [len(card.items) for card in cards] == [1, 2, 3, 3]
    assert "Hint 1 of 3" in str(cards[0])
    assert "last hint" in str(cards[2])


def test_solution_shows_code_and_explanation(greedy):
    card = greedy.solution()
    assert "    return int(np.argmax(logits))" in str(card)
    assert "<pre" in card._repr_html_()


def test_progress_counts_what_is_solved(greedy, value):
    progress = Progress([greedy, value])
    assert "0 of 2" in str(progress())
    value.check(5)
    greedy.check(greedy.reference())
    text = str(progress())
    assert "1 of 2" in text
    assert "✓ Pick the likeliest token: solved" in text
    assert "✗ How many bytes?: not solved yet" in text


def test_solved_stays_solved(value):
    value.check(6)
    value.check(5)
    assert Progress([value]).n_solved == 1


# How it shows


def test_values_of_the_learner_are_escaped(greedy):
    def script(logits):
        raise ValueError("<script>alert(1)</script>")

    shown = greedy.check(script)._repr_html_() + greedy.check(lambda _: "<script>")._repr_html_()
    shown += greedy.check(type("<script>", (), {}))._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_braces_and_backticks_of_the_learner_are_shown_as_they_are():
    problem = ValueProblem(key="start_here.stages", expected="ab", solution="text = 'ab'")
    outcome = problem.check("`{yours}`")
    assert "'`{yours}`'" in outcome.message
    assert "<code>&#x27;`{yours}`&#x27;</code>" in outcome._repr_html_()


@pytest.mark.parametrize(("course_language", "word"), [("en", "Correct"), ("ko", "정답이에요")])
def test_html_has_role_language_icon_and_word(value, monkeypatch, course_language, word):
    monkeypatch.setenv("COURSE_LANGUAGE", course_language)
    shown = value.check(6)._repr_html_()
    assert f'<div role="status" lang="{course_language}"' in shown
    assert f'<span aria-hidden="true">✓</span> {word}' in shown


def test_what_is_shown_is_the_same_in_every_run(value):
    class Anything:
        pass

    first, second = value.check(Anything()), value.check(Anything())
    assert (repr(first), first._repr_html_()) == (repr(second), second._repr_html_())
    assert "0x" not in repr(first)


# Language


@pytest.mark.parametrize(
    ("course_language", "folder", "chosen"),
    [
        ("ko", "notebooks/en", "ko"),
        ("en", "notebooks/ko", "en"),
        ("ko_KR.UTF-8", "notebooks/en", "ko"),
        ("", "notebooks/ko", "ko"),
        ("", "notebooks/en", "en"),
        ("", "ko", "en"),
        ("fr", "notebooks/ko", "ko"),
        ("fr", "elsewhere", "en"),
    ],
)
def test_language_comes_from_variable_then_folder(
    tmp_path, monkeypatch, course_language, folder, chosen
):
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    monkeypatch.setenv("COURSE_LANGUAGE", course_language)
    assert language() == chosen


# Verification


def test_verify_catches_a_check_that_accepts_a_wrong_answer(value):
    value.mistakes = {"characters": 6}
    with pytest.raises(AssertionError, match="characters"):
        value.verify()


def test_verify_catches_a_mistake_without_a_sentence(value):
    value.mistakes = {"unheard_of": 3}
    with pytest.raises((AssertionError, KeyError)):
        value.verify()


def test_verify_leaves_progress_alone(greedy):
    greedy.mistakes = {}
    with pytest.raises(AssertionError, match="prose"):
        greedy.verify()
    assert greedy.state == "not_attempted"


def test_array_feedback_gives_shapes():
    message = array_problem(np.zeros((2, 3))).check(np.zeros((3, 2))).message
    assert "(3, 2)" in message
    assert "(2, 3)" in message


def test_array_dtype_counts_where_asked():
    problem = array_problem(np.zeros(2, np.uint8), same_dtype=True)
    assert problem.check(np.zeros(2, np.uint8)).status == "correct"
    assert problem.check(np.zeros(2)).reason == "wrong_dtype"


def test_rounding_is_told_from_an_exact_match():
    problem = array_problem(np.array([0.5, 1.0]))
    assert problem.check(np.array([0.5, 1.0])).reason == "exact"
    rounded = problem.check(np.array([0.5, 1.0 + 3e-7]))
    assert rounded.reason == "close_enough"
    assert "1e-06" in rounded.message
