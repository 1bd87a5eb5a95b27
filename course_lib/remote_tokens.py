"""Ask a server how it cuts a text into tokens, where it can tell."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from course_lib.remote_connection import ServerConnection
from course_lib.remote_errors import ProtocolError, RateLimitError, StatusError

_N_REMEMBERED = 1024


class RemoteTokens:
    """The tokenizer of a model on a server.

    Parameters
    ----------
    connection : ServerConnection
    model : str

    Attributes
    ----------
    counter : str or None
        How tokens are counted: ``"/tokenize"`` (llama.cpp's own server, vLLM),
        ``"/extras/tokenize/count"`` (`llama_cpp.server`), or ``"bytes"`` when the server cannot
        count. None until it was asked.
    """

    def __init__(self, connection: ServerConnection, model: str) -> None:
        self._connection, self._model = connection, model
        self.counter: str | None = None
        self._has_tokenize: bool | None = None
        self.count = lru_cache(maxsize=_N_REMEMBERED)(self._count)

    def ids(self, text: str, *, add_bos: bool) -> list[int] | None:
        """Return the ids of plain text, None if the server does not tell them."""
        if self._has_tokenize is False:
            return None
        body = {  # llama.cpp's server and vLLM each take their own names out of these
            "model": self._model,
            "content": text,
            "prompt": text,
            "add_special": add_bos,
            "add_special_tokens": add_bos,
            "parse_special": False,
        }
        ids = told(self._connection, "POST", "/tokenize", body).get("tokens")
        self._has_tokenize = isinstance(ids, list) and all(isinstance(i, int) for i in ids)
        return ids if self._has_tokenize else None

    def _count(self, text: str) -> int:
        ids = self.ids(text, add_bos=False)
        if ids is not None:
            self.counter = "/tokenize"
            return len(ids)
        if self.counter != "bytes":
            n_all, n_empty = self._extra_count(text), self._extra_count("")
            if n_all is not None and n_empty is not None:
                self.counter = "/extras/tokenize/count"
                return n_all - n_empty  # an empty text has the begin-of-sequence token
        self.counter = "bytes"
        return len(text.encode()) + 1  # SentencePiece puts a space before it

    def _extra_count(self, text: str) -> int | None:
        body = {"model": self._model, "input": text}
        count = told(self._connection, "POST", "/extras/tokenize/count", body).get("count")
        return count if isinstance(count, int) else None


def told(
    connection: ServerConnection, method: str, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what a server tells at an address that not every server has; {} without it.

    Raises
    ------
    RemoteError
        When the server cannot be reached, or is too busy.
    """
    try:
        return connection.ask(method, path, body)
    except RateLimitError:
        raise
    except StatusError as error:
        if error.status >= 500 and error.status != 501:
            raise
        return {}
    except ProtocolError:
        return {}
