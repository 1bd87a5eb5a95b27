"""Chats in the form of any model: its own template, with what people type kept as text."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from course_lib.chat_template import ChatFormatError, Message, read_turns
from course_lib.engine_turns import EngineError

if TYPE_CHECKING:
    from llama_cpp import Llama


def encode_with_template(engine: Llama, template: str, messages: Sequence[Message]) -> list[int]:
    """Return the ids of a chat as a model's own template writes it.

    The template is a small program that came with the model's file, so it runs in a sandbox. It
    gets place-holders instead of the messages' contents: only its own words may become control
    tokens, and contents are encoded as plain text.

    Parameters
    ----------
    engine : llama_cpp.Llama
    template : str
        In Jinja, as ``tokenizer.chat_template`` has it.
    messages : sequence of {"role": ..., "content": ...}
        As for `course_lib.chat_template.encode_chat`.

    Returns
    -------
    list of int
        They begin with one begin-of-sequence token, if the model has one.

    Raises
    ------
    ChatFormatError
        When the messages are not a chat, or the template refuses them.
    EngineError
        When the template is damaged.
    """
    system, turns = read_turns(messages)
    if system is not None:
        turns = [("system", system), *turns]
    mark = secrets.token_hex(8)  # which nobody can have typed
    text = _rendered(engine, template, [(role, f"{mark}{i}.") for i, (role, _) in enumerate(turns)])
    ids: list[int] = []
    for i, part in enumerate(re.split(rf"{mark}(\d+)\.", text)):
        is_content = i % 2 == 1
        piece = turns[int(part)][1] if is_content else part
        if piece:
            ids += engine.tokenize(piece.encode(), add_bos=False, special=not is_content)
    bos_id = engine.token_bos()
    needs_bos = engine._model.add_bos_token() and ids[:1] != [bos_id]
    return [bos_id, *ids] if needs_bos else ids


def _rendered(engine: Llama, template: str, turns: list[tuple[str, str]]) -> str:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(reason: str) -> None:
        raise ChatFormatError(f"this model's chat form does not allow it: {reason}")

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(template).render(
            messages=[{"role": role, "content": content} for role, content in turns],
            add_generation_prompt=True,
            enable_thinking=False,  # Qwen3 then answers at once
            bos_token=_piece(engine, engine.token_bos()),
            eos_token=_piece(engine, engine.token_eos()),
        )
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, ChatFormatError):
            raise
        raise EngineError(f"the chat template of this model cannot be used: {error}") from None


def _piece(engine: Llama, token_id: int) -> str:
    return engine._model.token_get_text(token_id) if token_id >= 0 else ""
