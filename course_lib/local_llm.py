"""Run a model on this machine with llama.cpp: complete a text, answer a chat, stream both."""

from __future__ import annotations

import codecs
import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from course_lib.chat_model import ContextOverflowError
from course_lib.chat_template import Message, encode_chat
from course_lib.engine_chat import encode_with_template
from course_lib.engine_loading import load_engine
from course_lib.engine_options import EngineSettings, GenerationOptions
from course_lib.engine_turns import EngineError, EngineTurns
from course_lib.generation_usage import GenerationUsage
from course_lib.gguf_file import inspect_gguf, validate_gguf
from course_lib.hardware import ModelTooLargeError, recommend_settings
from course_lib.model_lookup import find_model
from course_lib.quiet_engine import captured_chatter
from course_lib.stop_strings import until_stop
from course_lib.tokenizer import Tokenizer, require_valid_unicode

if TYPE_CHECKING:
    from llama_cpp import Llama


class LocalLLM:
    """A model on this machine, ready to write.

    The model loads at once and stays in memory until `close`. One text is written at a time:
    other threads wait for their turn.

    Parameters
    ----------
    model : str or path
        ``"tiny"`` for the model that comes with the course, a name of the catalogue such as
        ``"mistral-7b-instruct"``, or a GGUF file.
    settings : EngineSettings, optional
        What is None in it is chosen for this machine.

    Attributes
    ----------
    path : Path
    settings : EngineSettings
        As the model was loaded.
    n_ctx : int
        Tokens that prompt and answer may have together.
    last_usage : GenerationUsage or None
        Tokens and seconds of the text that was written last.

    Raises
    ------
    ModelNotFoundError
        When there is no such model or file.
    InvalidGGUFError
        When the file is damaged or truncated.
    EngineError
        When llama.cpp cannot load it; carries llama.cpp's own words.

    Examples
    --------
    >>> with LocalLLM() as llm:
    ...     llm.generate("한국의 수도는")
    ' 서울입니다.'
    """

    def __init__(
        self, model: str | os.PathLike[str] = "tiny", settings: EngineSettings | None = None
    ) -> None:
        self.path = find_model(model)
        validate_gguf(self.path)  # before C code sees it
        info = inspect_gguf(self.path)
        self.settings = _completed(settings or EngineSettings(), self.path)
        self.n_ctx = self.settings.n_ctx
        self._template = str(info.metadata.get("tokenizer.chat_template", ""))
        self._has_sentencepiece = info.metadata.get("tokenizer.ggml.model") == "llama"
        self._tokenizer: Tokenizer | None = None
        self.last_usage: GenerationUsage | None = None
        self._turns = EngineTurns()
        # Held in every call into llama.cpp, so that `close` never frees what is being used.
        self._computing = threading.Lock()
        self._tokenizing = threading.Lock()  # apart, because counting should not wait for a step
        self._llama: Llama | None = load_engine(self.path, **asdict(self.settings))

    def generate(self, prompt: str, **options: object) -> str:
        """Continue `prompt` and return the new text.

        Parameters
        ----------
        prompt : str
            Plain text: ``<s>`` or ``[INST]`` in it are characters, not control tokens.
        **options
            The fields of `GenerationOptions`.

        Raises
        ------
        ContextOverflowError
            When the prompt leaves no room for an answer.
        TokenizerError
            When the prompt is not valid text.
        """
        return "".join(self.stream(prompt, **options))

    def stream(self, prompt: str, **options: object) -> Iterator[str]:
        """As `generate`, but yield the text piece by piece as it is written."""
        return self._stream(self._prompt_ids(prompt), continues=bool(prompt), options=options)

    def chat(self, messages: Sequence[Message], **options: object) -> str:
        """Answer a conversation and return the answer.

        Parameters
        ----------
        messages : sequence of {"role": ..., "content": ...}
            See `course_lib.chat_template.encode_chat`.
        **options
            The fields of `GenerationOptions`.

        Raises
        ------
        ChatFormatError
            When the messages are not a chat.
        ContextOverflowError
            When the conversation leaves no room for an answer.
        """
        return "".join(self.stream_chat(messages, **options))

    def stream_chat(self, messages: Sequence[Message], **options: object) -> Iterator[str]:
        """As `chat`, but yield the answer piece by piece as it is written."""
        return self._stream(self._chat_ids(messages), continues=False, options=options)

    def tokenize(self, text: str) -> list[int]:
        """Return the ids that llama.cpp gives plain text, without the begin-of-sequence token.

        Raises
        ------
        TokenizerError
            When the text is not valid Unicode.
        """
        require_valid_unicode(text)
        with self._tokenizing:
            engine = self._engine
            return engine.tokenize(text.encode(), add_bos=False, special=False) if text else []

    def count_tokens(self, text: str) -> int:
        """Return how many tokens `text` has, without the begin-of-sequence token."""
        return len(self.tokenize(text))

    def count_chat_tokens(self, messages: Sequence[Message]) -> int:
        """Return how many tokens a conversation has as a prompt, control tokens included.

        Raises
        ------
        ChatFormatError
            When the messages are not a chat.
        """
        return len(self._chat_ids(messages))

    def next_logits(self, ids: Sequence[int]) -> np.ndarray:
        """Return the score of every token as the next one after `ids`.

        Parameters
        ----------
        ids : sequence of int, length 1 to n_ctx

        Returns
        -------
        np.ndarray, shape (vocab_size,), float32

        Raises
        ------
        ContextOverflowError
            When the context does not hold so many ids.
        ValueError
            When there is no id, or one that the vocabulary does not have.
        """
        if isinstance(ids, str):
            raise ValueError("next_logits wants ids and not a text: take those of tokenize(text).")
        n_vocab, ids = self._engine.n_vocab(), list(ids)
        if not ids or not all(0 <= i < n_vocab for i in ids):
            raise ValueError(f"need one or more ids from 0 to {n_vocab - 1}, not {ids!r:.80}")
        if len(ids) > self.n_ctx:
            raise ContextOverflowError(len(ids), self.n_ctx)
        with self._turns.taken(), self._computing:
            engine = self._engine
            engine.reset()
            engine.eval(ids)
            return np.array(engine._ctx.get_logits_ith(-1)[:n_vocab], dtype=np.float32)

    def forget(self) -> None:
        """Empty the cache, so that the next prompt is read from its beginning."""
        with self._turns.taken(), self._computing:
            self._engine.reset()

    def close(self) -> None:
        """Free the model's memory. A closed model can no longer be used; closing twice is fine."""
        with self._computing, self._tokenizing:
            llama, self._llama = self._llama, None
        if llama is not None:
            with captured_chatter():
                llama.close()

    def __enter__(self) -> LocalLLM:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _engine(self) -> Llama:
        if self._llama is None:
            raise self._closed()
        return self._llama

    def _closed(self) -> EngineError:
        return EngineError("this model is closed. Make a new LocalLLM to use it again.")

    def _prompt_ids(self, prompt: str) -> list[int]:
        ids = self.tokenize(prompt)
        with self._tokenizing:
            engine = self._engine
            if engine._model.add_bos_token() or not ids:
                ids = [max(engine.token_bos(), 0), *ids]
        return ids

    def _chat_ids(self, messages: Sequence[Message]) -> list[int]:
        if self._llama is None:
            raise self._closed()
        if not self._template:
            raise EngineError(
                f"{self.path.name} does not carry a chat form. Use generate() with a prompt in the "
                "form that its model card describes."
            )
        if not self._has_sentencepiece or "[INST]" not in self._template:
            with self._tokenizing:
                return encode_with_template(self._engine, self._template, messages)
        if self._tokenizer is None:
            self._tokenizer = Tokenizer.from_gguf(self.path)
        return encode_chat(self._tokenizer, messages)

    def _stream(self, ids: list[int], continues: bool, options: dict) -> Iterator[str]:
        settings = GenerationOptions.from_names(options)
        if len(ids) >= self.n_ctx:
            raise ContextOverflowError(len(ids), self.n_ctx)
        pieces = self._pieces(ids, settings, drop_space=not continues and self._has_sentencepiece)
        return until_stop(pieces, settings.stops)

    def _pieces(
        self, ids: list[int], options: GenerationOptions, drop_space: bool
    ) -> Iterator[str]:
        """Yield the text of each new token as soon as its characters are whole."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for data in self._new_bytes(ids, options):
            if data and drop_space:
                data, drop_space = data.removeprefix(b" "), False
            if piece := decoder.decode(data):
                yield piece
        if rest := decoder.decode(b"", final=True):
            yield rest

    def _new_bytes(self, ids: list[int], options: GenerationOptions) -> Iterator[bytes]:
        """Yield the bytes of each new token until the model ends its text or a limit is reached."""
        n_left = min(options.max_tokens, self.n_ctx - len(ids))
        if not n_left:
            return
        with self._turns.taken() as turn:
            usage = GenerationUsage(n_prompt=len(ids), n_reused=self._n_reusable(ids))
            new_ids = self._new_ids(ids, options)
            for _ in range(n_left):
                with self._computing:
                    turn.require()
                    with usage.timed():
                        data = self._next_bytes(new_ids)
                self.last_usage = usage
                if data is None:
                    return
                yield data

    def _n_reusable(self, ids: list[int]) -> int:
        """Count the ids at the beginning whose keys and values are still in the cache."""
        engine = self._engine
        held = engine._input_ids[: engine.n_tokens].tolist()
        n_same = next((i for i, (a, b) in enumerate(zip(held, ids)) if a != b), len(held))
        return min(n_same, len(ids) - 1)  # the last one is read again, for its logits

    def _new_ids(self, ids: list[int], options: GenerationOptions) -> Iterator[int]:
        seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "big")
        self._engine.set_seed(int(seed))
        yield from self._engine.generate(
            ids,
            temp=options.temperature,
            top_k=int(options.top_k),
            top_p=options.top_p,
            min_p=options.min_p,
            repeat_penalty=options.repeat_penalty,
        )

    def _next_bytes(self, new_ids: Iterator[int]) -> bytes | None:
        """Compute one token and return its bytes, None for the end of the text."""
        import llama_cpp

        engine = self._engine  # may have been closed meanwhile
        try:
            token_id = next(new_ids)
        except BaseException:
            engine.reset()  # an interrupt leaves its record of the cache one step behind
            raise
        ends_text = llama_cpp.llama_vocab_is_eog(engine._model.vocab, token_id)
        return None if ends_text else _token_bytes(engine, token_id)


def _completed(settings: EngineSettings, path: Path) -> EngineSettings:
    """Fill in what was left to the machine; EngineError when the model does not fit into it."""
    try:
        chosen = asdict(recommend_settings(path, n_ctx=settings.n_ctx))
    except ModelTooLargeError as error:
        raise EngineError(str(error)) from None
    wanted = {name: value for name, value in asdict(settings).items() if value is not None}
    return EngineSettings(**(chosen | wanted))


def _token_bytes(engine: Llama, token_id: int) -> bytes:
    """Return the UTF-8 bytes of a token; those of control tokens are not shown."""
    import llama_cpp

    buffer = ctypes.create_string_buffer(32)
    arguments = (engine._model.vocab, token_id)
    n_bytes = llama_cpp.llama_token_to_piece(*arguments, buffer, len(buffer), 0, False)
    if n_bytes < 0:  # the piece is longer: llama.cpp asks for this much room
        buffer = ctypes.create_string_buffer(-n_bytes)
        n_bytes = llama_cpp.llama_token_to_piece(*arguments, buffer, len(buffer), 0, False)
    return buffer.raw[:n_bytes]
