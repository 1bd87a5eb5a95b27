"""The NumPy Mistral against llama.cpp, on files of many shapes, and against itself."""

import re
from dataclasses import replace

import gguf
import numpy as np
import pytest
from gguf import RopeScalingType

from course_lib import TINY_MODEL_PATH
from course_lib.attention import sliding_window_mask
from course_lib.config import TINY_MISTRAL
from course_lib.convert import quantize_gguf
from course_lib.engine_logits import engine_logits
from course_lib.kv_cache import CacheFullError, KVCache
from course_lib.llama_file import UnsupportedModelError, write_sizes
from course_lib.random_model import write_random_model
from course_lib.transformer import InvalidTokensError, Trace, Transformer
from tools.tiny_mistral.corpus import draw_corpus, example_text

SMALL = replace(TINY_MISTRAL, n_layers=2, vocab_size=600)
TEXT = "나는 학교에 간다. The capital of Korea is Seoul."


def greedy(logits, previous_ids, rng):
    return int(logits.argmax())


@pytest.fixture(scope="module")
def levels(tmp_path_factory):
    """tiny-mistral at every level that is asked for, made once."""
    made = {}

    def at(level):
        if level not in made:
            path = tmp_path_factory.mktemp("levels") / f"{level}.gguf"
            made[level] = quantize_gguf(TINY_MODEL_PATH, path, level)
        return made[level]

    return at


@pytest.fixture(scope="module")
def exact(levels):
    """tiny-mistral on an F32 file."""
    return Transformer.from_gguf(levels("F32"))


@pytest.fixture(scope="module")
def prompts(tiny_tokenizer):
    """50 prompts of 1 to 400 tokens: texts of the model's world, and nonsense."""
    rng = np.random.default_rng(0)
    world = draw_corpus(1)
    text = " ".join(example_text(next(world)) for _ in range(200))
    ids = tiny_tokenizer.encode(text)
    lengths = [1, 2, 400, 400, *rng.integers(1, 401, 46)]
    starts = [int(rng.integers(0, len(ids) - n)) for n in lengths]
    sensible = [[1, *ids[s : s + n - 1]] for s, n in zip(starts[::2], lengths[::2])]
    return sensible + [rng.integers(0, 2048, n).tolist() for n in lengths[1::2]]


# --- against llama.cpp


def test_logits_equal_llama_cpps_on_an_f32_file(levels, exact, prompts):
    path = levels("F32")
    differences = [np.abs(exact.forward(p) - engine_logits(path, p)).max() for p in prompts]
    assert max(differences) <= 1e-4


@pytest.mark.parametrize("level", ["F16", "Q8_0", "Q4_0", "Q4_K_M", "Q6_K"])
def test_the_best_token_is_llama_cpps_wherever_it_is_clear(levels, prompts, level):
    model = Transformer.from_gguf(levels(level))
    ours = np.stack([model.forward(prompt)[-1] for prompt in prompts])
    theirs = np.stack([engine_logits(levels(level), prompt)[-1] for prompt in prompts])
    second, first = np.sort(theirs, axis=-1)[:, -2:].T
    clear = first - second > 0.5
    assert clear.sum() > 20
    np.testing.assert_array_equal(ours.argmax(-1)[clear], theirs.argmax(-1)[clear])


def test_greedy_continuations_equal_llama_cpps(levels, exact, tiny_tokenizer):
    from course_lib.local_llm import LocalLLM

    with LocalLLM(levels("F32")) as llm:
        for prompt in (TEXT, "한국의 수도는", "Once upon a time", "Every morning the rabbit"):
            ids = tiny_tokenizer.encode(prompt)
            ours = list(exact.generate(ids, greedy, 64, rng=np.random.default_rng(0)))
            theirs = llm.generate(prompt, max_tokens=64, temperature=0)
            assert tiny_tokenizer.decode(ids + ours).removeprefix(prompt) == theirs


def scaled(kind, factor, **more):
    def describe(writer):
        writer.add_rope_scaling_type(kind)
        writer.add_rope_scaling_factor(factor)
        for name, value in more.items():
            getattr(writer, f"add_rope_scaling_{name}")(value)

    return {"describe": describe}


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (replace(SMALL, dim=96, n_heads=6, n_kv_heads=6, head_dim=16, hidden_dim=200), {}),
        (replace(SMALL, dim=96, n_heads=4, n_kv_heads=1, head_dim=40, rope_theta=1e6), {}),
        (replace(SMALL, n_heads=32, n_kv_heads=8, head_dim=8, norm_eps=1e-6), {}),
        (SMALL, {"tied": True}),
        (SMALL, scaled(RopeScalingType.LINEAR, 4.0)),
        (SMALL, {"describe": lambda w: w.add_float32("llama.rope.scale_linear", 2.0)}),
        (SMALL, scaled(RopeScalingType.NONE, 4.0)),
        (SMALL, scaled(RopeScalingType.YARN, 4.0, orig_ctx_len=128)),
        (SMALL, scaled(RopeScalingType.YARN, 8.0, orig_ctx_len=64, attn_factors=0.8)),
        (SMALL, {"extra_tensors": {"rope_freqs.weight": np.linspace(1, 8, 16, dtype=np.float32)}}),
    ],
    ids=["mha", "mqa", "heads", "tied", "linear", "older", "none", "yarn", "yarn-attn", "llama3"],
)
def test_models_of_other_shapes_agree_with_llama_cpp(tmp_path, config, options):
    rng = np.random.default_rng(0)
    path = write_random_model(tmp_path / "random.gguf", config, "F32", rng=rng, **options)
    model = Transformer.from_gguf(path)
    for n in (1, 40, 400):
        ids = rng.integers(0, config.vocab_size, n).tolist()
        np.testing.assert_allclose(model.forward(ids), engine_logits(path, ids), atol=1e-4)


# --- against itself


def decoded(model, ids, cache, n_first=1):
    """Logits of `ids`, the first `n_first` at once and the others one by one."""
    parts = [ids[:n_first], *([i] for i in ids[n_first:])]
    return np.concatenate([model.forward(part, cache) for part in parts])


@pytest.mark.parametrize("n_first", [1, 30, 59])
def test_cached_decoding_equals_the_full_pass(prompts, n_first):
    ids = prompts[2][:60]
    model = Transformer.from_gguf(TINY_MODEL_PATH)
    cache = KVCache(model.config, 60)
    found, expected = decoded(model, ids, cache, n_first), model.forward(ids)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert cache.n_tokens == 60


@pytest.mark.parametrize("window", [1, 5, 16])
@pytest.mark.parametrize("n_first", [1, 4, 20, 40])
def test_a_rolling_cache_equals_the_masked_full_pass(exact, prompts, window, n_first):
    ids = prompts[2][:48]
    model = Transformer.from_gguf(TINY_MODEL_PATH)
    model.config = replace(model.config, sliding_window=window)
    full = KVCache(replace(model.config, sliding_window=None), 48)
    expected = model.forward(ids, full)  # keeps every token; the mask does the forgetting
    cache = KVCache(model.config, 48)
    assert cache.n_slots == window
    np.testing.assert_allclose(decoded(model, ids, cache, n_first), expected, atol=1e-4)


def test_a_window_changes_what_the_weights_are(exact):
    model = Transformer.from_gguf(TINY_MODEL_PATH)
    model.config = replace(model.config, sliding_window=4)
    trace = Trace()
    model.forward(list(range(300, 312)), trace=trace)
    visible = np.isfinite(sliding_window_mask(12, 4))
    assert all((weights > 0).any(0)[~visible].sum() == 0 for weights in trace.attention)


def test_lazy_reading_changes_nothing(levels):
    path = levels("Q4_K_M")
    ids = list(range(300, 320))
    eager, lazy = (Transformer.from_gguf(path, lazy=lazy).forward(ids) for lazy in (False, True))
    np.testing.assert_array_equal(eager, lazy)


def test_everything_is_float32(exact):
    trace = Trace()
    assert exact.forward([1, 2, 3], trace=trace).dtype == np.float32
    assert {x.dtype for x in trace.attention + trace.residual} == {np.dtype(np.float32)}


def test_a_trace_holds_the_residual_stream_and_the_attention(exact):
    trace, ids = Trace(), list(range(300, 309))
    logits = exact.forward(ids, trace=trace)
    assert len(trace.residual) == exact.config.n_layers + 1
    np.testing.assert_array_equal(trace.residual[0], exact.embed(ids))
    np.testing.assert_allclose(exact.unembed(trace.residual[-1]), logits, atol=1e-5)
    for weights in trace.attention:
        assert weights.shape == (8, 9, 9)
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        assert not np.triu(weights, k=1).any()


def test_a_trace_with_a_cache_sees_the_old_tokens(exact):
    trace, cache = Trace(), KVCache(exact.config, 10)
    exact.forward([1, 2, 3], cache)
    exact.forward([4], cache, trace)
    assert trace.attention[0].shape == (8, 1, 4)


def test_generation_stops_at_the_end_of_the_text(exact, tiny_tokenizer):
    ids = tiny_tokenizer.encode("나는 학교에 간다.")
    new_ids = list(exact.generate(ids, greedy, 200, rng=np.random.default_rng(0)))
    assert len(new_ids) < 200
    assert exact.eos_id not in new_ids


def test_generation_passes_history_and_rng_to_the_sampler(exact):
    seen, rng = [], np.random.default_rng(0)

    def sampler(logits, previous_ids, given):
        assert given is rng
        seen.append(list(previous_ids))
        return 300 + len(seen)

    assert list(exact.generate([1, 5], sampler, 3, rng=rng)) == [301, 302, 303]
    assert seen == [[1, 5], [1, 5, 301], [1, 5, 301, 302]]


# --- bad input


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([], "shape \\(0,\\)"),
        ([[1, 2]], "shape \\(1, 2\\)"),
        ([1, 2048], "2048 is no token"),
        ([1, -1], "-1 is no token"),
        ([1.5], "1.5 is none"),
        ([True], "True is none"),
        (["한"], "whole numbers"),
    ],
)
def test_ids_that_are_none_are_named(exact, ids, words):
    with pytest.raises(InvalidTokensError, match=words):
        exact.forward(ids)
    with pytest.raises(InvalidTokensError, match=words):
        next(exact.generate(ids, greedy, 3, rng=np.random.default_rng(0)))


def test_more_tokens_than_the_cache_holds(exact):
    cache = KVCache(exact.config, 4)
    exact.forward([1, 2, 3], cache)
    with pytest.raises(CacheFullError, match="3 of 4"):
        exact.forward([4, 5], cache)
    assert exact.forward([4], cache).shape == (1, 2048)


def rewritten(path, change):
    """Copy tiny-mistral; `change(name, data)` gives a tensor's new data, None drops it."""
    reader = gguf.GGUFReader(TINY_MODEL_PATH)
    writer = gguf.GGUFWriter(path, "llama")
    write_sizes(writer, TINY_MISTRAL)
    for tensor in reader.tensors:
        data = change(tensor.name, tensor.data)
        if data is not None:
            writer.add_tensor(tensor.name, np.array(data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_missing_tensor_is_named(tmp_path):
    path = rewritten(tmp_path / "a.gguf", lambda n, d: None if n == "blk.3.attn_k.weight" else d)
    with pytest.raises(UnsupportedModelError, match=re.escape("'blk.3.attn_k.weight'")):
        Transformer.from_gguf(path)


def test_a_tensor_of_a_wrong_shape_is_named(tmp_path):
    path = rewritten(tmp_path / "a.gguf", lambda n, d: d[:-1] if n == "blk.0.ffn_up.weight" else d)
    with pytest.raises(UnsupportedModelError, match=r"blk.0.ffn_up.weight.*\(767, 256\)"):
        Transformer.from_gguf(path, lazy=True)


def test_a_part_that_mistral_lacks_is_refused_and_not_ignored(tmp_path):
    extra = {"blk.0.attn_q.bias": np.ones(256, np.float32)}
    rng = np.random.default_rng(0)
    path = write_random_model(tmp_path / "a.gguf", SMALL, "F32", rng=rng, extra_tensors=extra)
    with pytest.raises(UnsupportedModelError, match=re.escape("attn_q.bias")):
        Transformer.from_gguf(path)
