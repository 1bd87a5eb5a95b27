"""Sampling against llama.cpp's own samplers, and against what the papers promise."""

import itertools
import math

import numpy as np
import pytest

from course_lib.engine_sampling import engine_keeps
from course_lib.sampling import (
    Mirostat,
    Sampler,
    SamplingError,
    beam_search,
    draw,
    entropy,
    min_p,
    repetition_penalty,
    softmax,
    speculative_decode,
    top_k,
    top_p,
    typical_p,
)

SIZES = (8, 50, 300, 1500, 5000, 32_000, 128_000)
KINDS = ("smooth", "ties", "holes", "flat", "peaked")


def draw_logits(rng, kind):
    n = int(rng.choice(SIZES, p=[0.2, 0.2, 0.2, 0.15, 0.1, 0.1, 0.05]))
    logits = rng.standard_normal(n).astype(np.float32) * np.float32(rng.choice([1, 3, 8]))
    if kind == "ties":
        logits = np.round(2 * logits) / 2
    elif kind == "holes":
        logits[rng.random(n) < 0.3] = -np.inf
        logits[0] = 1
    elif kind == "flat":
        logits[:] = 0.25
    elif kind == "peaked":
        logits[rng.integers(n)] += 15
    return logits.astype(np.float32)


@pytest.fixture(scope="module")
def vectors():
    """1,000 random rows of logits, with the name of their kind."""
    rng = np.random.default_rng(0)
    return [(kind, draw_logits(rng, kind)) for kind in KINDS * 200]


def share(rng, *values):
    return float(np.float32(rng.choice(values)))


FILTERS = {
    "top_k": (top_k, lambda rng, n: int(rng.integers(1, n + 2))),
    "top_p": (top_p, lambda rng, n: share(rng, 0.1, 0.5, 0.9, 0.95, 0.99)),
    "min_p": (min_p, lambda rng, n: share(rng, 0.01, 0.05, 0.1, 0.5)),
    "typical_p": (typical_p, lambda rng, n: share(rng, 0.1, 0.5, 0.9, 0.95)),
}


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_keeps_exactly_what_llama_cpp_keeps(vectors, name):
    ours, draw_setting = FILTERS[name]
    rng, n_compared = np.random.default_rng(1), 0
    for kind, logits in vectors:
        setting = draw_setting(rng, len(logits))
        n_compared += 1
        if name == "typical_p" and kind == "holes":
            continue  # there llama.cpp sorts by NaN, which comes out at random
        kept = np.flatnonzero(np.isfinite(ours(logits, setting)))
        expected = np.array(engine_keeps(logits, **{name: setting})[0])
        if kind in ("ties", "flat"):  # which of equal tokens it keeps is arbitrary
            kept, expected = np.sort(logits[kept]), np.sort(logits[expected])
        if name == "typical_p" and len(kept) == len(expected):
            # it may take either of two tokens that lie a last digit apart from the mean
            changed = np.setxor1d(kept, expected)
            assert len(changed) <= 2, changed
            continue
        np.testing.assert_array_equal(kept, np.sort(expected))
    assert n_compared == 1000


def test_probabilities_after_the_whole_chain_equal_llama_cpps(vectors):
    rng = np.random.default_rng(2)
    for _, logits in vectors[::3]:
        previous = rng.integers(0, len(logits), 20).tolist()
        settings = {
            "temperature": share(rng, 0.3, 0.7, 1.0, 1.5),
            "top_k": int(rng.choice([5, 40, 1000])),
            "top_p": share(rng, 0.5, 0.95),
            "min_p": share(rng, 0.01, 0.05),
            "repeat_penalty": share(rng, 1.0, 1.1, 1.5),
        }
        _, theirs = engine_keeps(logits, previous, **settings)
        _, ours = Sampler(**settings).candidates(logits, previous)
        np.testing.assert_allclose(-np.sort(-ours), -np.sort(-np.array(theirs)), atol=1e-5)


@pytest.mark.parametrize("penalty", [0.8, 1.0, 1.1, 2.0])
def test_the_repetition_penalty_equals_llama_cpps(penalty):
    rng = np.random.default_rng(0)
    logits = (rng.standard_normal(500) * 5).astype(np.float32)
    logits[7] = 0
    previous = [7, *rng.integers(0, 500, 50).tolist()]
    ids, expected = engine_keeps(logits, previous, repeat_penalty=penalty)
    ours = softmax(repetition_penalty(logits, previous, penalty))
    np.testing.assert_allclose(ours[ids], expected, rtol=1e-5)


# --- softmax and entropy


def test_softmax_equals_the_definition_where_that_does_not_overflow():
    x = np.random.default_rng(0).standard_normal((3, 50))
    expected = np.exp(x / 0.5) / np.exp(x / 0.5).sum(-1, keepdims=True)
    np.testing.assert_allclose(softmax(x, 0.5), expected)


def test_softmax_of_large_logits_does_not_overflow():
    assert softmax(np.float32([1e4, 0.0])).tolist() == [1.0, 0.0]


def test_temperature_zero_gives_all_to_the_largest():
    x = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]])
    assert softmax(x, 0).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_softmax_leaves_its_argument_alone():
    x = np.array([1.0, 2.0])
    softmax(x, 2.0)
    assert x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("n", [1, 2, 8, 1024])
def test_entropy_of_equal_chances_is_their_number_in_bits(n):
    assert entropy(np.full(n, 1 / n)) == pytest.approx(math.log2(n))


# --- drawing


def chi_squared_is_plausible(counts, probabilities):
    """Whether counts could come from probabilities, at the level of 1%."""
    expected = counts.sum() * probabilities
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = len(counts) - 1
    limit = freedom * (1 - 2 / (9 * freedom) + 2.326 * math.sqrt(2 / (9 * freedom))) ** 3
    return statistic < limit


def test_draws_follow_the_probabilities():
    sampler = Sampler(temperature=1.3, top_k=4, top_p=1.0, min_p=0.0, repeat_penalty=1.0)
    logits = np.float32([2.0, 1.0, 0.5, -1.0, -3.0])
    rng = np.random.default_rng(0)
    drawn = [sampler(logits, [], rng) for _ in range(20_000)]
    counts = np.bincount(drawn, minlength=5)
    assert counts[4] == 0
    ids, probabilities = sampler.candidates(logits, [])
    assert chi_squared_is_plausible(counts[ids], probabilities)


def test_the_same_seed_gives_the_same_text():
    logits = np.random.default_rng(0).standard_normal((50, 1000)).astype(np.float32)

    def text(seed):
        rng = np.random.default_rng(seed)
        return [Sampler(repeat_penalty=1.0)(row, [], rng) for row in logits]

    assert text(1) == text(1) != text(2)


def test_only_recent_tokens_are_penalised():
    logits = np.float32([1.0, 0.9])
    sampler = Sampler(temperature=0.0, repeat_penalty=2.0, penalty_last_n=2)
    rng = np.random.default_rng(0)
    assert sampler(logits, [1, 0, 0], rng) == 1
    assert sampler(logits, [0, 1, 1], rng) == 0


def test_a_token_of_probability_zero_is_never_drawn():
    rng = np.random.default_rng(0)
    ids, probabilities = np.arange(3), np.array([0.0, 1.0, 0.0])
    assert {draw(ids, probabilities, rng) for _ in range(1000)} == {1}


# --- Mirostat


@pytest.mark.parametrize("tau", [3.0, 5.0])
def test_the_running_surprise_converges_to_tau(tau):
    rng = np.random.default_rng(0)
    sampler = Mirostat(tau=tau, eta=0.1)
    surprises = []
    for _ in range(2000):
        sampler(rng.standard_normal(5000).astype(np.float32) * 2, [], rng)
        surprises.append(sampler.surprise)
    assert np.mean(surprises) == pytest.approx(tau, rel=0.05)


# --- searches


@pytest.fixture(scope="module")
def chain():
    """A small language: the next token depends on the last one alone."""
    return np.random.default_rng(5).standard_normal((6, 6)) * 2


def test_a_beam_of_one_is_greedy(chain):
    [beam] = beam_search(lambda ids: chain[ids[-1]], [0], width=1, max_tokens=5)
    ids = [0]
    for _ in range(5):
        ids.append(int(chain[ids[-1]].argmax()))
    assert list(beam.ids) == ids[1:]


def test_a_wide_enough_beam_finds_the_best_text_of_all(chain):
    log_p = np.log(softmax(chain))

    def score(text):
        return sum(log_p[a, b] for a, b in itertools.pairwise((0, *text)))

    best = max(itertools.product(range(6), repeat=4), key=score)
    beams = beam_search(lambda ids: chain[ids[-1]], [0], width=216, max_tokens=4)
    assert beams[0].ids == best
    assert beams[0].log_probability == pytest.approx(score(best))


def test_a_finished_beam_grows_no_further(chain):
    [beam] = beam_search(lambda ids: np.array([0.0, 5.0]), [0], width=1, max_tokens=9, eos_id=1)
    assert (beam.ids, beam.is_finished) == ((1,), True)


def test_speculative_text_is_distributed_as_the_targets_own():
    rng = np.random.default_rng(1)
    target_rows = rng.standard_normal((5, 5)) * 1.5
    draft_rows = target_rows + rng.standard_normal((5, 5))
    firsts, n_accepted, n_drafted = np.zeros((5, 5)), 0, 0
    for _ in range(10_000):
        result = speculative_decode(
            lambda ids: target_rows[ids], lambda ids: draft_rows[ids], [0], 2, rng=rng, n_draft=2
        )
        firsts[result.ids[0], result.ids[1]] += 1
        n_accepted, n_drafted = n_accepted + result.n_accepted, n_drafted + result.n_drafted
    p = softmax(target_rows)
    joint = p[0][:, None] * p
    assert chi_squared_is_plausible(firsts.ravel(), joint.ravel())
    assert 0.2 < n_accepted / n_drafted < 0.95


def test_a_perfect_draft_is_always_accepted():
    rows = np.random.default_rng(0).standard_normal((5, 5))
    result = speculative_decode(
        lambda ids: rows[ids], lambda ids: rows[ids], [0], 40, rng=np.random.default_rng(0)
    )
    assert result.acceptance_rate == 1
    assert len(result.ids) == 40
    assert result.n_passes == 8


def test_speculative_text_stops_at_the_end():
    def model(ids):
        return np.tile([-50.0, 50.0], (len(ids), 1))

    result = speculative_decode(model, model, [0], 10, rng=np.random.default_rng(0), eos_id=1)
    assert result.ids == [1]


# --- bad input

GOOD = np.float32([1.0, 2.0, 3.0])
BAD_LOGITS = [
    np.float32([np.nan, 1.0]),
    np.float32([-np.inf, -np.inf]),
    np.float32([np.inf, 1.0]),
    np.float32([]),
    np.float32([[1.0, 2.0]]),
]


@pytest.mark.parametrize("logits", BAD_LOGITS, ids=["nan", "all -inf", "inf", "empty", "matrix"])
@pytest.mark.parametrize(
    "use",
    [
        lambda x: top_k(x, 1),
        lambda x: top_p(x, 0.5),
        lambda x: min_p(x, 0.5),
        lambda x: typical_p(x, 0.5),
        lambda x: Sampler()(x, [], np.random.default_rng(0)),
        lambda x: Mirostat()(x, [], np.random.default_rng(0)),
    ],
)
def test_logits_without_a_choice_are_refused(use, logits):
    with pytest.raises(SamplingError):
        use(logits)


@pytest.mark.parametrize(
    "use",
    [
        lambda: top_p(GOOD, 1.5),
        lambda: top_p(GOOD, -0.1),
        lambda: top_p(GOOD, math.nan),
        lambda: min_p(GOOD, 2),
        lambda: typical_p(GOOD, -1),
        lambda: softmax(GOOD, -1.0),
        lambda: Sampler(temperature=-1),
        lambda: Sampler(temperature=math.nan),
        lambda: Sampler(top_p=2),
        lambda: Sampler(repeat_penalty=0),
        lambda: repetition_penalty(GOOD, [3], 1.1),
        lambda: repetition_penalty(GOOD, [-1], 1.1),
        lambda: Mirostat(tau=0),
        lambda: beam_search(lambda ids: GOOD, [0], 0, 1),
        lambda: speculative_decode(None, None, [0], 1, rng=None, n_draft=0),
    ],
)
def test_settings_out_of_range_are_refused(use):
    with pytest.raises(SamplingError):
        use()


def test_settings_that_switch_a_filter_off_change_nothing():
    for unchanged in (
        top_k(GOOD, 0),
        top_k(GOOD, 99),
        top_p(GOOD, 1.0),
        min_p(GOOD, 0.0),
        typical_p(GOOD, 1.0),
        repetition_penalty(GOOD, [], 1.5),
        repetition_penalty(GOOD, [0, 1], 1.0),
    ):
        np.testing.assert_array_equal(unchanged, GOOD)


def test_p_of_zero_keeps_the_likeliest():
    assert np.isfinite(top_p(GOOD, 0.0)).tolist() == [False, False, True]
