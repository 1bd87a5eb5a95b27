"""What is sent to an OpenAI-compatible server, and what its answers mean."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from course_lib.engine_options import GenerationOptions
from course_lib.event_stream import EventStreamError, read_events
from course_lib.generation_usage import GenerationUsage
from course_lib.remote_connection import Answer
from course_lib.remote_errors import (
    ProtocolError,
    Quoter,
    RemoteContextOverflowError,
    RequestRefusedError,
    error_in_event,
    not_understood,
)

# Options that OpenAI's own API does not have, with the names that llama.cpp and vLLM give them
_EXTRA_FIELDS = {
    "top_k": ("top_k",),
    "min_p": ("min_p",),
    "repeat_penalty": ("repeat_penalty", "repetition_penalty"),
}
_EXTRA_NAMES = {name for names in _EXTRA_FIELDS.values() for name in names}
_MAY_BE_REFUSED = _EXTRA_NAMES | {"seed", "stream_options"}
_MAX_SEED = 2**31  # some servers read it as a signed number of 32 bits


def option_fields(options: GenerationOptions) -> dict[str, Any]:
    """Return the options under the names that servers give them, without stop strings.

    All are sent, also those that have their default here: servers have other defaults.
    """
    fields: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": int(options.max_tokens),
        "temperature": float(options.temperature),
        "top_p": float(options.top_p),
        "top_k": int(options.top_k),
        "min_p": float(options.min_p),
        "repeat_penalty": float(options.repeat_penalty),
        "repetition_penalty": float(options.repeat_penalty),
    }
    if options.seed is not None:
        fields["seed"] = int(options.seed)
    elif options.temperature > 0:  # llama_cpp.server would draw the same one again
        fields["seed"] = int.from_bytes(os.urandom(4), "big") % _MAX_SEED
    return fields


def refused_fields(error: RequestRefusedError, sent: set[str], chosen: set[str]) -> set[str]:
    """Return the fields that a server does not take and that can be left out.

    Parameters
    ----------
    error : RequestRefusedError
    sent : set of str
        The fields of the request.
    chosen : set of str
        The options that the caller has set; they are not dropped silently.

    Raises
    ------
    RequestRefusedError
        When there is no such field, or when it is one that the caller has set.
    """
    named = {name for name in _MAY_BE_REFUSED & sent if name in error.words}
    is_about_fields = error.status in (400, 422)
    if not named or not is_about_fields or isinstance(error, RemoteContextOverflowError):
        raise error
    for option in sorted(chosen):
        if named & {*_EXTRA_FIELDS.get(option, (option,))}:
            raise RequestRefusedError(
                f"this server does not take the option {option} as it is. Leave it out, or mend "
                f"it. It says: {error.words}",
                error.status,
                error.words,
            ) from None
    return named | _EXTRA_NAMES if named & _EXTRA_NAMES else named


def read_answer(answer: Answer, quote: Quoter) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of an answer, whether it comes as a stream or in one piece.

    Raises
    ------
    RemoteError
        When an event is an error, or nothing that a model would say.
    """
    if answer.content_type == "application/json":  # a server that does not stream
        yield answer.json()
        return
    if answer.content_type != "text/event-stream":
        raise not_understood(next(answer.chunks(), b""), answer.content_type, quote)
    try:
        for data in read_events(answer.chunks()):
            if data.strip() == "[DONE]":
                return
            try:
                event = json.loads(data)
            except (ValueError, RecursionError):
                event = None
            if not isinstance(event, dict):
                raise not_understood(data, answer.content_type, quote)
            if event.get("error"):
                raise error_in_event(event, quote)
            yield event
    except EventStreamError as error:
        raise ProtocolError(
            f"the server's stream cannot be read: {quote(str(error))}. Check that base_url is an "
            "OpenAI-compatible server."
        ) from None


def read_choice(event: dict[str, Any], quote: Quoter) -> tuple[str, bool]:
    """Return the text in an event, and whether the text ends with it.

    Examples
    --------
    >>> read_choice({"choices": [{"delta": {"content": "Hi"}, "finish_reason": None}]}, Quoter())
    ('Hi', False)
    """
    choices = event.get("choices")
    if choices == [] or (choices is None and "usage" in event):
        return "", False
    choice = choices[0] if isinstance(choices, list) else None
    if isinstance(choice, dict):
        said = choice.get("delta") or choice.get("message")
        text = said.get("content") if isinstance(said, dict) else choice.get("text")
        if text is None or isinstance(text, str):
            return text or "", choice.get("finish_reason") is not None
    raise not_understood(json.dumps(event, ensure_ascii=False), "an event", quote)


def record_usage(event: dict[str, Any], usage: GenerationUsage) -> None:
    """Take over the server's own account, if the event has it."""
    told = event.get("usage")
    if not isinstance(told, dict):
        return
    details = told.get("prompt_tokens_details")
    counts = {
        "n_prompt": told.get("prompt_tokens"),
        "n_new": told.get("completion_tokens"),
        "n_reused": details.get("cached_tokens") if isinstance(details, dict) else None,
    }
    for name, count in counts.items():
        if isinstance(count, int):
            setattr(usage, name, count)
