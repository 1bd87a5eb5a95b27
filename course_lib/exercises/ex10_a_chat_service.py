"""Exercises of lesson 10, a chat service."""

from course_lib.exercises.problem import FunctionProblem, ValueProblem
from course_lib.exercises.progress import Progress

q1 = ValueProblem(
    key="chat_service.predicted",
    expected=["a1", "b1", "b2", "c1", "a2", "c2"],
    solution='predicted = ["a1", "b1", "b2", "c1", "a2", "c2"]',
    mistakes={
        "one_after_the_other": ["a1", "a2", "b1", "b2", "c1", "c2"],
        "always_in_turn": ["a1", "b1", "c1", "a2", "b2", "c2"],
        "greedy_first": ["b1", "b2", "a1", "c1", "a2", "c2"],
        "greedy_last": ["a1", "c1", "a2", "c2", "b1", "b2"],
    },
)

q2 = FunctionProblem(
    key="chat_service.next_turns",
    cases=[
        (({"Clara": 3, "Jun": 1, "Tom": 2},), ["Clara", "Jun", "Tom", "Clara", "Tom", "Clara"]),
        (({"Jun": 1, "Tom": 3},), ["Jun", "Tom", "Tom", "Tom"]),
        (({"Jun": 0, "Tom": 2},), ["Tom", "Tom"]),
        (({"Leo": 2, "Tom": 2},), ["Leo", "Tom", "Leo", "Tom"]),
        (({},), []),
    ],
    solution="""\
def next_turns(waiting):
    left, order = dict(waiting), []
    while any(left.values()):
        for name in left:
            if left[name]:
                order.append(name)
                left[name] -= 1
    return order""",
    mistakes={
        "first_come": """\
def next_turns(waiting):
    return [name for name, n in waiting.items() for _ in range(n)]""",
        "one_round": """\
def next_turns(waiting):
    return [name for name, n in waiting.items() if n]""",
        "nothing_waiting": """\
def next_turns(waiting):
    n_rounds = max(waiting.values(), default=0)
    return [name for _ in range(n_rounds) for name in waiting]""",
        "fewest_first": """\
def next_turns(waiting):
    by_number = sorted(waiting, key=waiting.get)
    return [name for name in by_number for _ in range(waiting[name])]""",
        "most_first": """\
def next_turns(waiting):
    left, order = dict(waiting), []
    while any(left.values()):
        name = max(left, key=left.get)
        order.append(name)
        left[name] -= 1
    return order""",
        "rounds": """\
def next_turns(waiting):
    n_rounds = max(waiting.values(), default=0)
    return [[name for name, n in waiting.items() if n > i] for i in range(n_rounds)]""",
    },
)


def _user(text):
    return {"role": "user", "content": text}


def _assistant(text):
    return {"role": "assistant", "content": text}


_HISTORY = [_user("Hello."), _assistant("Hello! How can I help you?")]

q3 = FunctionProblem(
    key="chat_service.remembered",
    cases=[
        (([], "One?", "Two.", False), [_user("One?"), _assistant("Two.")]),
        (
            (_HISTORY, "One?", "There was", False),
            [*_HISTORY, _user("One?"), _assistant("There was")],
        ),
        ((_HISTORY, "One?", "", False), _HISTORY),
        ((_HISTORY, "One?", "There was", True), _HISTORY),
        (([], "One?", "", True), []),
    ],
    solution="""\
def remembered(history, message, shown, failed):
    if failed or not shown:
        return history
    question = {"role": "user", "content": message}
    answer = {"role": "assistant", "content": shown}
    return [*history, question, answer]""",
    mistakes={
        "failure_kept": """\
def remembered(history, message, shown, failed):
    if not shown:
        return history
    question = {"role": "user", "content": message}
    answer = {"role": "assistant", "content": shown}
    return [*history, question, answer]""",
        "empty_answer": """\
def remembered(history, message, shown, failed):
    if failed:
        return history
    question = {"role": "user", "content": message}
    answer = {"role": "assistant", "content": shown}
    return [*history, question, answer]""",
        "question_without_answer": """\
def remembered(history, message, shown, failed):
    question = {"role": "user", "content": message}
    if failed or not shown:
        return [*history, question]
    answer = {"role": "assistant", "content": shown}
    return [*history, question, answer]""",
        "answer_forgotten": """\
def remembered(history, message, shown, failed):
    if failed or not shown:
        return history
    return [*history, {"role": "user", "content": message}]""",
        "history_forgotten": """\
def remembered(history, message, shown, failed):
    if failed or not shown:
        return history
    question = {"role": "user", "content": message}
    answer = {"role": "assistant", "content": shown}
    return [question, answer]""",
        "answer_first": """\
def remembered(history, message, shown, failed):
    if failed or not shown:
        return history
    question = {"role": "user", "content": message}
    answer = {"role": "assistant", "content": shown}
    return [*history, answer, question]""",
    },
)


def count_words(text):
    """Return the number of words, which stand for tokens here."""
    return len(text.split())


_SYSTEM = {"role": "system", "content": "be kind"}
_TALK = [
    _user("a b c"),
    _assistant("d e"),
    _user("f"),
    _assistant("g h"),
    _user("i j"),
    _assistant("k"),
    _user("l m"),
]

q4 = FunctionProblem(
    key="chat_service.trim",
    cases=[
        (([_SYSTEM, *_TALK], 9, count_words), [_SYSTEM, *_TALK[4:]]),
        (([_SYSTEM, *_TALK], 14, count_words), [_SYSTEM, *_TALK[2:]]),
        (([_SYSTEM, *_TALK], 15, count_words), [_SYSTEM, *_TALK]),
        ((_TALK, 8, count_words), _TALK[2:]),
        ((_TALK, 7, count_words), _TALK[4:]),
        ((_TALK, 4, count_words), _TALK[6:]),
        (([_SYSTEM, _user("n o p")], 5, count_words), [_SYSTEM, _user("n o p")]),
    ],
    solution="""\
def trim(messages, budget, count_tokens):
    n_system = int(messages[0]["role"] == "system")
    system, turns = messages[:n_system], messages[n_system:]
    while sum(count_tokens(m["content"]) for m in system + turns) > budget:
        turns = turns[2:]
    return system + turns""",
    mistakes={
        "system_dropped": """\
def trim(messages, budget, count_tokens):
    while sum(count_tokens(m["content"]) for m in messages) > budget:
        messages = messages[1 if messages[0]["role"] == "system" else 2 :]
    return messages""",
        "last_five": """\
def trim(messages, budget, count_tokens):
    n_system = int(messages[0]["role"] == "system")
    return messages[:n_system] + messages[n_system:][-5:]""",
        "assistant_first": """\
def trim(messages, budget, count_tokens):
    n_system = int(messages[0]["role"] == "system")
    system, turns = messages[:n_system], messages[n_system:]
    while sum(count_tokens(m["content"]) for m in system + turns) > budget:
        turns = turns[1:]
    return system + turns""",
        "newest_cut": """\
def trim(messages, budget, count_tokens):
    n_system = int(messages[0]["role"] == "system")
    system, turns = messages[:n_system], messages[n_system:]
    while sum(count_tokens(m["content"]) for m in system + turns) > budget:
        turns = turns[:-2]
    return system + turns""",
        "system_not_counted": """\
def trim(messages, budget, count_tokens):
    n_system = int(messages[0]["role"] == "system")
    system, turns = messages[:n_system], messages[n_system:]
    while sum(count_tokens(m["content"]) for m in turns) > budget:
        turns = turns[2:]
    return system + turns""",
        "filled_exactly": """\
def trim(messages, budget, count_tokens):
    n_system = int(messages[0]["role"] == "system")
    system, turns = messages[:n_system], messages[n_system:]
    while len(turns) > 1:
        if sum(count_tokens(m["content"]) for m in system + turns) < budget:
            break
        turns = turns[2:]
    return system + turns""",
        "characters": """\
def trim(messages, budget, count_tokens):
    n_system = int(messages[0]["role"] == "system")
    system, turns = messages[:n_system], messages[n_system:]
    while len(turns) > 1 and sum(len(m["content"]) for m in system + turns) > budget:
        turns = turns[2:]
    return system + turns""",
        "one_turn_at_most": """\
def trim(messages, budget, count_tokens):
    n_system = int(messages[0]["role"] == "system")
    system, turns = messages[:n_system], messages[n_system:]
    if sum(count_tokens(m["content"]) for m in system + turns) > budget:
        turns = turns[2:]
    return system + turns""",
    },
)

q5 = FunctionProblem(
    key="chat_service.server_flags",
    cases=[
        ((4_000_000_000, 131_072, 4096, 20), (7, 28672)),
        ((4_000_000_000, 131_072, 4096, 5), (5, 20480)),
        ((1000, 10, 25, 8), (4, 100)),
        ((990, 10, 25, 8), (3, 75)),
        ((200, 10, 25, 8), (0, 0)),
    ],
    solution="""\
def server_flags(free_bytes, bytes_a_token, tokens_each, n_people):
    n_slots = min(free_bytes // (bytes_a_token * tokens_each), n_people)
    return n_slots, n_slots * tokens_each""",
    mistakes={
        "context_of_one": """\
def server_flags(free_bytes, bytes_a_token, tokens_each, n_people):
    n_slots = min(free_bytes // (bytes_a_token * tokens_each), n_people)
    return n_slots, tokens_each""",
        "empty_slots": """\
def server_flags(free_bytes, bytes_a_token, tokens_each, n_people):
    n_slots = free_bytes // (bytes_a_token * tokens_each)
    return n_slots, n_slots * tokens_each""",
        "everybody": """\
def server_flags(free_bytes, bytes_a_token, tokens_each, n_people):
    return n_people, n_people * tokens_each""",
        "rounded_up": """\
def server_flags(free_bytes, bytes_a_token, tokens_each, n_people):
    n_slots = min(-(-free_bytes // (bytes_a_token * tokens_each)), n_people)
    return n_slots, n_slots * tokens_each""",
        "all_that_fits": """\
def server_flags(free_bytes, bytes_a_token, tokens_each, n_people):
    n_slots = min(free_bytes // (bytes_a_token * tokens_each), n_people)
    return n_slots, free_bytes // bytes_a_token""",
        "swapped": """\
def server_flags(free_bytes, bytes_a_token, tokens_each, n_people):
    n_slots = min(free_bytes // (bytes_a_token * tokens_each), n_people)
    return n_slots * tokens_each, n_slots""",
    },
)

progress = Progress([q1, q2, q3, q4, q5])
