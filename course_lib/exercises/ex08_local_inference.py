"""Exercises of lesson 08, local inference."""

from __future__ import annotations

from course_lib.exercises.problem import FunctionProblem
from course_lib.exercises.progress import Progress

q1 = FunctionProblem(
    key="inference.to_read",
    cases=[
        (([1, 50, 60, 70], [1, 50, 60, 70, 80, 90]), [80, 90]),
        (([1, 50, 60, 70, 80], [1, 50, 99, 70, 80]), [99, 70, 80]),
        (([1, 50, 60], [1, 50, 60]), [60]),
        (([1, 50, 60, 70], [1, 50]), [50]),
        (([1, 50, 60], [1, 60, 50]), [60, 50]),
        (([], [1, 50]), [1, 50]),
        (([1, 50, 60, 70], [1, 50, 80]), [80]),
    ],
    solution="""\
def to_read(held, ids):
    n_common = 0
    while n_common < min(len(held), len(ids)) and held[n_common] == ids[n_common]:
        n_common += 1
    return ids[min(n_common, len(ids) - 1) :]""",
    mistakes={
        "nothing_left": """\
def to_read(held, ids):
    n_common = 0
    while n_common < min(len(held), len(ids)) and held[n_common] == ids[n_common]:
        n_common += 1
    return ids[n_common:]""",
        "unknown_ids": """\
def to_read(held, ids):
    return [i for i in ids if i not in held] or ids[-1:]""",
        "other_places": """\
def to_read(held, ids):
    return [i for n, i in enumerate(ids) if held[n : n + 1] != [i]] or ids[-1:]""",
        "counted_by_length": """\
def to_read(held, ids):
    return ids[len(held) :] or ids[-1:]""",
        "all_or_nothing": """\
def to_read(held, ids):
    if ids[: len(held)] == held:
        return ids[len(held) :] or ids[-1:]
    return ids""",
        "one_too_many": """\
def to_read(held, ids):
    n_common = 0
    while n_common < min(len(held), len(ids)) and held[n_common] == ids[n_common]:
        n_common += 1
    return ids[max(n_common - 1, 0) :]""",
        "number": """\
def to_read(held, ids):
    n_common = 0
    while n_common < min(len(held), len(ids)) and held[n_common] == ids[n_common]:
        n_common += 1
    return max(len(ids) - n_common, 1)""",
    },
)

q2 = FunctionProblem(
    key="inference.shown_part",
    cases=[
        (("one two three", "two"), "one "),
        (("one t", "two"), "one "),
        (("one tw", "two"), "one "),
        (("one tree", "two"), "one tree"),
        (("baa", "aab"), "b"),
        (("서울입니다. 사용", "사용자:"), "서울입니다. "),
        (("a; b; c", ";"), "a"),
        (("", "two"), ""),
    ],
    solution="""\
def shown_part(text, stop):
    if stop in text:
        return text[: text.index(stop)]
    for n in range(len(stop) - 1, 0, -1):
        if text.endswith(stop[:n]):
            return text[:-n]
    return text""",
    mistakes={
        "nothing_held_back": """\
def shown_part(text, stop):
    return text.split(stop)[0]""",
        "stop_shown": """\
def shown_part(text, stop):
    if stop in text:
        return text[: text.index(stop) + len(stop)]
    for n in range(len(stop) - 1, 0, -1):
        if text.endswith(stop[:n]):
            return text[:-n]
    return text""",
        "only_held_back": """\
def shown_part(text, stop):
    for n in range(len(stop), 0, -1):
        if text.endswith(stop[:n]):
            return text[:-n]
    return text""",
        "shortest_beginning": """\
def shown_part(text, stop):
    if stop in text:
        return text[: text.index(stop)]
    for n in range(1, len(stop)):
        if text.endswith(stop[:n]):
            return text[:-n]
    return text""",
        "always_held_back": """\
def shown_part(text, stop):
    if stop in text:
        return text[: text.index(stop)]
    return text[: max(len(text) - len(stop) + 1, 0)]""",
        "last_stop": """\
def shown_part(text, stop):
    if stop in text:
        return text[: text.rindex(stop)]
    for n in range(len(stop) - 1, 0, -1):
        if text.endswith(stop[:n]):
            return text[:-n]
    return text""",
        "first_character": """\
def shown_part(text, stop):
    return text.split(stop[0])[0]""",
    },
)

_LAYERS = [140, 100, 100, 120]

q3 = FunctionProblem(
    key="inference.gpu_layers",
    cases=[
        ((_LAYERS, 10, 90, 260), 2),
        ((_LAYERS, 10, 90, 499), 3),
        ((_LAYERS, 10, 90, 590), -1),
        ((_LAYERS, 10, 90, 500), 4),
        ((_LAYERS, 10, 90, 589), 4),
        ((_LAYERS, 10, 90, 129), 0),
        ((_LAYERS, 10, 90, 240), 2),
        (([200, 50, 200], 0, 20, 300), 2),
        (([50] * 32, 5, 60, 1000), 18),
    ],
    solution="""\
def gpu_layers(layer_bytes, kv_bytes, output_bytes, free_bytes):
    if sum(layer_bytes) + len(layer_bytes) * kv_bytes + output_bytes <= free_bytes:
        return -1
    n_layers = 0
    for n_bytes in reversed(layer_bytes):
        free_bytes -= n_bytes + kv_bytes
        if free_bytes < 0:
            break
        n_layers += 1
    return n_layers""",
    mistakes={
        "cache_forgotten": """\
def gpu_layers(layer_bytes, kv_bytes, output_bytes, free_bytes):
    if sum(layer_bytes) + output_bytes <= free_bytes:
        return -1
    n_layers = 0
    for n_bytes in reversed(layer_bytes):
        free_bytes -= n_bytes
        if free_bytes < 0:
            break
        n_layers += 1
    return n_layers""",
        "from_the_first": """\
def gpu_layers(layer_bytes, kv_bytes, output_bytes, free_bytes):
    if sum(layer_bytes) + len(layer_bytes) * kv_bytes + output_bytes <= free_bytes:
        return -1
    n_layers = 0
    for n_bytes in layer_bytes:
        free_bytes -= n_bytes + kv_bytes
        if free_bytes < 0:
            break
        n_layers += 1
    return n_layers""",
        "output_forgotten": """\
def gpu_layers(layer_bytes, kv_bytes, output_bytes, free_bytes):
    if sum(layer_bytes) + len(layer_bytes) * kv_bytes <= free_bytes:
        return -1
    n_layers = 0
    for n_bytes in reversed(layer_bytes):
        free_bytes -= n_bytes + kv_bytes
        if free_bytes < 0:
            break
        n_layers += 1
    return n_layers""",
        "output_first": """\
def gpu_layers(layer_bytes, kv_bytes, output_bytes, free_bytes):
    free_bytes -= output_bytes
    n_layers = 0
    for n_bytes in reversed(layer_bytes):
        free_bytes -= n_bytes + kv_bytes
        if free_bytes < 0:
            return n_layers
        n_layers += 1
    return -1""",
        "mean_size": """\
def gpu_layers(layer_bytes, kv_bytes, output_bytes, free_bytes):
    total = sum(layer_bytes) + len(layer_bytes) * kv_bytes
    if total + output_bytes <= free_bytes:
        return -1
    return min(free_bytes * len(layer_bytes) // total, len(layer_bytes))""",
        "all_by_number": """\
def gpu_layers(layer_bytes, kv_bytes, output_bytes, free_bytes):
    n_layers = 0
    for n_bytes in reversed(layer_bytes):
        free_bytes -= n_bytes + kv_bytes
        if free_bytes < 0:
            break
        n_layers += 1
    return n_layers""",
        "filled_exactly": """\
def gpu_layers(layer_bytes, kv_bytes, output_bytes, free_bytes):
    if sum(layer_bytes) + len(layer_bytes) * kv_bytes + output_bytes < free_bytes:
        return -1
    n_layers = 0
    for n_bytes in reversed(layer_bytes):
        free_bytes -= n_bytes + kv_bytes
        if free_bytes <= 0:
            break
        n_layers += 1
    return n_layers""",
    },
)

_ONE_TURN = [("user", [50, 60])]
_THREE_TURNS = [("user", [50, 60]), ("assistant", [70]), ("user", [80, 90])]
_FOUR_TURNS = [*_THREE_TURNS, ("assistant", [])]
_MARKS = (1, 2, 3, 4)
_OTHER_MARKS = (7, 9, 21, 22)

q4 = FunctionProblem(
    key="inference.chat_ids",
    cases=[
        ((_ONE_TURN, *_MARKS), [1, 3, 50, 60, 4]),
        ((_THREE_TURNS, *_MARKS), [1, 3, 50, 60, 4, 70, 2, 3, 80, 90, 4]),
        ((_FOUR_TURNS, *_OTHER_MARKS), [7, 21, 50, 60, 22, 70, 9, 21, 80, 90, 22, 9]),
    ],
    solution="""\
def chat_ids(turns, bos_id, eos_id, begin_id, end_id):
    ids = [bos_id]
    for role, content in turns:
        if role == "user":
            ids += [begin_id, *content, end_id]
        else:
            ids += [*content, eos_id]
    return ids""",
    mistakes={
        "bos_in_every_turn": """\
def chat_ids(turns, bos_id, eos_id, begin_id, end_id):
    ids = []
    for role, content in turns:
        if role == "user":
            ids += [bos_id, begin_id, *content, end_id]
        else:
            ids += [*content, eos_id]
    return ids""",
        "no_bos": """\
def chat_ids(turns, bos_id, eos_id, begin_id, end_id):
    ids = []
    for role, content in turns:
        if role == "user":
            ids += [begin_id, *content, end_id]
        else:
            ids += [*content, eos_id]
    return ids""",
        "no_eos": """\
def chat_ids(turns, bos_id, eos_id, begin_id, end_id):
    ids = [bos_id]
    for role, content in turns:
        ids += [begin_id, *content, end_id] if role == "user" else content
    return ids""",
        "eos_once": """\
def chat_ids(turns, bos_id, eos_id, begin_id, end_id):
    ids = [bos_id]
    for role, content in turns:
        ids += [begin_id, *content, end_id] if role == "user" else content
    return [*ids, eos_id]""",
        "eos_after_the_user": """\
def chat_ids(turns, bos_id, eos_id, begin_id, end_id):
    ids = [bos_id]
    for role, content in turns:
        if role == "user":
            ids += [begin_id, *content, end_id, eos_id]
        else:
            ids += [*content, eos_id]
    return ids""",
        "answers_in_marks": """\
def chat_ids(turns, bos_id, eos_id, begin_id, end_id):
    ids = [bos_id]
    for role, content in turns:
        ids += [begin_id, *content, end_id]
        if role == "assistant":
            ids.append(eos_id)
    return ids""",
        "one_pair_of_marks": """\
def chat_ids(turns, bos_id, eos_id, begin_id, end_id):
    return [bos_id, begin_id, *[i for _, content in turns for i in content], end_id]""",
        "lists_inside": """\
def chat_ids(turns, bos_id, eos_id, begin_id, end_id):
    ids = [bos_id]
    for role, content in turns:
        if role == "user":
            ids += [begin_id, content, end_id]
        else:
            ids += [content, eos_id]
    return ids""",
    },
)

q5 = FunctionProblem(
    key="inference.one_bos",
    cases=[
        (([1, 1, 50, 60], 1), [1, 50, 60]),
        (([1, 50, 60], 1), [1, 50, 60]),
        (([50, 60], 1), [1, 50, 60]),
        (([1, 1, 1, 50, 1, 1, 60], 1), [1, 50, 1, 1, 60]),
        (([50, 7, 60], 7), [7, 50, 7, 60]),
        (([], 1), [1]),
    ],
    solution="""\
def one_bos(ids, bos_id):
    n_bos = 0
    while n_bos < len(ids) and ids[n_bos] == bos_id:
        n_bos += 1
    return [bos_id, *ids[n_bos:]]""",
    mistakes={
        "always_added": """\
def one_bos(ids, bos_id):
    return [bos_id, *ids]""",
        "never_added": """\
def one_bos(ids, bos_id):
    n_bos = 0
    while n_bos < len(ids) and ids[n_bos] == bos_id:
        n_bos += 1
    return [bos_id] * (n_bos > 0) + ids[n_bos:]""",
        "all_removed": """\
def one_bos(ids, bos_id):
    return [bos_id, *[i for i in ids if i != bos_id]]""",
        "one_removed": """\
def one_bos(ids, bos_id):
    if ids[:2] == [bos_id, bos_id]:
        return ids[1:]
    return ids if ids[:1] == [bos_id] else [bos_id, *ids]""",
        "everywhere": """\
def one_bos(ids, bos_id):
    kept = [bos_id]
    for i in ids:
        if i != bos_id or kept[-1] != bos_id:
            kept.append(i)
    return kept""",
        "always_1": """\
def one_bos(ids, bos_id):
    n_bos = 0
    while n_bos < len(ids) and ids[n_bos] == 1:
        n_bos += 1
    return [1, *ids[n_bos:]]""",
    },
)

progress = Progress([q1, q2, q3, q4, q5])
