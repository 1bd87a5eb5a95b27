"""Raw logits of llama.cpp."""

import numpy as np
import pytest

from course_lib import TINY_MODEL_PATH
from course_lib.config import TINY_MISTRAL
from course_lib.engine_logits import engine_logits, engine_state_bytes
from course_lib.engine_turns import EngineError
from course_lib.local_llm import LocalLLM


def test_the_last_row_is_what_a_chat_would_draw_from():
    ids = [1, 300, 301, 302]
    with LocalLLM() as llm:
        expected = llm.next_logits(ids)
    np.testing.assert_allclose(engine_logits(TINY_MODEL_PATH, ids)[-1], expected, atol=0.05)


def test_every_position_has_a_row():
    rows = engine_logits(TINY_MODEL_PATH, [1, 300, 301])
    np.testing.assert_allclose(engine_logits(TINY_MODEL_PATH, [1, 300])[-1], rows[1], atol=0.05)


@pytest.mark.parametrize("ids", [[], [2048], [-1]])
def test_ids_that_would_crash_the_engine_do_not_reach_it(ids):
    with pytest.raises(EngineError, match="ids"):
        engine_logits(TINY_MODEL_PATH, ids)


def test_what_is_remembered_grows_by_keys_and_values_and_a_position():
    short, long = (engine_state_bytes(TINY_MODEL_PATH, range(3, 3 + n)) for n in (10, 110))
    c = TINY_MISTRAL
    keys_and_values = 2 * 2 * c.n_layers * c.n_kv_heads * c.head_dim
    assert 0 <= (long - short) / 100 - keys_and_values <= 32
