"""What can go wrong with a model behind a server, said so that it can be mended."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from course_lib.chat_model import ContextOverflowError

_LONGEST_QUOTE = 300
_SHORTEST_SECRET = 4  # less is a place-holder, and hiding it would make every message unreadable
_TOO_LONG = ("context length", "context size", "context window", "context_length_exceeded")
_TOO_LONG += ("exceed_context_size",)
_N_CTX = re.compile(r"(?:context length is|context size \(|context window of) ?(\d+)")
_N_PROMPT = re.compile(
    r"\((\d+) (?:in the messages|in your prompt)|resulted in (\d+) tokens|has (\d+) input tokens"
    r"|request \((\d+) tokens\)|Requested tokens \((\d+)\)"
)


class RemoteError(RuntimeError):
    """Something went wrong with a model behind a server."""


class RemoteClosedError(RemoteError):
    """A RemoteLLM was used after `close`, or closed while it was answering."""


class ServerUnreachableError(RemoteError):
    """Nobody answers at the address."""


class ProtocolError(RemoteError):
    """The server answered with something that is no answer of a model."""


class InterruptedAnswerError(RemoteError):
    """An answer that did not come to its end.

    Attributes
    ----------
    received : str
        The text that had come until then.
    """

    received = ""


class ConnectionLostError(InterruptedAnswerError):
    """The connection ended before the answer did."""


class RemoteTimeoutError(InterruptedAnswerError):
    """The server sent nothing for too long."""


class StatusError(RemoteError):
    """The server said no.

    Attributes
    ----------
    status : int
        Of HTTP.
    words : str
        What the server said, shortened, without the key.
    """

    def __init__(self, message: str, status: int, words: str = "") -> None:
        RuntimeError.__init__(self, message)  # whatever else a subclass is
        self.status, self.words = status, words


class ServerError(StatusError):
    """The server failed (5xx)."""


class RequestRefusedError(StatusError):
    """The server does not take the request (4xx)."""


class AuthenticationError(RequestRefusedError):
    """The key is missing, wrong, or does not allow this (401, 403)."""


class RemoteNotFoundError(RequestRefusedError):
    """The server has no such model or address (404)."""


class RateLimitError(RequestRefusedError):
    """The server has had too many requests (429).

    Attributes
    ----------
    retry_after_s : float or None
        How long the server asks us to wait.
    """

    retry_after_s: float | None = None


class RemoteContextOverflowError(RequestRefusedError, ContextOverflowError):
    """The server says that the prompt is longer than the model's context.

    Attributes
    ----------
    n_tokens, n_ctx : int or None
        The length of the prompt, and what the context holds, if the server says so.
    """

    def __init__(self, n_tokens: int | None, n_ctx: int | None, status: int, words: str) -> None:
        length = "is too long" if n_tokens is None else f"has {n_tokens} tokens"
        room = "" if n_ctx is None else f" and the context holds {n_ctx}, the answer included"
        super().__init__(
            f"the prompt {length}{room}. Shorten it, or start the server with a longer context.",
            status,
            words,
        )
        self.n_tokens, self.n_ctx = n_tokens, n_ctx


class Quoter:
    r"""Quote what others said: on one line, shortened, and without the key.

    Examples
    --------
    >>> quote = Quoter("sk-12345")
    >>> quote("bad key\n'sk-12345'\x1b[31m")
    "bad key '***'\\x1b[31m"
    """

    def __init__(self, secret: str | None = None) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "Quoter()"

    def __call__(self, text: str) -> str:
        """Return the quotation."""
        if self._secret and len(self._secret) >= _SHORTEST_SECRET:
            text = text.replace(self._secret, "***")
        text = " ".join(text.split())
        if len(text) > _LONGEST_QUOTE:
            text = text[:_LONGEST_QUOTE] + "..."
        return "".join(_escaped(character) for character in text)


def not_understood(body: bytes | str, content_type: str, quote: Quoter) -> ProtocolError:
    """Return the error for a body that is no answer of a model."""
    text = body if isinstance(body, str) else body.decode("utf-8", errors="replace")
    return ProtocolError(
        f"the server sent {quote(content_type) or 'something'} that is no answer of a model: "
        f"'{quote(text)}'. Check that base_url is an OpenAI-compatible server."
    )


def error_for_status(
    status: int, headers: Mapping[str, str], body: bytes, quote: Quoter
) -> RemoteError:
    """Return the error that an answer's status and body mean.

    Parameters
    ----------
    status : int
        Not 200.
    headers : mapping of str
        Case does not matter.
    body : bytes
        Or its beginning.
    quote : Quoter
        Which knows the key.
    """
    found = _json_object(body)
    words = quote(_message_of(found) or body.decode("utf-8", errors="replace"))
    said = f" It says: {words}" if words else ""
    if 300 <= status < 400:
        place = quote(headers.get("location", "nowhere"))
        return ProtocolError(
            f"the server sends us on to {place} ({status}), and the key goes to no other address. "
            "If that is the right one, make it the base_url."
        )
    if status in (401, 403):
        return AuthenticationError(
            f"the server refuses the key ({status}). Check api_key, and what it allows.{said}",
            status,
            words,
        )
    if status == 429:
        error = RateLimitError(
            f"the server has had too many requests ({status}). Wait, or ask less often.{said}",
            status,
            words,
        )
        error.retry_after_s = wait_asked(headers)
        return error
    if status != 404 and any(mark in body.decode("utf-8", "replace").lower() for mark in _TOO_LONG):
        return _overflow(status, found, words)
    if status == 404:
        return RemoteNotFoundError(f"the server knows no such model or address.{said}", 404, words)
    if status >= 500:
        return ServerError(
            f"the server failed ({status}). Look into its log, or try again later.{said}",
            status,
            words,
        )
    return RequestRefusedError(f"the server refuses the request ({status}).{said}", status, words)


def error_in_event(found: Mapping[str, Any], quote: Quoter) -> RemoteError:
    """Return the error that an event of an answer under way tells of."""
    error = found["error"]
    code = error.get("code") if isinstance(error, Mapping) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return error_for_status(status, {}, json.dumps(found, ensure_ascii=False).encode(), quote)


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``, None without it or when it is a date."""
    text = headers.get("retry-after", "").strip()
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) else None


def _overflow(status: int, found: Mapping[str, Any], words: str) -> RemoteContextOverflowError:
    error = found.get("error")
    particulars = error if isinstance(error, Mapping) else {}
    counts = []
    for name, pattern in (("n_prompt_tokens", _N_PROMPT), ("n_ctx", _N_CTX)):
        value = particulars.get(name)
        if not isinstance(value, int) and (match := pattern.search(words)):
            value = int(next(group for group in match.groups() if group))
        counts.append(value if isinstance(value, int) else None)
    return RemoteContextOverflowError(*counts, status, words)


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _message_of(found: Mapping[str, Any]) -> str:
    """Return the server's own words: servers put them in one of these places."""
    for name in ("error", "message", "detail"):
        value = found.get(name)
        if isinstance(value, Mapping):
            value = value.get("message") or value
        if value:
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ""


def _escaped(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
