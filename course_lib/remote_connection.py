"""Ask a server over HTTP: each request may be ended by another thread, and may fail in few ways."""

from __future__ import annotations

import ipaddress
import json
import math
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from numbers import Integral, Real
from typing import Any

import httpx

from course_lib.remote_errors import (
    ConnectionLostError,
    ProtocolError,
    Quoter,
    RateLimitError,
    RemoteClosedError,
    RemoteError,
    RemoteTimeoutError,
    ServerError,
    ServerUnreachableError,
    error_for_status,
    not_understood,
    wait_asked,
)

_MAX_ERROR_BYTES = 1 << 16  # of a refusal, as much is read
_MAX_JSON_BYTES = 1 << 25
_WAIT_S = 0.5  # before the second attempt; twice as long before each further one
_LONGEST_WAIT_S = 10.0  # a server that asks for more is not asked again


class ServerConnection:
    """Where a server is, and how it is asked.

    Each request has a connection of its own, so that ending one ends no other. Threads may ask at
    the same time.

    Parameters
    ----------
    base_url : str
        With or without ``/v1`` at its end.
    api_key : str or None
        Sent to this address and to no other; no message shows it.
    timeout_s, connect_timeout_s : float
        How long to wait for the next byte, and for a connection.
    max_retries : int
        How often a request is sent again when it failed before an answer began.

    Raises
    ------
    ValueError
        For an address, a key or a number that makes no sense.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        timeout_s: float,
        connect_timeout_s: float,
        max_retries: int,
    ) -> None:
        self.root = _checked_address(base_url)
        key = _checked_key(api_key)
        self.quote = Quoter(key)
        for name, value in (("timeout_s", timeout_s), ("connect_timeout_s", connect_timeout_s)):
            if not isinstance(value, Real) or not 0 < value < math.inf:
                raise ValueError(f"{name}={value!r} is not a number of seconds above 0.")
        if not isinstance(max_retries, Integral) or max_retries < 0:
            raise ValueError(f"max_retries={max_retries!r} is not a whole number from 0.")
        self._timeout_s, self._max_retries = float(timeout_s), int(max_retries)
        headers = {"Accept-Encoding": "identity", "User-Agent": "course_lib"}
        self._client = httpx.Client(
            headers=headers | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=httpx.Timeout(self._timeout_s, connect=float(connect_timeout_s)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            mounts=_mounts(self.root),
        )
        self._calls: set[Answer] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def require_open(self) -> None:
        """Raise RemoteClosedError after `close`."""
        if self._closed.is_set():
            raise RemoteClosedError("this model is closed. Make a new RemoteLLM to use it again.")

    def open(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Send a request and return its answer, whose body has not been read.

        The request is sent again when nobody was there, or when the server was busy (429, 503);
        never once an answer has begun.

        Raises
        ------
        RemoteError
            When there is no answer, or a status other than 200.
        """
        started_s, n_failed = time.monotonic(), 0
        while True:
            self.require_open()
            answer = Answer(self)
            try:
                return answer.begin(self._client, method, self.root + path, body)
            except BaseException:
                answer.close()
                pause_s = answer.pause_s
                if pause_s is None or n_failed >= self._max_retries:
                    raise
                pause_s = max(pause_s, _WAIT_S * 2**n_failed)
                waited_s = time.monotonic() - started_s
                if pause_s > _LONGEST_WAIT_S or waited_s + pause_s > self._timeout_s:
                    raise
            n_failed += 1
            self._closed.wait(pause_s)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return the JSON object that answers it.

        Raises
        ------
        RemoteError
            As `open`; ProtocolError when the answer is no JSON object.
        """
        with self.open(method, path, body) as answer:
            return answer.json()

    def close(self) -> None:
        """End all requests: whoever waits for one gets RemoteClosedError."""
        self._closed.set()
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.hang_up()
        self._client.close()


class Answer:
    """What a server answers to one request: to be closed, best by a ``with`` block.

    Attributes
    ----------
    pause_s : float or None
        After a failure: how long to wait before the request may be sent again, None for never.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self.pause_s: float | None = None
        self._connection = connection
        self._response: httpx.Response | None = None
        self._stream: Any = None  # httpcore's, with the socket

    def begin(
        self, client: httpx.Client, method: str, url: str, body: Mapping[str, Any] | None
    ) -> Answer:
        """Send the request, and wait until the answer begins."""
        with self._connection._lock:
            self._connection._calls.add(self)
        try:
            request = client.build_request(
                method, url, json=body, extensions=self._extensions(client)
            )
            self._response = client.send(request, stream=True)
        except (httpx.HTTPError, OSError) as error:
            raise self._failure(error, begun=False) from None
        self._connection.require_open()
        if self._response.status_code != 200:
            raise self._refusal(self._response)
        return self

    @property
    def content_type(self) -> str:
        """The kind of the body, such as ``text/event-stream``."""
        return self._response.headers.get("content-type", "").partition(";")[0].strip().lower()

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes.

        Raises
        ------
        InterruptedAnswerError
            When it breaks off, or nothing comes for too long.
        """
        try:
            yield from self._response.iter_bytes()
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise self._failure(error, begun=True) from None
        self._connection.require_open()  # hanging up may look like the end

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; ProtocolError when it is none."""
        body = b""
        for chunk in self.chunks():
            body += chunk
            if len(body) > _MAX_JSON_BYTES:
                raise ProtocolError(f"the server sent more than {_MAX_JSON_BYTES:,} bytes of JSON.")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise not_understood(body, self.content_type, self._connection.quote)
        return found

    def hang_up(self) -> None:
        """End the request from another thread, which may be waiting for its next byte."""
        stream = self._stream
        opened = stream.get_extra_info("socket") if stream is not None else None
        if isinstance(opened, socket.socket):
            with suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)  # also of a TLS socket

    def close(self) -> None:
        """Close the connection, so that the server stops as well."""
        with self._connection._lock:
            self._connection._calls.discard(self)
        if self._response is not None:
            with suppress(httpx.HTTPError, OSError):
                self._response.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _extensions(self, client: httpx.Client) -> dict[str, Any]:
        def trace(event: str, particulars: Mapping[str, Any]) -> None:
            if event.endswith(("connect_tcp.complete", "start_tls.complete")):
                self._stream = particulars["return_value"]
                if self._connection._closed.is_set():  # while it was connecting
                    self._stream.close()
                self._connection.require_open()

        return {"trace": trace, "timeout": client.timeout.as_dict()}

    def _refusal(self, response: httpx.Response) -> RemoteError:
        """Read why the server says no, as far as it comes soon."""
        body, until_s = b"", time.monotonic() + self._connection._timeout_s
        with suppress(RemoteError):
            for chunk in self.chunks():
                body += chunk
                if len(body) > _MAX_ERROR_BYTES or time.monotonic() > until_s:
                    break
        self._connection.require_open()
        error = error_for_status(
            response.status_code, response.headers, body[:_MAX_ERROR_BYTES], self._connection.quote
        )
        if isinstance(error, RateLimitError) or (
            isinstance(error, ServerError) and error.status == 503
        ):
            self.pause_s = wait_asked(response.headers) or 0.0
        return error

    def _failure(self, error: Exception, begun: bool) -> RemoteError:
        connection = self._connection
        if connection._closed.is_set():
            return RemoteClosedError("the model was closed while it was answering.")
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            self.pause_s = 0.0
            said = connection.quote(str(error)) or "it takes too long to connect"
            return ServerUnreachableError(
                f"nobody answers at {connection.root}: {said}. Check that the server runs, and "
                "that base_url names it."
            )
        if isinstance(error, httpx.TimeoutException):
            return RemoteTimeoutError(
                f"the server sent nothing for {connection._timeout_s:g} s. It may be busy or "
                "stuck; timeout_s=... sets how long to wait."
            )
        said = connection.quote(str(error)).rstrip(".") or type(error).__name__
        is_lost = isinstance(error, (httpx.NetworkError, httpx.StreamError, OSError))
        if begun and (is_lost or isinstance(error, httpx.RemoteProtocolError)):
            return ConnectionLostError(
                f"the connection broke off in mid-answer: {said}. What came until then is in the "
                "attribute received."
            )
        if is_lost or "disconnected" in said:
            self.pause_s = 0.0
            return ConnectionLostError(
                f"the server at {connection.root} hung up without an answer: {said}. Look into its "
                "log."
            )
        return ProtocolError(
            f"what answers at {connection.root} does not speak HTTP as it should: {said}. Check "
            "base_url."
        )


def _checked_address(base_url: str) -> str:
    """Return the address without ``/v1``; the messages show it, so it may hold no secret."""
    try:
        url = httpx.URL(base_url)
        port = url.port
    except (TypeError, ValueError, httpx.InvalidURL):
        url = None
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must be like 'http://127.0.0.1:8000/v1'.")
    if url.userinfo or url.query or url.fragment:
        raise ValueError(
            "base_url must not hold a user name, a password, '?' or '#', because messages show "
            "it. A key belongs into api_key."
        )
    host = f"[{url.host}]" if ":" in url.host else url.host
    path = url.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{url.scheme}://{host}{'' if port is None else f':{port}'}{path}"


def _checked_key(api_key: str | None) -> str | None:
    """Return the key without spaces around it, as one has from a file; it is in no message."""
    key = api_key.strip() if isinstance(api_key, str) else api_key
    if key is None or key == "":
        return None
    if not isinstance(key, str) or not all("!" <= character <= "~" for character in key):
        raise ValueError("api_key must be a string of ASCII characters without spaces.")
    return key


def _mounts(root: str) -> dict[str, None]:
    """Name the addresses that are asked without a proxy: none knows the way back to here."""
    host = httpx.URL(root).host
    try:
        is_this_machine = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_this_machine = host == "localhost"
    return {f"all://{f'[{host}]' if ':' in host else host}": None} if is_this_machine else {}
