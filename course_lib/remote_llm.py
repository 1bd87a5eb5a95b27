"""Use a model on a server as if it were on this machine: any OpenAI-compatible server will do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from course_lib.chat_template import Message, read_turns
from course_lib.engine_options import GenerationOptions
from course_lib.generation_usage import GenerationUsage
from course_lib.remote_connection import Answer, ServerConnection
from course_lib.remote_errors import (
    ConnectionLostError,
    InterruptedAnswerError,
    RemoteNotFoundError,
    RequestRefusedError,
)
from course_lib.remote_protocol import (
    option_fields,
    read_answer,
    read_choice,
    record_usage,
    refused_fields,
)
from course_lib.remote_tokens import RemoteTokens, told
from course_lib.stop_strings import until_stop
from course_lib.tokenizer import require_valid_unicode


class RemoteLLM:
    """A model behind an OpenAI-compatible server, with the methods of `LocalLLM`.

    Nothing is sent until a text is asked for. Several threads may ask at once: how many texts are
    written at the same time is the server's matter. A consumer that stops iterating closes the
    connection, and the server stops as well.

    Parameters
    ----------
    base_url : str
        Such as ``"http://127.0.0.1:8000/v1"``, with or without ``/v1``.
    model : str
        What the server calls it; servers with a single model take any name.
    api_key : str, optional
        Sent to this address only. No message shows it, and no log of what was sent.
    timeout_s : float
        How long the server may send nothing.
    connect_timeout_s : float
        How long it may take until it is there.
    max_retries : int
        How often a request is sent again when nobody was there or the server was busy (429,
        503). An answer that has begun is never asked for again.

    Attributes
    ----------
    last_usage : GenerationUsage or None
        Of the text that was written last. The tokens are the server's count; when it sends none,
        as `llama_cpp.server`, or when a stop string ended the text, the pieces are counted
        instead, and `n_prompt` is 0. The seconds are measured here, the network and the server's
        queue included.

    Raises
    ------
    ValueError
        When the address, the key, or a number makes no sense.

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
        if not isinstance(model, str) or not model:
            raise ValueError(f"model={model!r} is not the name of a model.")
        require_valid_unicode(model)
        self._server = ServerConnection(
            base_url, api_key, timeout_s, connect_timeout_s, max_retries
        )
        self.model = model
        self.last_usage: GenerationUsage | None = None
        self._tokens = RemoteTokens(self._server, model)
        self._refused: set[str] = set()  # fields that this server does not take
        self._n_ctx: int | None = None
        self._asked_n_ctx = False

    def __repr__(self) -> str:
        return f"RemoteLLM({self.base_url!r}, {self.model!r})"

    @property
    def base_url(self) -> str:
        """Where the server is asked."""
        return f"{self._server.root}/v1"

    @property
    def token_counter(self) -> str | None:
        """How `count_tokens` counts: ``"bytes"`` for an upper bound, else what it asks.

        None until the first count.
        """
        return self._tokens.counter

    @property
    def n_ctx(self) -> int | None:
        """Tokens that prompt and answer may have together, None if the server does not say it.

        llama.cpp's own server and vLLM say it; they are asked once.
        """
        if not self._asked_n_ctx:
            settings = told(self._server, "GET", "/props").get("default_generation_settings")
            n_ctx = settings.get("n_ctx") if isinstance(settings, dict) else None
            if n_ctx is None:
                for entry in self._models():
                    if entry.get("id") == self.model:
                        n_ctx = entry.get("max_model_len")
            self._n_ctx = n_ctx if isinstance(n_ctx, int) else None
            self._asked_n_ctx = True
        return self._n_ctx

    def generate(self, prompt: str, **options: object) -> str:
        """Continue `prompt` and return the new text.

        Parameters
        ----------
        prompt : str
        **options
            The fields of `GenerationOptions`. Stop strings are looked for here, because servers
            disagree about them. A server that refuses `top_k`, `min_p`, `repeat_penalty` or
            `seed`, as OpenAI's does with the first three, is asked without them, unless you have
            set the option.

        Raises
        ------
        RemoteError
            One of `course_lib.remote_errors`: the name says what went wrong.
        TokenizerError
            When the prompt is not valid text.
        """
        return "".join(self.stream(prompt, **options))

    def stream(self, prompt: str, **options: object) -> Iterator[str]:
        """As `generate`, but yield the text piece by piece as it comes."""
        require_valid_unicode(prompt)
        return self._stream("/v1/completions", {"prompt": prompt}, options)

    def chat(self, messages: Sequence[Message], **options: object) -> str:
        """Answer a conversation and return the answer, without a space before it.

        Parameters
        ----------
        messages : sequence of {"role": ..., "content": ...}
            See `course_lib.chat_template.encode_chat`.
        **options
            As for `generate`.

        Raises
        ------
        ChatFormatError
            When the messages are not a chat; nothing is sent then.
        RemoteError
            As `generate`.
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

        The server is asked. One that cannot count, such as OpenAI's, gets an upper bound: one
        more than the bytes of the text in UTF-8, since a token is a byte or more. Then
        `token_counter` is ``"bytes"``. The last 1,024 counts are remembered.

        Raises
        ------
        TokenizerError
            When the text is not valid Unicode.
        RemoteError
            When the server cannot be reached.
        """
        require_valid_unicode(text)
        self._server.require_open()
        return self._tokens.count(text) if text else 0

    def close(self) -> None:
        """End what is being written; a closed model can no longer be used. Twice is fine."""
        self._server.close()

    def __enter__(self) -> RemoteLLM:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _stream(self, path: str, content: dict[str, Any], options: dict) -> Iterator[str]:
        settings = GenerationOptions.from_names(options)
        self._server.require_open()
        return self._text(path, content, settings, chosen=set(options))

    def _text(
        self, path: str, content: dict[str, Any], settings: GenerationOptions, chosen: set[str]
    ) -> Iterator[str]:
        if not settings.max_tokens:  # some servers take 0 for "no limit"
            return
        drop_space = not content.get("prompt")  # as LocalLLM does: the tokenizer has put it there
        if content.get("prompt"):
            ids = self._tokens.ids(content["prompt"], add_bos=True)
            content = {"prompt": ids or content["prompt"]}
        body = {"model": self.model} | content | option_fields(settings)
        with closing(self._pieces(path, body, chosen)) as pieces:
            yield from until_stop(_without_space(pieces) if drop_space else pieces, settings.stops)

    def _pieces(self, path: str, body: dict[str, Any], chosen: set[str]) -> Iterator[str]:
        """Yield the pieces of one answer, and keep its account."""
        usage = GenerationUsage(n_prompt=0)
        received: list[str] = []
        started_s = time.perf_counter()
        has_begun = has_ended = False
        with self._open(path, body, chosen) as answer:
            try:
                for event in read_answer(answer, self._server.quote):
                    has_begun = True
                    piece, ends_text = read_choice(event, self._server.quote)
                    has_ended = has_ended or ends_text
                    if piece:
                        received.append(piece)
                        _count_piece(usage, len(received), time.perf_counter() - started_s)
                    record_usage(event, usage)
                    self.last_usage = usage
                    if piece:
                        yield piece
            except InterruptedAnswerError as error:
                error.received = "".join(received)
                # After the end only the account is missing. Before any beginning, see below.
                if not has_ended and (has_begun or not isinstance(error, ConnectionLostError)):
                    raise
        if has_ended:
            return
        if not has_begun:
            self._ask_for_reason(path, body)
        error = ConnectionLostError(
            "the server ended its answer before it was complete. What came until then is in the "
            "attribute received. llama_cpp.server does this when another request comes, unless it "
            "was started with --interrupt_requests false."
        )
        error.received = "".join(received)
        raise error

    def _open(self, path: str, body: dict[str, Any], chosen: set[str]) -> Answer:
        """Send a request, again without the fields that this server does not take."""
        while True:
            sent = self._without_refused(body)
            try:
                return self._server.open("POST", path, sent)
            except RemoteNotFoundError as error:
                raise self._not_found(path, error) from None
            except RequestRefusedError as error:
                self._refused |= refused_fields(error, set(sent), chosen)

    def _without_refused(self, body: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in body.items() if name not in self._refused}

    def _not_found(self, path: str, error: RemoteNotFoundError) -> RemoteNotFoundError:
        names = [str(entry["id"]) for entry in self._models() if entry.get("id")]
        known = f"Its models: {self._server.quote(', '.join(names))}." if names else ""
        return RemoteNotFoundError(
            f"the server at {self._server.root} knows no model {self.model!r}, or no {path}. "
            f"{known or 'Check base_url and model.'} It says: {error.words}",
            error.status,
            error.words,
        )

    def _models(self) -> list[dict[str, Any]]:
        entries = told(self._server, "GET", "/v1/models").get("data")
        return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []

    def _ask_for_reason(self, path: str, body: dict[str, Any]) -> None:
        """Let a server say why its stream was empty: llama_cpp.server tells only without one."""
        asked = self._without_refused(body) | {"stream": False, "max_tokens": 1}
        asked.pop("stream_options", None)
        self._server.ask("POST", path, asked)


def _count_piece(usage: GenerationUsage, n_pieces: int, elapsed_s: float) -> None:
    usage.n_new = n_pieces
    if n_pieces == 1:
        usage.first_token_s = elapsed_s
    usage.decode_s = elapsed_s - usage.first_token_s


def _without_space(pieces: Iterator[str]) -> Iterator[str]:
    """Leave out one space at the beginning of a text."""
    is_first = True
    for piece in pieces:
        shown = piece.removeprefix(" ") if is_first else piece
        is_first = False
        if shown:
            yield shown
