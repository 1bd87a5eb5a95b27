"""The catalogue: pins that make sense, and recommendations that keep what they promise."""

import itertools
import re

import pytest

from course_lib import model_catalog
from course_lib.memory_estimate import estimate_memory
from course_lib.model_catalog import (
    CHAT_CONTEXT,
    EARLIER_MODELS,
    MODELS,
    QUALITIES,
    TASKS,
    ModelNotFoundError,
    find_entry,
    select_model,
)
from course_lib.model_size import gguf_bytes

LANGUAGES = ("en", "ko", "de", "ar", "xx")
MEMORIES_GB = (0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 12, 16, 32, 64)


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_sizes_of_a_model_explain_the_size_of_its_file(entry):
    expected = gguf_bytes(entry.config, entry.level, tied=entry.is_tied)
    assert expected == pytest.approx(entry.size_bytes, rel=0.007)  # the texts of a vocabulary vary


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_pins_are_complete(entry):
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert re.fullmatch(r"[0-9a-f]{40}", entry.revision)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.repository)
    assert re.fullmatch(r"[\w.-]+\.gguf", entry.file_name)
    assert entry.languages[0] == "en" and set(entry.tasks) <= set(TASKS)
    assert entry.replaced_by is None or entry.replaced_by in MODELS
    assert entry.level in entry.file_name


def test_ranks_are_an_order_within_a_language():
    for language in ("en", "ko"):
        ranks = [x.strength_in(language) for x in MODELS.values() if language in x.languages]
        assert len(ranks) == len(set(ranks))


def test_parameters_are_those_in_the_names():
    for name, n_params in {"qwen3-4b": 4.0e9, "llama-3.2-3b": 3.2e9, "qwen3-0.6b": 0.6e9}.items():
        assert MODELS[name].n_params == pytest.approx(n_params, rel=0.02)


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("commercial_use", [True, False])
def test_a_choice_keeps_its_promises(commercial_use, language, task, quality):
    options = {"commercial_use": commercial_use, "language": language, "task": task}
    for memory_gb in MEMORIES_GB:
        entry, reason = select_model(memory_gb, quality=quality, **options)
        if entry is None:
            assert re.search("Nothing fits|No model here", reason)
            continue
        memory = estimate_memory(entry.config, entry.level, CHAT_CONTEXT, tied=entry.is_tied)
        assert memory.total <= memory_gb * 1e9
        assert language in entry.languages and task in entry.tasks
        assert entry.allows_commercial_use or not commercial_use
        for words in (entry.title, entry.licence, repr(language), f"{memory_gb:g} GB"):
            assert words in reason


def test_what_would_fit_is_said_when_nothing_does():
    entry, reason = select_model(1.0, language="ko")
    assert entry is None
    needed_gb = float(re.search(r"takes ([0-9.]+) GB", reason)[1])
    assert select_model(needed_gb + 0.1, language="ko").entry.name in reason


def test_more_memory_never_gives_a_weaker_model():
    for quality, language in itertools.product(("good", "best"), ("en", "ko")):
        entries = [select_model(m, language=language, quality=quality).entry for m in MEMORIES_GB]
        ranks = [entry.strength_in(language) for entry in entries if entry]
        assert ranks == sorted(ranks)


def test_korean_research_gets_the_korean_model_and_business_does_not():
    assert select_model(8, language="ko").entry.name == "exaone-3.5-2.4b"
    assert select_model(8, language="ko", commercial_use=True).entry.allows_commercial_use


def test_an_unknown_language_names_the_known_ones():
    entry, reason = select_model(64, language="xx")
    assert entry is None and "en" in reason and "ko" in reason


def test_where_only_a_licence_is_missing_that_is_said(monkeypatch):
    only = {"exaone-3.5-2.4b": MODELS["exaone-3.5-2.4b"]}
    monkeypatch.setattr(model_catalog, "MODELS", only)
    entry, reason = select_model(64, language="ko", commercial_use=True)
    assert entry is None and "may be used commercially" in reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "poetry"}, "task='poetry'"),
        ({"quality": "perfect"}, "quality='perfect'"),
        ({"memory_gb": -1}, "memory_gb=-1"),
        ({"memory_gb": float("nan")}, "memory_gb=nan"),
    ],
)
def test_nonsense_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        select_model(**({"memory_gb": 8} | options))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelNotFoundError, match=r"no model named 'gpt-5'.*qwen3-4b"):
        find_entry("gpt-5")


def test_history_points_to_models_of_today():
    for model in EARLIER_MODELS:
        assert any(name in model.today for name in MODELS)
