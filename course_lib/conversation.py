"""A conversation as a chat service keeps it: its finished turns, and the reply on its way."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field

from course_lib.chat_template import Message
from course_lib.generation_usage import GenerationUsage


@dataclass(frozen=True)
class ReplyUsage:
    """What one reply has taken.

    Attributes
    ----------
    n_prompt, n_reused, n_new : int
        Tokens of the prompt, those of them that were in the model's cache, and new ones.
    n_forgotten : int
        Turns that were left out to make room.
    waiting_s, first_piece_s, total_s : float
        Until the model began with this reply, until the first piece came, and until the end: all
        counted from the moment the message came in.
    """

    n_prompt: int
    n_reused: int
    n_new: int
    n_forgotten: int
    waiting_s: float
    first_piece_s: float
    total_s: float


@dataclass(eq=False)
class Conversation:
    """What is remembered of a conversation.

    Attributes
    ----------
    turns : list of Reply
        Finished ones, the oldest first.
    usage : ReplyUsage or None
        Of the last reply.
    used_at : float
        When the last message came in, on the monotonic clock.
    """

    turns: list[Reply] = field(default_factory=list)
    usage: ReplyUsage | None = None
    used_at: float = 0.0

    def messages(self) -> list[Message]:
        """Return the turns as messages of user and assistant."""
        return [
            {"role": role, "content": content}
            for turn in self.turns
            for role, content in (("user", turn.message), ("assistant", turn.answer))
        ]

    def record(self, reply: Reply, usage: ReplyUsage) -> None:
        """Add a finished reply, and drop the turns that were forgotten for it."""
        self.usage = usage
        if reply.stopped.is_set():
            reply.answer = reply.shown
        if reply.answer:
            self.turns = [*self.turns[reply.n_forgotten :], reply]


@dataclass(eq=False)
class Reply:
    """A message and its answer, on the way from the worker thread to the event loop.

    Attributes
    ----------
    message : str
    options : dict
        The fields of `GenerationOptions`.
    items : asyncio.Queue
        Pieces of the answer; an exception or None ends it.
    stopped : threading.Event
        The consumer wants no more.
    shown, answer : str
        What the consumer has taken, and what the model has said.
    """

    message: str
    options: dict[str, object]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    items: asyncio.Queue[str | Exception | None] = field(default_factory=asyncio.Queue)
    stopped: threading.Event = field(default_factory=threading.Event)
    shown: str = ""
    answer: str = ""
    n_prompt: int = 0
    n_pieces: int = 0
    n_forgotten: int = 0
    asked_at: float = field(default_factory=time.monotonic)
    started_at: float = 0.0
    first_piece_at: float = 0.0

    def put(self, item: str | Exception | None) -> None:
        """Hand an item to the event loop; when that has ended, nobody listens any more."""
        if isinstance(item, str):
            self.first_piece_at = self.first_piece_at or time.monotonic()
            self.answer += item
            self.n_pieces += 1
        try:
            self.loop.call_soon_threadsafe(self.items.put_nowait, item)
        except RuntimeError:
            self.stopped.set()

    def stop(self, conversation: Conversation) -> None:
        """Keep of the answer what the consumer has seen; of an answer unseen, nothing."""
        self.stopped.set()
        if self in conversation.turns:  # the model was done before the consumer
            self.answer = self.shown
            if not self.shown:
                conversation.turns.remove(self)

    def usage(self, measured: GenerationUsage | None) -> ReplyUsage:
        """Sum up; what the model has not measured is counted here."""
        return ReplyUsage(
            n_prompt=measured.n_prompt if measured else self.n_prompt,
            n_reused=measured.n_reused if measured else 0,
            n_new=measured.n_new if measured else self.n_pieces,
            n_forgotten=self.n_forgotten,
            waiting_s=self.started_at - self.asked_at,
            first_piece_s=(self.first_piece_at or time.monotonic()) - self.asked_at,
            total_s=time.monotonic() - self.asked_at,
        )
