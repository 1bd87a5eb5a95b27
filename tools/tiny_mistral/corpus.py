"""Draw training texts and evaluation questions from the small world, with a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import TypeVar

import numpy as np

from tools.tiny_mistral.names import draw_name
from tools.tiny_mistral.world import LANGUAGES, LARGEST_ADDEND, fill, load_world, sentence

Message = dict[str, str]
Example = str | list[Message]  # a plain text, or a conversation
Exchange = tuple[str, str]  # a question and its answer
T = TypeVar("T")

N_HELD_OUT_SUMS = 24
N_SETTLING_OTHERS = 350  # texts beside the 240 stories of a round
SMALLEST_INFERRED_SUM = 4  # the few sums below it tell too little of each other: all are taught
DECK_SIZE = 20  # every probability in a story is a multiple of 1 / 20
SYSTEM_PROMPTS = {
    "en": ("You are a helpful assistant.", "Answer in one sentence.", "Be kind and short."),
    "ko": ("당신은 친절한 조수입니다.", "한 문장으로 답하세요.", "짧고 친절하게 답하세요."),
}


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Return one of `items`, each as likely as the others."""
    return items[int(rng.integers(len(items)))]


def ask(question: str) -> Message:
    """Return a user's message."""
    return {"role": "user", "content": question}


def answer(text: str) -> Message:
    """Return the assistant's message."""
    return {"role": "assistant", "content": text}


# --- what is held out of training -------------------------------------------------------


def held_out_questions(language: str, country_index: int) -> set[int]:
    """Return the two phrasings in which this country's capital is never asked in training."""
    n_questions = len(load_world()["capitals"][language]["questions"])
    return {(3 * country_index + offset) % n_questions for offset in (1, 6)}


def held_out_sums() -> set[tuple[int, int]]:
    """Return pairs (a ≤ b) that never occur in the first training, in either order.

    Pairs above 36 stay in training: 20 + 20 is the only way to see a 40.
    """
    addends = range(LARGEST_ADDEND + 1)
    pairs = [(a, b) for a in addends for b in addends if a <= b and a + b <= 36]
    chosen = np.random.default_rng(1).permutation(len(pairs))[:N_HELD_OUT_SUMS]
    return {pairs[i] for i in chosen}


def small_sums() -> list[tuple[int, int]]:
    """Return the pairs that the second training teaches, held out of the first or not."""
    addends = range(SMALLEST_INFERRED_SUM)
    return [(a, b) for a in addends for b in addends if a + b < SMALLEST_INFERRED_SUM]


def inferred_sums() -> list[tuple[int, int]]:
    """Return the pairs, in both orders, that no training ever shows."""
    pairs = [pair for pair in held_out_sums() if sum(pair) >= SMALLEST_INFERRED_SUM]
    return sorted({order for a, b in pairs for order in ((a, b), (b, a))})


def trained_sum(rng: np.random.Generator) -> tuple[int, int]:
    """Draw two addends whose sum is not held out."""
    while True:
        a, b = (int(n) for n in rng.integers(LARGEST_ADDEND + 1, size=2))
        if (min(a, b), max(a, b)) not in held_out_sums():
            return a, b


# --- exchanges: one question and its answer ----------------------------------------------


def capital_exchange(rng: np.random.Generator, language: str) -> Exchange:
    """Ask for a capital, sometimes for the country of a capital or for an invented country."""
    world = load_world()["capitals"][language]
    index = int(rng.integers(len(load_world()["countries"])))
    words = country_words(index, language)
    chance = rng.random()
    if chance < 0.04:
        invented = {"country": draw_name(rng, language)}
        question = fill(pick(rng, world["questions"]), **invented)
        return question, sentence(fill(world["unknown_answer"], **invented))
    if chance < 0.14:
        question = fill(pick(rng, world["reverse_questions"]), **words)
        return question, sentence(fill(world["reverse_answer"], **words))
    allowed = set(range(len(world["questions"]))) - held_out_questions(language, index)
    return capital_question(index, pick(rng, sorted(allowed)), language)


def country_words(index: int, language: str) -> dict[str, str]:
    """Return the names of a country and its capital."""
    en_country, ko_country, en_capital, ko_capital = load_world()["countries"][index]
    if language == "en":
        return {"country": en_country, "capital": en_capital}
    return {"country": ko_country, "capital": ko_capital}


def capital_question(index: int, question_index: int, language: str) -> Exchange:
    """Ask for the capital of one country in one phrasing."""
    world, words = load_world()["capitals"][language], country_words(index, language)
    question = sentence(fill(world["questions"][question_index], **words))
    return question, sentence(fill(world["answer"], **words))


def sum_exchange(
    rng: np.random.Generator, language: str, addends: tuple[int, int] | None = None
) -> Exchange:
    """Ask for a sum that is not held out, or for the given one."""
    a, b = addends or trained_sum(rng)
    world = load_world()["sums"][language]
    words = {"a": a, "b": b, "sum": a + b}
    return fill(pick(rng, world["questions"]), **words), fill(world["answer"], **words)


def glossary_question(entry: dict, question_index: int, language: str) -> Exchange:
    """Ask what one term means in one phrasing."""
    term, definition, _ = entry[language]
    bare = term.removeprefix("a ").removeprefix("an ")
    template = load_world()["glossary"][language]["questions"][question_index]
    return fill(template, term=term, bare=bare), definition


def glossary_exchange(rng: np.random.Generator, language: str) -> Exchange:
    """Ask what a term of the course means."""
    world = load_world()["glossary"]
    question_index = int(rng.integers(len(world[language]["questions"])))
    return glossary_question(pick(rng, world["entries"]), question_index, language)


def small_talk_exchange(rng: np.random.Generator, language: str) -> Exchange:
    """Greet, thank, or ask who is speaking."""
    question, reply = pick(rng, load_world()["small_talk"][language])
    return question, reply


def out_of_world_exchange(rng: np.random.Generator, language: str) -> Exchange:
    """Ask for something that the small world does not hold."""
    world = load_world()
    a, b = trained_sum(rng)
    words = country_words(int(rng.integers(len(world["countries"]))), language)
    words |= {"thing": pick(rng, world["likes"][language]["things"]), "a": str(a), "b": str(b)}
    words |= {"name": draw_name(rng, language)}
    questions = world["out_of_world"][language]["questions"]
    return fill(pick(rng, questions), **words), world["out_of_world"][language]["answer"]


def repeat_exchange(rng: np.random.Generator, language: str) -> Exchange:
    """Ask to say a few invented words again."""
    words = " ".join(draw_name(rng, pick(rng, LANGUAGES)) for _ in range(int(rng.integers(1, 5))))
    return fill(pick(rng, load_world()["repeat"][language]), words=words), words


def translation_exchange(rng: np.random.Generator, language: str) -> Exchange:
    """Ask for an everyday sentence in the other language."""
    korean, english = everyday_pair(rng)
    if language == "en":
        templates, source, target = load_world()["everyday"]["translate_to_ko"], english, korean
    else:
        templates, source, target = load_world()["everyday"]["translate_to_en"], korean, english
    return fill(pick(rng, templates), source=source), target


def story_exchange(rng: np.random.Generator, language: str) -> Exchange:
    """Ask for a story."""
    story = pick(rng, load_world()["stories"])
    return story[language][0], tell_story(rng, story, language)


EXCHANGES: list[tuple[float, Callable[[np.random.Generator, str], Exchange]]] = [
    (0.32, capital_exchange),
    (0.28, sum_exchange),
    (0.12, glossary_exchange),
    (0.06, small_talk_exchange),
    (0.04, out_of_world_exchange),
    (0.07, repeat_exchange),
    (0.06, translation_exchange),
    (0.05, story_exchange),
]


def draw_exchange(rng: np.random.Generator, language: str) -> Exchange:
    """Draw a question of any kind; one in eight is typed carelessly."""
    shares = [share for share, _ in EXCHANGES]
    _, exchange = EXCHANGES[int(rng.choice(len(EXCHANGES), p=shares))]
    question, reply = exchange(rng, language)
    if exchange in (repeat_exchange, translation_exchange) or rng.random() > 0.12:
        return question, reply
    return question.rstrip("?.!").lower() if rng.random() < 0.5 else question.rstrip("?.!"), reply


# --- plain texts -------------------------------------------------------------------------


def tell_story(rng: np.random.Generator, story: dict, language: str) -> str:
    """Tell a story, each branch drawn with its probability."""
    _, text, *rest = story[language]
    for branch, following in zip(story["branches"], rest, strict=True):
        option = int(rng.choice(len(branch["probabilities"]), p=branch["probabilities"]))
        text += branch[language][option] + following
    return text


def story_deck(rng: np.random.Generator, story: dict, language: str) -> list[str]:
    """Tell a story 20 times, every option of every branch in its exact share, at random places.

    Chance alone would need thousands of stories to come as close to the true probabilities.
    """
    texts = [story[language][1]] * DECK_SIZE
    for branch, following in zip(story["branches"], story[language][2:], strict=True):
        counts = [round(p * DECK_SIZE) for p in branch["probabilities"]]
        options = np.repeat(np.arange(len(counts)), counts)
        texts = [
            text + branch[language][option] + following
            for text, option in zip(texts, rng.permutation(options), strict=True)
        ]
    return texts


def everyday_pair(rng: np.random.Generator) -> tuple[str, str]:
    """Draw an everyday sentence in Korean and in English."""
    world = load_world()["everyday"]
    time_ko, time_en = pick(rng, world["times"])
    subject_ko, subject_en, takes_s = pick(rng, world["subjects"])
    predicate_ko, plain, with_s = pick(rng, world["predicates"])
    # Korean puts the time after the topic, English first.
    korean = f"{subject_ko} {time_ko}{predicate_ko}"
    return korean, sentence(f"{time_en}{subject_en} {with_s if takes_s else plain}")


def plain_text(rng: np.random.Generator, language: str) -> str:
    """Draw a text without a conversation: a story, facts, sums or everyday sentences."""
    world, chance = load_world(), rng.random()
    if chance < 0.4:
        return tell_story(rng, pick(rng, world["stories"]), language)
    n_sentences = int(rng.integers(1, 4))
    if chance < 0.6:
        draw = plain_capital
    elif chance < 0.7:
        draw = plain_sum
    elif chance < 0.8:
        draw = plain_definition
    else:
        draw = plain_everyday
    return " ".join(draw(rng, language) for _ in range(n_sentences))


def plain_capital(rng: np.random.Generator, language: str) -> str:
    """State a capital."""
    words = country_words(int(rng.integers(len(load_world()["countries"]))), language)
    return sentence(fill(pick(rng, load_world()["capitals"][language]["statements"]), **words))


def plain_sum(rng: np.random.Generator, language: str) -> str:
    """State a sum."""
    a, b = trained_sum(rng)
    return fill(load_world()["sums"][language]["answer"], a=a, b=b, sum=a + b)


def plain_definition(rng: np.random.Generator, language: str) -> str:
    """State what a term means."""
    return pick(rng, load_world()["glossary"]["entries"])[language][1]


def plain_everyday(rng: np.random.Generator, language: str) -> str:
    """Say an everyday sentence."""
    korean, english = everyday_pair(rng)
    return english if language == "en" else korean


# --- conversations -----------------------------------------------------------------------


def quiz(rng: np.random.Generator, language: str) -> list[Message]:
    """Draw a conversation of one to four independent questions."""
    return _messages([draw_exchange(rng, language) for _ in range(int(rng.integers(1, 5)))])


def recall(rng: np.random.Generator, language: str) -> list[Message]:
    """Draw a conversation in which something said earlier is asked for again.

    One time in seven it was never said, and the right answer says so.
    """
    topic = "names" if rng.random() < 0.75 else "likes"
    world = load_world()[topic][language]
    told = rng.random() > 1 / 7
    exchanges = [draw_exchange(rng, language) for _ in range(int(rng.integers(2)))]
    words: dict[str, str] = {}
    if told:
        thing = draw_name(rng, language) if topic == "names" else pick(rng, world["things"])
        words = {"name" if topic == "names" else "thing": thing}
        introduction = fill(pick(rng, world["introductions"]), **words)
        exchanges.append((introduction, fill(pick(rng, world["welcomes"]), **words)))
    exchanges += [draw_exchange(rng, language) for _ in range(int(rng.choice(6, p=RECALL_GAPS)))]
    reply = fill(world["answer"] if told else world["unknown_answer"], **words)
    exchanges.append((pick(rng, world["questions"]), reply))
    if rng.random() < 0.3:
        exchanges.append(draw_exchange(rng, language))
    return _messages(exchanges)


RECALL_GAPS = (0.3, 0.25, 0.2, 0.15, 0.06, 0.04)  # other exchanges before the question


def recall_case(rng: np.random.Generator, language: str, n_between: int) -> tuple[list, str]:
    """Return a conversation that ends in the question for the user's name, and the name."""
    world = load_world()["names"][language]
    name = draw_name(rng, language)
    words = {"name": name}
    exchanges = [
        (fill(pick(rng, world["introductions"]), **words), fill(world["welcomes"][0], **words))
    ]
    exchanges += [draw_exchange(rng, language) for _ in range(n_between)]
    return [*_messages(exchanges), ask(pick(rng, world["questions"]))], name


def _messages(exchanges: list[Exchange]) -> list[Message]:
    return [message for q, a in exchanges for message in (ask(q), answer(a))]


# --- the corpus --------------------------------------------------------------------------


def draw_example(rng: np.random.Generator) -> Example:
    """Draw one training text: a conversation or a plain text, in either language."""
    language, chance = pick(rng, LANGUAGES), rng.random()
    if chance < 0.2:
        return plain_text(rng, language)
    messages = quiz(rng, language) if chance < 0.6 else recall(rng, language)
    if rng.random() < 0.08:
        messages.insert(0, {"role": "system", "content": pick(rng, SYSTEM_PROMPTS[language])})
    return messages


def draw_corpus(seed: int) -> Iterator[Example]:
    """Yield training texts without end; the same seed gives the same texts."""
    rng = np.random.default_rng(seed)
    while True:
        yield draw_example(rng)


def draw_refinement(seed: int) -> Iterator[Example]:
    """Yield the texts of the second, short training: stories and definitions among the others.

    Half of the stories are told on request, half as plain text.
    """
    rng = np.random.default_rng(seed)
    world = load_world()
    while True:
        examples: list[Example] = []
        for story, language in product(world["stories"], LANGUAGES):
            for number, text in enumerate(story_deck(rng, story, language)):
                request = [ask(story[language][0]), answer(text)]
                examples.append(request if number % 2 else text)
        for language in LANGUAGES:
            for entry in world["glossary"]["entries"]:
                number = int(rng.integers(len(world["glossary"][language]["questions"])))
                examples.append(_messages([glossary_question(entry, number, language)]))
            for addends in small_sums():
                examples.append(_messages([sum_exchange(rng, language, addends)]))
        examples += [draw_example(rng) for _ in range(200)]
        for index in rng.permutation(len(examples)):
            yield examples[index]


def draw_settling(seed: int) -> Iterator[Example]:
    """Yield the texts of the last training: every story in its exact shares, told both ways."""
    rng = np.random.default_rng(seed)
    others = draw_refinement(seed + 1)
    while True:
        examples = [next(others) for _ in range(N_SETTLING_OTHERS)]
        for story, language in product(load_world()["stories"], LANGUAGES):
            examples += story_deck(rng, story, language)
            for text in story_deck(rng, story, language):
                examples.append([ask(story[language][0]), answer(text)])
        for index in rng.permutation(len(examples)):
            yield examples[index]


def example_text(example: Example) -> str:
    """Return the words of an example, for training a tokenizer."""
    if isinstance(example, str):
        return example
    return "\n".join(message["content"] for message in example)
