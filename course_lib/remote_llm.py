"""Use a model on a server as if it were on this machine: any OpenAI-compatible server will do."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cached_property, lru_cache
from numbers import Integral, Real
from typing import Any

from course_lib.chat_template import Message, read_turns
from course_lib.engine_options import GenerationOptions
from course_lib.generation_usage import GenerationUsage
from course_lib.remote_errors import (
    ClientMissingError,
    ConnectionLostError,
    RemoteContextOverflowError,
    RemoteError,
    RequestRefusedError,
)
from course_lib.stop_strings import until_stop
from course_lib.tokenizer import require_valid_unicode

# Not every server takes these. repeat_penalty is llama.cpp's name, repetition_penalty vLLM's
_OPTIONAL = {"top_k", "min_p", "repeat_penalty", "repetition_penalty", "seed", "stream_options"}


class RemoteLLM:
    """A model behind an OpenAI-compatible server, with the methods of `LocalLLM`.

    Several threads may ask at once; how many texts are written at a time is the server's matter.
    A consumer that stops iterating closes the connection, and the server stops as well.

    Parameters
    ----------
    base_url : str
        Such as ``"http://127.0.0.1:8000/v1"``, with or without ``/v1``.
    model : str
        What the server calls it; servers with a single model take any name.
    api_key : str, optional
        Sent to this address only. No message shows it, and no log of what was sent.
    timeout_s, connect_timeout_s : float
        How long the server may send nothing, and how long it may take until it is there.
    max_retries : int
        How often a request is sent again when nobody was there, or when the server failed or was
        busy, unless it asks for a pause of more than 10 s. An answer that has begun is never
        asked for again.

    Attributes
    ----------
    last_usage : GenerationUsage or None
        Of the text that this thread has had last. The tokens are the server's count; when it
        sends none, as `llama_cpp.server`, or when a stop string ended the text, the pieces are
        counted instead, and `n_prompt` is 0. The seconds include the network and the queue.
    token_counter : str or None
        The address that `count_tokens` asks, or ``"bytes"`` for an upper bound; None before.

    Raises
    ------
    ValueError
        When the address, the key, or a number makes no sense.
    ClientMissingError
        When the package `openai` is not installed.

    Notes
    -----
    What a user types must not become a control token. `LocalLLM` guarantees it; here the server
    decides. `generate` and `stream` send ids instead of text to servers that have ``/tokenize``,
    such as llama.cpp's own, and there a ``</s>`` in a prompt is four characters.
    `llama_cpp.server` takes no ids, and reads it as the end of a text. In a chat, both put the
    contents into the model's template and then read ``[/INST]`` in a user's message as the end of
    the user's turn. Where that matters, remove such marks before you send a message.

    `llama_cpp.server` writes one text at a time. Started as it is, it breaks an answer off when
    the next request comes; with ``--interrupt_requests false`` the next one waits.

    Examples
    --------
    >>> with RemoteLLM("http://127.0.0.1:9/v1", "tiny", max_retries=0) as llm:
    ...     llm.generate("한국의 수도는")
    Traceback (most recent call last):
    course_lib.remote_errors.ServerUnreachableError: nobody answers at http://127.0.0.1:9: ...
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        timeout_s: float = 60.0,
        connect_timeout_s: float = 5.0,
        max_retries: int = 2,
    ) -> None:
        try:
            from course_lib.remote_client import RemoteClient
        except ModuleNotFoundError as error:
            raise ClientMissingError(
                f"RemoteLLM needs the package {error.name}, which is not installed. `make lab` "
                "installs it; by hand: pip install --editable '.[serve]'."
            ) from None
        if not isinstance(model, str) or not model:
            raise ValueError(f"model={model!r} is not the name of a model.")
        require_valid_unicode(model)
        self._client = RemoteClient(base_url, api_key, timeout_s, connect_timeout_s, max_retries)
        self.base_url, self.model = f"{self._client.root}/v1", model
        self.token_counter: str | None = None
        self._local = threading.local()
        self._refused: set[str] = set()  # fields that this server does not take
        self._has_tokenize = True
        self._counted = lru_cache(maxsize=1024)(self._count)  # ChatService counts often

    def __repr__(self) -> str:
        return f"RemoteLLM({self.base_url!r}, {self.model!r})"

    @property
    def last_usage(self) -> GenerationUsage | None:
        """What the last text of this thread has taken."""
        return getattr(self._local, "usage", None)

    @cached_property
    def n_ctx(self) -> int | None:
        """Tokens that prompt and answer may have together; None if the server does not say it."""
        settings = self._client.told("/props").get("default_generation_settings")
        found = [settings.get("n_ctx")] if isinstance(settings, dict) else []  # llama.cpp
        models = self._client.told("/v1/models").get("data") if not found else ()
        for model in models if isinstance(models, list) else ():  # vLLM
            if isinstance(model, dict) and model.get("id") == self.model:
                found.append(model.get("max_model_len"))
        return next((n_ctx for n_ctx in found if isinstance(n_ctx, int)), None)

    def generate(self, prompt: str, **options: object) -> str:
        """Continue `prompt` and return the new text.

        The options are the fields of `GenerationOptions`. Stop strings are looked for here,
        because servers disagree about them. A server that refuses `top_k`, `min_p`,
        `repeat_penalty` or `seed` is asked without them, unless you have set the option.

        Raises
        ------
        RemoteError
            One of `course_lib.remote_errors`: the name says what went wrong.
        TokenizerError
            When the prompt is not valid text; nothing is sent then.
        """
        return "".join(self.stream(prompt, **options))

    def stream(self, prompt: str, **options: object) -> Iterator[str]:
        """As `generate`, but yield the text piece by piece as it comes."""
        require_valid_unicode(prompt)
        return self._stream("/v1/completions", {"prompt": prompt}, options)

    def chat(self, messages: Sequence[Message], **options: object) -> str:
        """Answer a conversation and return the answer, without a space before it.

        Messages and options are those of `LocalLLM.chat`, the errors those of `generate`, and
        ChatFormatError when the messages are not a chat.
        """
        return "".join(self.stream_chat(messages, **options))

    def stream_chat(self, messages: Sequence[Message], **options: object) -> Iterator[str]:
        """As `chat`, but yield the answer piece by piece as it comes."""
        system, turns = read_turns(messages)
        turns = [("system", system), *turns] if system is not None else turns
        for _, content in turns:
            require_valid_unicode(content)
        chat = [{"role": role, "content": content} for role, content in turns]
        return self._stream("/v1/chat/completions", {"messages": chat}, options)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens `text` has, without the begin-of-sequence token.

        The server is asked. Where it cannot count, as OpenAI's, this is an upper bound: one more
        than the bytes of the text in UTF-8, since a token is a byte or more.
        """
        require_valid_unicode(text)
        self._client.require_open()
        return self._counted(text) if text else 0

    def close(self) -> None:
        """End what is being written; a closed model can no longer be used. Twice is fine.

        Only a thread that pauses before it asks a busy server again finishes its pause first.
        """
        self._client.close()

    def __enter__(self) -> RemoteLLM:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _stream(self, path: str, content: dict[str, Any], options: dict) -> Iterator[str]:
        settings = GenerationOptions.from_names(options)
        self._client.require_open()
        chosen = {*options, "repetition_penalty"} if "repeat_penalty" in options else {*options}
        return self._text(path, content, settings, chosen)

    def _text(
        self, path: str, content: dict[str, Any], settings: GenerationOptions, chosen: set[str]
    ) -> Iterator[str]:
        if not settings.max_tokens:  # some servers take 0 for "no limit"
            return
        prompt = content.get("prompt")
        ids = self._ids(prompt, add_bos=True) if prompt else None
        body = {"model": self.model} | content | ({"prompt": ids} if ids else {})
        pieces = self._pieces(path, body | _option_fields(settings), chosen, drop_space=not prompt)
        try:
            with closing(pieces):
                yield from until_stop(pieces, settings.stops)
        except RemoteContextOverflowError as error:
            if error.n_tokens is None:
                texts = [m["content"] for m in content.get("messages", ())] or [prompt]
                error.n_tokens = sum(self.count_tokens(text) for text in texts)
            raise

    def _pieces(
        self, path: str, body: dict[str, Any], chosen: set[str], drop_space: bool
    ) -> Iterator[str]:
        """Yield the pieces of one answer, and keep its account."""
        usage, received = GenerationUsage(n_prompt=0), []
        has_begun = has_ended = False
        started_s = time.perf_counter()
        try:
            for piece, ends_text, account in self._events(path, body, chosen):
                has_begun, has_ended = True, has_ended or ends_text
                if piece:
                    received.append(piece)
                    usage.n_new, elapsed_s = len(received), time.perf_counter() - started_s
                    usage.first_token_s = usage.first_token_s or elapsed_s
                    usage.decode_s = elapsed_s - usage.first_token_s
                for name, count in account.items():
                    setattr(usage, name, count)
                self._local.usage = usage
                if drop_space and len(received) == 1:  # LocalLLM leaves it out as well
                    piece = piece.removeprefix(" ")
                if piece:
                    yield piece
            if not has_ended:
                raise ConnectionLostError(
                    "the server ended its answer before it was complete. What came until then is "
                    "in the attribute received. llama_cpp.server does this when another request "
                    "comes, unless it was started with --interrupt_requests false."
                )
        except RemoteError as error:
            error.received = "".join(received)
            if isinstance(error, ConnectionLostError) and not has_begun:
                # llama_cpp.server says what is wrong only when it is not to stream
                asked = {"stream": False, "stream_options": None, "max_tokens": 1}
                self._client.ask(path, body | asked)
            if not has_ended:  # else only the account is missing
                raise

    def _events(
        self, path: str, body: dict[str, Any], chosen: set[str]
    ) -> Iterator[tuple[str, bool, dict[str, int]]]:
        """Ask, and again without the optional fields that this server does not take."""
        while True:
            left_out = self._refused - chosen
            try:
                sent = {name: value for name, value in body.items() if name not in left_out}
                yield from self._client.events(path, sent)
                return
            except RequestRefusedError as error:
                refused = {name for name in _OPTIONAL & sent.keys() if name in error.words}
                if not refused or refused & chosen or error.status not in (400, 422):
                    raise
                self._refused |= refused

    def _ids(self, text: str, *, add_bos: bool) -> list[int] | None:
        """Return the ids of plain text, None if the server does not tell them."""
        if not self._has_tokenize:
            return None
        body = {  # llama.cpp's server and vLLM each take their own names out of these
            "model": self.model,
            "content": text,
            "prompt": text,
            "add_special": add_bos,
            "add_special_tokens": add_bos,
            "parse_special": False,
        }
        ids = self._client.told("/tokenize", body).get("tokens")
        self._has_tokenize = isinstance(ids, list) and all(isinstance(i, int) for i in ids)
        return ids if self._has_tokenize else None

    def _count(self, text: str) -> int:
        ids = self._ids(text, add_bos=False)
        if ids is not None:
            self.token_counter = "/tokenize"
            return len(ids)
        if self.token_counter != "bytes":
            path, bodies = "/extras/tokenize/count", [{"input": text}, {"input": ""}]
            counts = [self._client.told(path, body).get("count") for body in bodies]
            if all(isinstance(count, int) for count in counts):
                self.token_counter = path
                return counts[0] - counts[1]  # an empty text has the begin-of-sequence token
        self.token_counter = "bytes"
        return len(text.encode()) + 1  # SentencePiece puts a space before it


def _option_fields(options: GenerationOptions) -> dict[str, Any]:
    """Return all options but `stop`, defaults as well: servers have other ones."""
    known = {name: value for name, value in vars(options).items() if isinstance(value, Real)}
    fields: dict[str, Any] = {
        name: int(value) if isinstance(value, Integral) else float(value)
        for name, value in known.items()
    }
    if options.seed is None and options.temperature > 0:  # llama_cpp.server would draw the same
        fields["seed"] = secrets.randbelow(2**31)  # some servers read 32 bits with a sign
    fields["repetition_penalty"] = fields["repeat_penalty"]
    return fields | {"stream": True, "stream_options": {"include_usage": True}}
