"""The client of the `openai` package, for servers that need not be OpenAI's."""

from __future__ import annotations

import json
import math
import re
import socket
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import openai

from course_lib.remote_errors import (
    ConnectionLostError,
    ProtocolError,
    RemoteClosedError,
    RemoteError,
    RemoteTimeoutError,
    RequestRefusedError,
    ServerUnreachableError,
    error_for_status,
    quoted,
    wait_asked,
)

# The HTTP library that openai stands on: httpx2 from its version 3 on, httpx before
_http = import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])

_TIMED_OUT = {"x-should-retry": "false", "x-timed-out": "true"}
_LONGEST_WAIT_S = 10.0  # a server that asks for more is not asked again
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")  # asked without a proxy: it knows no way back
_ACCOUNT = {"n_prompt": "prompt_tokens", "n_new": "completion_tokens", "n_reused": "cached_tokens"}
_ERRORS = (openai.OpenAIError, _http.HTTPError, _http.StreamError, OSError)
_ERRORS += (ValueError, RecursionError)  # what is no JSON, or no event
# What is sent: the key and the account that the environment may name are for OpenAI's own server
_HEADERS = {"host", "accept", "content-type", "content-length", "user-agent"}


class RemoteClient:
    """Ask a server; whatever goes wrong is a `RemoteError`. See `RemoteLLM` for the parameters."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        timeout_s: float,
        connect_timeout_s: float,
        max_retries: int,
    ) -> None:
        self.root = _checked_address(base_url)
        key = "" if api_key is None else api_key
        if not isinstance(key, str) or not re.fullmatch("[!-~]*", key.strip()):
            raise ValueError("api_key must be a string of ASCII characters without spaces.")
        key = key.strip()  # in a file, it ends in a newline
        if not (0 < timeout_s < math.inf and 0 < connect_timeout_s < math.inf):
            raise ValueError("timeout_s and connect_timeout_s must be seconds, more than 0.")
        if max_retries < 0:
            raise ValueError("max_retries must be 0 or more.")
        self.quote = lambda text: quoted(text, key)
        self.timeout_s = float(timeout_s)
        self._connections = _HttpClient(self.root, key)
        self.require_open = self._connections.require_open
        self._openai = openai.OpenAI(
            base_url=f"{self.root}/v1",
            api_key="none",  # _HttpClient adds it, so that no log of the package can show it
            timeout=_http.Timeout(self.timeout_s, connect=float(connect_timeout_s)),
            max_retries=max_retries,
            http_client=self._connections,
        )

    def events(self, path: str, body: dict[str, Any]) -> Iterator[tuple[str, bool, dict[str, int]]]:
        """Stream an answer: yield its pieces, whether the text ends, and the server's account."""
        how = {"cast_to": object, "stream": True, "stream_cls": openai.Stream[object]}
        url = self.root + path
        with self._speaking_of_errors(), self._openai.post(url, body=body, **how) as stream:
            kind = stream.response.headers.get("content-type", "")
            if not kind.lower().startswith("text/event-stream"):
                start = next(stream.response.iter_bytes(), b"")
                raise ValueError(start.decode("utf-8", errors="replace"))
            for event in stream:
                yield read_event(event)
        self.require_open()  # hanging up may look like the end

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the JSON object that answers a body, or lies at an address."""
        with self._speaking_of_errors():
            sent = {"body": body} if body else {}
            send = self._openai.post if body else self._openai.get
            found = send(self.root + path, cast_to=object, **sent)
            if not isinstance(found, dict):
                raise ValueError(str(found))
            return found

    def told(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """As `ask`, at an address that not every server has; {} without it."""
        try:
            return self.ask(path, body)
        except ProtocolError:
            return {}
        except RequestRefusedError as error:
            if error.status == 429 or (error.status >= 500 and error.status != 501):
                raise
            return {}

    def close(self) -> None:
        """End all requests: whoever waits for one gets RemoteClosedError."""
        self._connections.hang_up()
        self._openai.close()

    @contextmanager
    def _speaking_of_errors(self) -> Iterator[None]:
        self.require_open()
        try:
            yield
        except RemoteError:
            raise
        except _ERRORS as error:
            self.require_open()
            raise self._error(error) from None

    def _error(self, error: Exception) -> RemoteError:
        timed_out = isinstance(error, (openai.APITimeoutError, _http.TimeoutException))
        headers = error.response.headers if isinstance(error, openai.APIStatusError) else {}
        if isinstance(error, openai.APIStatusError) and "x-timed-out" not in headers:
            return error_for_status(error.status_code, headers, error.body, self.quote)
        if isinstance(error, (ValueError, RecursionError)):
            said = getattr(error, "doc", "") or str(error)  # JSON keeps the text in doc
            return ProtocolError(
                f"the server sent something that is no answer of a model: '{self.quote(said)}'. "
                "Check that base_url is an OpenAI-compatible server."
            )
        cause = error.__cause__ or error
        said = self.quote(str(cause)).rstrip(".") or type(cause).__name__
        if isinstance(cause, (_http.ConnectError, _http.ConnectTimeout)):
            return ServerUnreachableError(
                f"nobody answers at {self.root}: {said}. Check that the server runs, and that "
                "base_url names it."
            )
        if timed_out or headers:
            return RemoteTimeoutError(
                f"the server sent nothing for {self.timeout_s:g} s. It may be busy or stuck; "
                "timeout_s=... sets how long to wait."
            )
        if isinstance(error, openai.APIError) and error.body is not None:
            return error_for_status(500, {}, error.body, self.quote)  # told in mid-stream
        return ConnectionLostError(
            f"the connection to {self.root} broke off: {said}. What came until then is in the "
            "attribute received. Look into the server's log."
        )


class _HttpClient(_http.Client):
    """Send to one server, with a connection for each request, so that ending one ends no other."""

    def __init__(self, root: str, key: str) -> None:
        is_here = _http.URL(root).host in _THIS_MACHINE
        limits = _http.Limits(max_connections=None, max_keepalive_connections=0)
        super().__init__(limits=limits, trust_env=not is_here)
        self._secret = {"Authorization": f"Bearer {key}"} if key else {}
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def send(self, request: _http.Request, **how: Any) -> _http.Response:
        self.require_open()
        sent = {name: value for name, value in request.headers.items() if name in _HEADERS}
        request.headers = _http.Headers(sent | self._secret)
        request.extensions["trace"] = self._traced
        try:
            response = super().send(request, **how)
        except _http.ReadTimeout:  # the package would wait as long again
            return _http.Response(504, headers=_TIMED_OUT, request=request)
        except _http.HTTPError:
            self.require_open()
            raise
        if (wait_asked(response.headers) or 0.0) > _LONGEST_WAIT_S:
            response.headers["x-should-retry"] = "false"
        return response

    def require_open(self) -> None:
        if self._ended.is_set():
            raise RemoteClosedError("this model is closed. Make a new RemoteLLM to use it again.")

    def hang_up(self) -> None:
        """Wake every thread that waits for a byte: closing a socket would not."""
        self._ended.set()
        with self._lock:
            for opened in self._sockets:
                with suppress(OSError):
                    socket.socket.shutdown(opened, socket.SHUT_RDWR)  # also of a TLS socket

    def _traced(self, event: str, particulars: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            opened = particulars["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.add(opened)
            if self._ended.is_set():  # while it was connecting
                self.hang_up()


def read_event(event: Any) -> tuple[str, bool, dict[str, int]]:
    """Return the text in an event, whether the text ends with it, and the server's account.

    Examples
    --------
    >>> read_event({"choices": [{"text": "Hi", "finish_reason": None}]})
    ('Hi', False, {})
    >>> read_event({"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 2}})
    ('', False, {'n_prompt': 8, 'n_new': 2})
    """
    found = event if isinstance(event, dict) else {}
    usage = found.get("usage") if isinstance(found.get("usage"), dict) else {}
    details = usage.get("prompt_tokens_details")
    told = usage | (details if isinstance(details, dict) else {})
    account = {ours: told.get(theirs) for ours, theirs in _ACCOUNT.items()}
    account = {name: count for name, count in account.items() if isinstance(count, int)}
    choices = found.get("choices")
    if choices == [] or (choices is None and usage):
        return "", False, account
    choice = choices[0] if isinstance(choices, list) else None
    if isinstance(choice, dict):
        said = choice.get("delta")
        text = said.get("content") if isinstance(said, dict) else choice.get("text")
        if text is None or isinstance(text, str):
            return text or "", choice.get("finish_reason") is not None, account
    raise ValueError(json.dumps(event, ensure_ascii=False))


def _checked_address(base_url: str) -> str:
    """Return the address without ``/v1``; the messages show it, so it may hold no secret."""
    try:
        url = _http.URL(base_url)
    except (TypeError, ValueError, _http.InvalidURL):
        url = _http.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must be like 'http://127.0.0.1:8000/v1'.")
    if url.userinfo or url.query or url.fragment:
        raise ValueError(
            "base_url must not hold a user name, a password, '?' or '#', because messages show "
            "it. A key belongs into api_key."
        )
    return str(url).rstrip("/").removesuffix("/v1").rstrip("/")
