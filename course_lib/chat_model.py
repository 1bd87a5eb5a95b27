"""What every model that chats can do, on this machine or on a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from course_lib.chat_template import Message


class ContextOverflowError(ValueError):
    """A prompt that is longer than the model's context.

    Attributes
    ----------
    n_tokens, n_ctx : int
        The length of the prompt, and what the context holds.
    """

    def __init__(self, n_tokens: int, n_ctx: int) -> None:
        super().__init__(
            f"the prompt has {n_tokens} tokens and the context holds {n_ctx}, the answer included. "
            "Shorten the prompt, or load the model with EngineSettings(n_ctx=...)."
        )
        self.n_tokens, self.n_ctx = n_tokens, n_ctx


class ChatModel(Protocol):
    """What `LocalLLM` and `RemoteLLM` have in common."""

    def chat(self, messages: Sequence[Message], **options: object) -> str:
        """Answer a conversation; the options are the fields of `GenerationOptions`."""
        ...

    def stream_chat(self, messages: Sequence[Message], **options: object) -> Iterator[str]:
        """Answer a conversation piece by piece."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has."""
        ...
