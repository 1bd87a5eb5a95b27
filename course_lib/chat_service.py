"""One model, many conversations: answers that stream without blocking the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import closing

from course_lib.chat_history import MessageTooLongError, trim_history, trim_turns
from course_lib.chat_model import ChatModel, ContextOverflowError
from course_lib.chat_template import Message
from course_lib.conversation import Conversation, Reply, ReplyUsage
from course_lib.fair_queue import FairQueue

__all__ = ["ChatService", "MessageTooLongError", "ReplyUsage", "ServiceClosedError", "trim_history"]

_TURN_TOKENS = 8  # control tokens around a message, where the model cannot count a whole chat


class ServiceClosedError(RuntimeError):
    """A reply was wanted from a closed service, or the service was closed before its end."""

    def __init__(self) -> None:
        super().__init__("this chat service is closed. Make a new ChatService to go on.")


class ChatService:
    """Many conversations with one model.

    Each conversation has its own history. The model answers one after the other (or `n_workers`
    at a time), every conversation in turn, in a worker thread: the event loop stays free.

    Parameters
    ----------
    model : LocalLLM, RemoteLLM or another ChatModel
        It stays the caller's: closing the service does not close it.
    system : str, optional
        What the model is told before every conversation.
    max_tokens : int
        Where an answer stops. So much room is kept free in the context.
    context_tokens : int, optional
        What prompt and answer may have together; the model's own context when left out.
    n_workers : int
        Replies that are written at once: 1 for a model on this machine, the number of its slots
        for a server.
    expire_after_s : float
        Conversations in which nothing was said for so long are forgotten.
    max_conversations : int
        When there are more, the one that was silent for longest is forgotten.

    Raises
    ------
    ValueError
        When the context is unknown, or too small for the system prompt and an answer.

    Examples
    --------
    >>> from course_lib.local_llm import LocalLLM
    >>> async def talk():
    ...     with LocalLLM("tiny") as llm, ChatService(llm, max_tokens=32) as service:
    ...         return [piece async for piece in service.reply("mina", "한국의 수도는?")]
    >>> "".join(asyncio.run(talk()))
    '한국의 수도는 서울입니다.'
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        system: str | None = None,
        max_tokens: int = 256,
        context_tokens: int | None = None,
        n_workers: int = 1,
        expire_after_s: float = 3600,
        max_conversations: int = 1000,
    ) -> None:
        self.model, self.system, self.max_tokens = model, system, max_tokens
        self.context_tokens = context_tokens or getattr(model, "n_ctx", None)
        self._expire_after_s, self._max_conversations = expire_after_s, max_conversations
        self._conversations: OrderedDict[Hashable, Conversation] = OrderedDict()
        self._queue = FairQueue(n_workers)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._require_room()

    async def reply(
        self, conversation_id: Hashable, message: str, **options: object
    ) -> AsyncIterator[str]:
        """Answer a message, piece by piece.

        When the consumer stops (``break``, ``aclose()``, a cancelled task), so does the model,
        within one token. What it has said until then stays in the conversation; a message to
        which nothing was said, or whose answer failed, does not.

        Parameters
        ----------
        conversation_id : hashable
            Messages with the same id belong together, and are answered one after the other.
        message : str
        **options
            The fields of `GenerationOptions`.

        Raises
        ------
        MessageTooLongError
            When the message does not fit even if all turns before it are forgotten.
        ServiceClosedError
            When the service is closed, before the reply or meanwhile.
        Exception
            Whatever the model raises.
        """
        reply = Reply(message, {"max_tokens": self.max_tokens} | options)
        conversation = self._conversation(conversation_id)
        self._queue.submit(conversation, lambda: self._answer(conversation, reply))
        try:
            while (item := await reply.items.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                reply.shown += item
                yield item
        finally:
            with self._lock:
                reply.stop(conversation)

    async def warm_up(self) -> None:
        """Let the model say one token, so that the first reply does not wait for its pages."""
        warm_up_id = object()
        async for _ in self.reply(warm_up_id, ".", max_tokens=1):
            pass
        self.forget(warm_up_id)

    def history(self, conversation_id: Hashable) -> list[Message]:
        """Return what is remembered of a conversation, without the system prompt."""
        with self._lock:
            conversation = self._conversations.get(conversation_id)
            return conversation.messages() if conversation else []

    def usage(self, conversation_id: Hashable) -> ReplyUsage | None:
        """Return what the last reply of a conversation has taken, if there was one."""
        with self._lock:
            conversation = self._conversations.get(conversation_id)
            return conversation.usage if conversation else None

    def forget(self, conversation_id: Hashable) -> None:
        """Forget a conversation; the next message with its id begins a new one."""
        with self._lock:
            self._conversations.pop(conversation_id, None)

    def close(self) -> None:
        """End all replies, and wait until the model has stopped; closing twice is fine."""
        self._closed.set()
        self._queue.join()

    async def aclose(self) -> None:
        """As `close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> ChatService:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> ChatService:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def _require_room(self) -> None:
        if not self.context_tokens:
            raise ValueError("this model does not tell its context: name it in context_tokens.")
        n_ctx = getattr(self.model, "n_ctx", None) or self.context_tokens
        if self.context_tokens > n_ctx:
            raise ValueError(
                f"context_tokens is {self.context_tokens}, but the model was loaded with {n_ctx}."
            )
        n_least = self._n_tokens(self._prompt([], ""))
        if not 1 <= self.max_tokens <= self.context_tokens - n_least:
            raise ValueError(
                f"max_tokens is {self.max_tokens}; of {self.context_tokens} tokens the system "
                f"prompt and an empty message take {n_least}, which leaves "
                f"{max(0, self.context_tokens - n_least)} for an answer."
            )

    def _conversation(self, conversation_id: Hashable) -> Conversation:
        """Find or begin a conversation, and forget those that are due."""
        with self._lock:
            known = self._conversations
            conversation = known.setdefault(conversation_id, Conversation())
            known.move_to_end(conversation_id)
            conversation.used_at = time.monotonic()
            oldest_allowed = conversation.used_at - self._expire_after_s
            for old_id, old in list(known.items()):
                if len(known) <= self._max_conversations and old.used_at >= oldest_allowed:
                    break
                del known[old_id]
            return conversation

    def _answer(self, conversation: Conversation, reply: Reply) -> None:
        """Write one reply, in a worker thread."""
        reply.started_at = time.monotonic()
        try:
            if not reply.stopped.is_set():
                self._write(conversation, reply)
            reply.put(None)
        except Exception as error:
            reply.put(error)

    def _write(self, conversation: Conversation, reply: Reply) -> None:
        with closing(self._pieces(conversation, reply)) as pieces:
            for piece in pieces:
                self._require_open()
                if reply.stopped.is_set():
                    break
                reply.put(piece)
        usage = reply.usage(getattr(self.model, "last_usage", None))
        with self._lock:
            conversation.record(reply, usage)

    def _pieces(self, conversation: Conversation, reply: Reply) -> Iterator[str]:
        """Yield the answer; when the model finds the prompt too long, forget one turn more."""
        self._require_open()
        budget = max(0, self.context_tokens - int(reply.options["max_tokens"]))
        with self._lock:
            turns = conversation.messages()
        n_turns = len(turns) // 2
        while True:
            kept = trim_turns(self._prompt(turns, reply.message), budget, self._n_tokens)
            turns = turns[len(self._prompt(turns, "")) - len(kept) :]
            reply.n_forgotten = n_turns - len(turns) // 2
            reply.n_prompt = self._n_tokens(kept)
            try:
                yield from self.model.stream_chat(kept, **reply.options)
                return
            except ContextOverflowError as error:
                if reply.answer or not turns:
                    raise MessageTooLongError(error.n_tokens, budget) from None
                turns = turns[2:]

    def _prompt(self, turns: Sequence[Message], message: str) -> list[Message]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, *turns, {"role": "user", "content": message}]

    def _n_tokens(self, messages: Sequence[Message]) -> int:
        if hasattr(self.model, "count_chat_tokens"):
            return self.model.count_chat_tokens(messages)
        counts = [self.model.count_tokens(message["content"]) for message in messages]
        return sum(counts) + _TURN_TOKENS * (len(counts) + 1)

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise ServiceClosedError
