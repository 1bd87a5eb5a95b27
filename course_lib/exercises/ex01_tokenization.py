"""Exercises of lesson 01, tokenization."""

from __future__ import annotations

from course_lib.exercises.problem import FunctionProblem
from course_lib.exercises.progress import Progress

q1 = FunctionProblem(
    key="tokenization.compose",
    cases=[
        ((18, 0, 4), "한"),
        ((11, 8, 0), "오"),
        ((0, 0, 21), "강"),
        ((11, 13, 8), "울"),
        ((0, 0, 0), "가"),
        ((18, 20, 27), "힣"),
    ],
    solution="""\
def compose(initial, medial, final):
    return chr(0xAC00 + (initial * 21 + medial) * 28 + final)""",
    mistakes={
        "no_base": """\
def compose(initial, medial, final):
    return chr((initial * 21 + medial) * 28 + final)""",
        "exchanged": """\
def compose(initial, medial, final):
    return chr(0xAC00 + (initial * 28 + medial) * 21 + final)""",
        "no_final": """\
def compose(initial, medial, final):
    return chr(0xAC00 + (initial * 21 + medial) * 28)""",
        "no_parentheses": """\
def compose(initial, medial, final):
    return chr(0xAC00 + initial * 21 + medial * 28 + final)""",
        "number": """\
def compose(initial, medial, final):
    return 0xAC00 + (initial * 21 + medial) * 28 + final""",
    },
)

q2 = FunctionProblem(
    key="tokenization.count_pairs",
    cases=[
        (({("l", "o", "w"): 5},), {("l", "o"): 5, ("o", "w"): 5}),
        (
            ({("l", "o", "w"): 5, ("l", "o", "w", "e", "r"): 2},),
            {("l", "o"): 7, ("o", "w"): 7, ("w", "e"): 2, ("e", "r"): 2},
        ),
        (
            ({("한", "국"): 4, ("한", "국", "어"): 2, ("국", "어"): 1},),
            {("한", "국"): 6, ("국", "어"): 3},
        ),
        (
            ({("b", "a", "n", "a", "n", "a"): 3},),
            {("b", "a"): 3, ("a", "n"): 6, ("n", "a"): 6},
        ),
        (({("a",): 9},), {}),
    ],
    solution="""\
from collections import Counter


def count_pairs(words):
    pairs = Counter()
    for word, count in words.items():
        for pair in zip(word, word[1:]):
            pairs[pair] += count
    return pairs""",
    mistakes={
        "word_counts_ignored": """\
from collections import Counter


def count_pairs(words):
    return Counter(pair for word in words for pair in zip(word, word[1:]))""",
        "overwritten": """\
def count_pairs(words):
    pairs = {}
    for word, count in words.items():
        for pair in zip(word, word[1:]):
            pairs[pair] = count
    return pairs""",
        "every_second_pair": """\
from collections import Counter


def count_pairs(words):
    pairs = Counter()
    for word, count in words.items():
        for i in range(0, len(word) - 1, 2):
            pairs[word[i], word[i + 1]] += count
    return pairs""",
        "last_pair_missing": """\
from collections import Counter


def count_pairs(words):
    pairs = Counter()
    for word, count in words.items():
        for i in range(len(word) - 2):
            pairs[word[i], word[i + 1]] += count
    return pairs""",
        "across_words": """\
from collections import Counter


def count_pairs(words):
    symbols = []
    for word, count in words.items():
        symbols.extend(word * count)
    return Counter(zip(symbols, symbols[1:]))""",
    },
)

q3 = FunctionProblem(
    key="tokenization.merge_pair",
    cases=[
        ((["l", "o", "w", "e", "r"], ("l", "o")), ["lo", "w", "e", "r"]),
        ((["b", "a", "n", "a", "n", "a"], ("a", "n")), ["b", "an", "an", "a"]),
        ((["a", "a", "a"], ("a", "a")), ["aa", "a"]),
        ((["한", "국", "어"], ("국", "어")), ["한", "국어"]),
        ((["lo", "w", "e", "r"], ("o", "w")), ["lo", "w", "e", "r"]),
        ((["l", "o"], ("o", "l")), ["l", "o"]),
        ((["강"], ("강", "강")), ["강"]),
    ],
    solution="""\
def merge_pair(symbols, pair):
    merged, i = [], 0
    while i < len(symbols):
        if tuple(symbols[i : i + 2]) == pair:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return merged""",
    mistakes={
        "first_only": """\
def merge_pair(symbols, pair):
    for i in range(len(symbols) - 1):
        if (symbols[i], symbols[i + 1]) == pair:
            return symbols[:i] + [pair[0] + pair[1]] + symbols[i + 2 :]
    return symbols""",
        "right_half_kept": """\
def merge_pair(symbols, pair):
    merged = []
    for i in range(len(symbols)):
        if tuple(symbols[i : i + 2]) == pair:
            merged.append(pair[0] + pair[1])
        else:
            merged.append(symbols[i])
    return merged""",
        "text_replaced": """\
def merge_pair(symbols, pair):
    text = " ".join(symbols)
    return text.replace(" ".join(pair), "".join(pair)).split(" ")""",
        "nothing_merged": """\
def merge_pair(symbols, pair):
    merged, i = [], 0
    while i < len(symbols):
        if symbols[i : i + 2] == pair:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return merged""",
    },
)

q4 = FunctionProblem(
    key="tokenization.encode_word",
    # A pair is always learnt after the pairs that made its halves. So going through the ranks in
    # order and merging each pair everywhere is as right as searching the best pair again and again.
    cases=[
        ((["h", "e"], {("h", "e"): 0}), ["he"]),
        (
            (list("lower"), {("l", "o"): 0, ("lo", "w"): 1, ("e", "r"): 2, ("w", "e"): 3}),
            ["low", "er"],
        ),
        ((list("the"), {("h", "e"): 0, ("t", "he"): 1, ("t", "h"): 2}), ["the"]),
        (
            (["한", "국", "어", "를"], {("한", "국어"): 2, ("국", "어"): 0, ("한", "국"): 1}),
            ["한국어", "를"],
        ),
        ((["a", "a", "a"], {("a", "a"): 0}), ["aa", "a"]),
        ((["강"], {("국", "어"): 0}), ["강"]),
    ],
    solution="""\
def encode_word(symbols, ranks):
    symbols = list(symbols)
    while True:
        pairs = list(zip(symbols, symbols[1:]))
        known = [i for i, pair in enumerate(pairs) if pair in ranks]
        if not known:
            return symbols
        best = min(known, key=lambda i: ranks[pairs[i]])
        symbols[best : best + 2] = ["".join(pairs[best])]""",
    mistakes={
        "leftmost_first": """\
def encode_word(symbols, ranks):
    symbols, i = list(symbols), 0
    while i + 1 < len(symbols):
        if (symbols[i], symbols[i + 1]) in ranks:
            symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
            i = 0
        else:
            i += 1
    return symbols""",
        "one_merge": """\
def encode_word(symbols, ranks):
    pairs = list(zip(symbols, symbols[1:]))
    known = [i for i, pair in enumerate(pairs) if pair in ranks]
    if not known:
        return symbols
    best = min(known, key=lambda i: ranks[pairs[i]])
    return symbols[:best] + ["".join(pairs[best])] + symbols[best + 2 :]""",
        "highest_rank": """\
def encode_word(symbols, ranks):
    symbols = list(symbols)
    while True:
        pairs = list(zip(symbols, symbols[1:]))
        known = [i for i, pair in enumerate(pairs) if pair in ranks]
        if not known:
            return symbols
        best = max(known, key=lambda i: ranks[pairs[i]])
        symbols[best : best + 2] = ["".join(pairs[best])]""",
        "dictionary_order": """\
def encode_word(symbols, ranks):
    symbols = list(symbols)
    for pair in ranks:
        i = 0
        while i + 1 < len(symbols):
            if (symbols[i], symbols[i + 1]) == pair:
                symbols[i : i + 2] = ["".join(pair)]
            i += 1
    return symbols""",
    },
)

q5 = FunctionProblem(
    key="tokenization.byte_pieces",
    cases=[
        (("강",), ["<0xEA>", "<0xB0>", "<0x95>"]),
        (("é",), ["<0xC3>", "<0xA9>"]),
        (("😀",), ["<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]),
        (("\n",), ["<0x0A>"]),
        (("A",), ["<0x41>"]),
    ],
    solution="""\
def byte_pieces(character):
    return [f"<0x{byte:02X}>" for byte in character.encode("utf-8")]""",
    mistakes={
        "lower_case": """\
def byte_pieces(character):
    return [f"<0x{byte:02x}>" for byte in character.encode("utf-8")]""",
        "hex_function": """\
def byte_pieces(character):
    return [f"<{hex(byte)}>" for byte in character.encode("utf-8")]""",
        "code_point": """\
def byte_pieces(character):
    return [f"<0x{ord(character):02X}>"]""",
        "python_bytes": """\
def byte_pieces(character):
    return character.encode("utf-8")""",
        "python_spelling": """\
def byte_pieces(character):
    return [str(bytes([byte])) for byte in character.encode("utf-8")]""",
        "numbers": """\
def byte_pieces(character):
    return list(character.encode("utf-8"))""",
    },
)

q6 = FunctionProblem(
    key="tokenization.stream_text",
    cases=[
        (([b"Han", b" river"],), ["Han", " river"]),
        (([b"\xea", b"\xb0", b"\x95"],), ["", "", "강"]),
        (([b"\xec\x84\x9c\xec", b"\x9a\xb8!"],), ["서", "울!"]),
        (([b"caf", b"\xc3", b"\xa9 \xf0\x9f", b"\x98\x80"],), ["caf", "", "é ", "😀"]),
    ],
    solution="""\
import codecs


def stream_text(chunks):
    decoder = codecs.getincrementaldecoder("utf-8")()
    return [decoder.decode(chunk) for chunk in chunks]""",
    mistakes={
        "replaced": """\
def stream_text(chunks):
    return [chunk.decode("utf-8", errors="replace") for chunk in chunks]""",
        "ignored": """\
def stream_text(chunks):
    return [chunk.decode("utf-8", errors="ignore") for chunk in chunks]""",
        "waits_until_the_end": """\
def stream_text(chunks):
    return [b"".join(chunks).decode("utf-8")]""",
        "repeats": """\
import codecs


def stream_text(chunks):
    decoder = codecs.getincrementaldecoder("utf-8")()
    text, pieces = "", []
    for chunk in chunks:
        text += decoder.decode(chunk)
        pieces.append(text)
    return pieces""",
        "holds_back": """\
def stream_text(chunks):
    buffer, pieces = b"", []
    for chunk in chunks:
        buffer += chunk
        try:
            pieces.append(buffer.decode("utf-8"))
            buffer = b""
        except UnicodeDecodeError:
            pieces.append("")
    return pieces""",
    },
)

progress = Progress([q1, q2, q3, q4, q5, q6])
