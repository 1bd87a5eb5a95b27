"""Keep a conversation within a budget of tokens: the oldest turns go first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from course_lib.chat_template import Message


class MessageTooLongError(ValueError):
    """A message that does not fit even when everything before it is forgotten.

    Attributes
    ----------
    n_tokens, budget : int
        What must be kept has so many tokens, and may have so many.
    """

    def __init__(self, n_tokens: int, budget: int) -> None:
        super().__init__(
            f"the newest message, with the system prompt if there is one, has {n_tokens} tokens, "
            f"and there is room for {budget}. Shorten it, or send it in parts."
        )
        self.n_tokens, self.budget = n_tokens, budget


def trim_history(
    messages: Sequence[Message], budget: int, count_tokens: Callable[[str], int]
) -> list[Message]:
    """Leave out the oldest turns of a conversation until its contents fit into a budget.

    A system message at the beginning and the newest message are always kept, and what is kept of
    the rest begins with a user's message. Nothing is shortened.

    Parameters
    ----------
    messages : sequence of {"role": ..., "content": ...}
    budget : int
        Tokens that all contents may have together. The control tokens between them are not
        counted here, because they depend on the model.
    count_tokens : callable from str to int
        Such as `LocalLLM.count_tokens`.

    Returns
    -------
    list of messages

    Raises
    ------
    MessageTooLongError
        When the system message and the newest one do not fit by themselves.

    Examples
    --------
    >>> talk = [
    ...     {"role": "user", "content": "I am Mina"},
    ...     {"role": "assistant", "content": "Hello Mina"},
    ...     {"role": "user", "content": "Who am I"},
    ... ]
    >>> trim_history(talk, 5, lambda text: len(text.split()))
    [{'role': 'user', 'content': 'Who am I'}]
    """
    counts = {id(message): count_tokens(message["content"]) for message in messages}
    return trim_turns(messages, budget, lambda kept: sum(counts[id(m)] for m in kept))


def trim_turns(
    messages: Sequence[Message], budget: int, count: Callable[[Sequence[Message]], int]
) -> list[Message]:
    """As `trim_history`, with a function that counts the tokens of a whole conversation."""
    n_system = 1 if messages and messages[0]["role"] == "system" else 0
    system, turns = list(messages[:n_system]), list(messages[n_system:])
    while (n_tokens := count([*system, *turns])) > budget:
        later_turns = [i for i, m in enumerate(turns) if i and m["role"] == "user"]
        if not later_turns:
            raise MessageTooLongError(n_tokens, budget)
        turns = turns[later_turns[0] :]
    return system + turns
