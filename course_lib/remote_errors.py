"""What can go wrong with a model behind a server, said so that it can be mended."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from course_lib.chat_model import ContextOverflowError

_LONGEST_QUOTE = 300
_SHORTEST_SECRET = 4  # less is a place-holder, and hiding it would make every message unreadable
_TOO_LONG = re.compile("context (length|size|window)|context_length_exceeded|exceed_context_size")


class RemoteError(RuntimeError):
    """Something went wrong with a model behind a server; `received` is the text until then."""

    received = ""


class ClientMissingError(RemoteError):
    """The package is missing that talks to servers."""


class RemoteClosedError(RemoteError):
    """A RemoteLLM was used after `close`, or closed while it was answering."""


class ServerUnreachableError(RemoteError):
    """Nobody answers at the address."""


class ProtocolError(RemoteError):
    """The server answered with something that is no answer of a model."""


class ConnectionLostError(RemoteError):
    """The connection ended before the answer did."""


class RemoteTimeoutError(RemoteError):
    """The server sent nothing for too long."""


class RequestRefusedError(RemoteError):
    """The server said no: `status` is HTTP's, `words` are its own, shortened, without the key."""

    def __init__(self, message: str, status: int, words: str = "") -> None:
        RuntimeError.__init__(self, message)  # whatever else a subclass is
        self.status, self.words = status, words


class ServerError(RequestRefusedError):
    """The server failed (5xx)."""


class AuthenticationError(RequestRefusedError):
    """The key is missing, wrong, or does not allow this (401, 403)."""


class RemoteNotFoundError(RequestRefusedError):
    """The server has no such model or address (404)."""


class RateLimitError(RequestRefusedError):
    """The server has had too many requests (429), and asks to wait for `retry_after_s`."""

    retry_after_s: float | None = None


class RemoteContextOverflowError(RequestRefusedError, ContextOverflowError):
    """The prompt is longer than the model's context: `n_tokens` and `n_ctx`, None if unknown."""

    n_tokens: int | None = None
    n_ctx: int | None = None


_KEY = (AuthenticationError, "refuses the key ({}). Check api_key, and what it allows.")
_KINDS: dict[int, tuple[type[RequestRefusedError], str]] = {
    401: _KEY,
    403: _KEY,
    404: (RemoteNotFoundError, "knows no such model or address ({}). Check base_url and model."),
    429: (RateLimitError, "has had too many requests ({}). Wait, or ask less often."),
}
_FAILED = (ServerError, "failed ({}). Look into its log, or try again later.")
_REFUSED = (RequestRefusedError, "refuses the request ({}).")
_OVERFLOW = (
    RemoteContextOverflowError,
    "finds the prompt too long ({}). Shorten it, or start the server with a longer context.",
)


def quoted(text: str, secret: str | None = None) -> str:
    r"""Quote what others said: on one line, shortened, and without the key.

    Examples
    --------
    >>> quoted("bad key\n'sk-12345'\x1b[31m", "sk-12345")
    "bad key '***'\\x1b[31m"
    """
    if secret and len(secret) >= _SHORTEST_SECRET:
        text = text.replace(secret, "***")
    text = " ".join(text.split())
    if len(text) > _LONGEST_QUOTE:
        text = text[:_LONGEST_QUOTE] + "..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def error_for_status(
    status: int, headers: Mapping[str, str], body: object, quote: Callable[[str], str] = quoted
) -> RemoteError:
    """Return the error that the status of an answer and its body (JSON or text) mean.

    Examples
    --------
    >>> error_for_status(401, {}, {"message": "no such key"})
    AuthenticationError('the server refuses the key (401). Check api_key, and what it allows.
    It says: no such key')
    """
    if 300 <= status < 400:
        return ProtocolError(
            f"the server sends us on to {quote(headers.get('location', 'nowhere'))} ({status}), "
            "and the key goes to no other address. If that is the right one, make it the base_url."
        )
    whole = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    told = body if isinstance(body, Mapping) else {}
    message = told.get("message") or told.get("detail")
    words = quote(message if isinstance(message, str) else whole)
    kind, what = _KINDS.get(status) or (_FAILED if status >= 500 else _REFUSED)
    if status not in _KINDS and _TOO_LONG.search(whole.lower()):
        kind, what = _OVERFLOW
    said = f" It says: {words}" if words else ""
    error = kind(f"the server {what.format(status)}{said}", status, words)
    if isinstance(error, RateLimitError):
        error.retry_after_s = wait_asked(headers)
    if isinstance(error, RemoteContextOverflowError):
        for name, theirs in (("n_tokens", "n_prompt_tokens"), ("n_ctx", "n_ctx")):
            setattr(error, name, told[theirs] if isinstance(told.get(theirs), int) else None)
    return error


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``, None without it or when it is a date."""
    text = headers.get("retry-after", "").strip()
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) else None
