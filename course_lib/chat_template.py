"""Mistral's instruct format: how a chat is written for the model.

Every user turn stands between ``[INST]`` and ``[/INST]``, and every answer ends in ``</s>``. In
Mistral v0.3 (and in tiny-mistral) ``[INST]`` and ``[/INST]`` are control tokens, and a system
prompt stands before the last user turn, two newlines apart. In v0.1 and v0.2 they are ordinary
text, and a system prompt stands before the first user turn.

References
----------
Mistral AI, `mistral-common`, instruct tokenizers v1 and v3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_lib.tokenizer import Tokenizer

Message = Mapping[str, str]
Turn = tuple[str, str]  # role, content

# The same form in Jinja, as a GGUF file carries it. No space follows a control token: the
# tokenizer puts one before every text, and a second one would change the ids.
JINJA_TEMPLATE = """\
{%- if messages[0]["role"] == "system" %}
    {%- set system = messages[0]["content"] + "\\n\\n" %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set system = "" %}
    {%- set turns = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in turns %}
    {%- if (message["role"] == "user") != (loop.index0 % 2 == 0) %}
        {{- raise_exception("user and assistant must take turns, the user first") }}
    {%- elif message["role"] == "user" %}
        {{- "[INST]" + (system if turns[loop.index0 + 2:] | length == 0 else "") }}
        {{- message["content"] + "[/INST]" }}
    {%- else %}
        {{- message["content"] + eos_token }}
    {%- endif %}
{%- endfor %}"""


class ChatFormatError(ValueError):
    """A list of messages that is not a chat."""


def format_mistral_prompt(instruction: str, system: str | None = None) -> str:
    r"""Return one instruction as Mistral expects it, without ``<s>``: the tokenizer adds that.

    Examples
    --------
    >>> format_mistral_prompt("Name a colour.", system="Be brief.")
    '[INST] Be brief.\n\nName a colour. [/INST]'
    """
    return f"[INST] {_joined(system, instruction)} [/INST]"


def render_chat(messages: Sequence[Message]) -> str:
    """Return a chat as text, without ``<s>``: for reading, and for models that take text.

    This is the form of v0.1 and v0.2, with a system prompt in the first turn. A model should get
    the ids of `encode_chat` instead: in a text, a user who types ``[/INST]`` cannot be told from
    the end of the turn.

    Parameters
    ----------
    messages : sequence of {"role": ..., "content": ...}
        An optional system message, then user and assistant in turn, the user first.

    Raises
    ------
    ChatFormatError
        When roles are unknown, out of order, or a content is not text.

    Examples
    --------
    >>> render_chat([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    '[INST] Hi [/INST] Hello</s>'
    """
    parts = []
    for role, content in _with_system(*read_turns(messages), turn=0):
        if role == "user":
            parts.append(f"[INST] {content} [/INST]")
        else:
            parts.append(f" {content}</s>")
    return "".join(parts)


def encode_chat(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """Return the ids of a chat, ready for the model to answer.

    Contents are encoded as plain text, so nothing a user types becomes a control token.

    Parameters
    ----------
    tokenizer : Tokenizer
        Its vocabulary decides the form: with ``[INST]`` as a control token that of v0.3,
        otherwise that of v0.1 and v0.2.
    messages : sequence of {"role": ..., "content": ...}
        As for `render_chat`.

    Returns
    -------
    list of int

    Raises
    ------
    ChatFormatError
        When roles are unknown, out of order, or a content is not text.

    Examples
    --------
    >>> from course_lib.tokenizer import Tokenizer, train_bpe
    >>> tokenizer = Tokenizer(train_bpe(["Hi"], 270, ["[INST]", "[/INST]"]))
    >>> ids = encode_chat(tokenizer, [{"role": "user", "content": "Hi"}])
    >>> [tokenizer.piece(i) for i in ids]
    ['<s>', '[INST]', '▁', 'H', 'i', '[/INST]']
    """
    begin, end = (tokenizer.control_ids.get(mark) for mark in ("[INST]", "[/INST]"))
    marks_are_text = begin is None or end is None
    system, turns = read_turns(messages)
    last_user = (len(turns) - 1) // 2 * 2
    ids = [tokenizer.bos_id]
    for role, content in _with_system(system, turns, turn=0 if marks_are_text else last_user):
        if role == "assistant":
            ids += [*tokenizer.encode(content, add_bos=False), tokenizer.eos_id]
        elif marks_are_text:
            ids += tokenizer.encode(f"[INST] {content} [/INST]", add_bos=False)
        else:
            ids += [begin, *tokenizer.encode(content, add_bos=False), end]
    return ids


def _joined(system: str | None, content: str) -> str:
    return f"{system}\n\n{content}" if system else content


def _with_system(system: str | None, turns: list[Turn], turn: int) -> list[Turn]:
    """Put the system prompt before the content of one turn."""
    role, content = turns[turn]
    return [*turns[:turn], (role, _joined(system, content)), *turns[turn + 1 :]]


def read_turns(messages: Sequence[Message]) -> tuple[str | None, list[Turn]]:
    """Check a chat and return its system prompt, if any, and its (role, content) turns.

    Raises
    ------
    ChatFormatError
        As `render_chat`.
    """
    if isinstance(messages, (str, Mapping)):
        raise ChatFormatError(
            f"a chat is a list of messages, [{{'role': 'user', 'content': ...}}], and not one "
            f"{type(messages).__name__}."
        )
    if not messages:
        raise ChatFormatError("a chat needs at least one message with the role 'user'.")
    turns = [_checked(index, message) for index, message in enumerate(messages)]
    system = turns.pop(0)[1] if turns[0][0] == "system" else None
    for index, (role, _) in enumerate(turns):
        expected = "assistant" if index % 2 else "user"
        if role != expected:
            raise ChatFormatError(
                f"turn {index + 1} has the role {role!r}, but {expected!r} is due: user and "
                "assistant take turns, the user first, after at most one system message."
            )
    if not turns:
        raise ChatFormatError("a chat needs a user message beside the system message.")
    return system, turns


def _checked(index: int, message: Message) -> tuple[str, str]:
    try:
        role, content = message["role"], message["content"]
    except (TypeError, KeyError):
        raise ChatFormatError(
            f"message {index + 1} must be a dict with 'role' and 'content', not {message!r}."
        ) from None
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        raise ChatFormatError(
            f"message {index + 1} has the role {role!r} and a content of type "
            f"{type(content).__name__}; use 'system', 'user' or 'assistant' and a string."
        )
    return role, content
