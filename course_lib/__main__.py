"""The course in a terminal: ``python -m course_lib doctor``, ``ask``, ``chat`` and others."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_lib.chat_model import ChatModel
    from course_lib.chat_service import ChatService

_EXIT_WRONG_USE = 2
_EXIT_INTERRUPTED = 130
_EXIT_BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the command line when left out.

    Returns
    -------
    int
        0 when all went well, 1 after an error, 2 for a wrong command line,
        130 when interrupted, 141 when nobody reads the output any more.
    """
    _speak_utf8()
    options = _parser().parse_args(arguments)
    try:
        status = options.run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or exiting complains
        return _EXIT_BROKEN_PIPE
    except Exception as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m course_lib", description="Run an LLM on your own machine."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    doctor = commands.add_parser("doctor", help="what is here, what is missing, how to fix it")
    doctor.set_defaults(run=_doctor)

    ask = commands.add_parser("ask", help="ask a model, and read along as it answers")
    ask.add_argument("question", help='such as "한국의 수도는 어디인가요?"; - reads it from stdin')
    ask.add_argument("--model", default="tiny", help="a name or a .gguf file (default: tiny)")
    ask.add_argument(
        "--max-tokens", type=_token_count, default=256, help="where to stop (default: 256)"
    )
    ask.set_defaults(run=_ask)

    chat = commands.add_parser(
        "chat", help="talk with a model; Ctrl-C stops an answer, Ctrl-D ends"
    )
    chat.add_argument("--model", default="tiny", help="a name or a .gguf file (default: tiny)")
    chat.add_argument("--system", help="what the model is told before the conversation")
    chat.add_argument(
        "--server", metavar="URL", help="talk with a server's model; its key in COURSE_API_KEY"
    )
    chat.add_argument(
        "--context",
        type=_token_count,
        default=4096,
        metavar="TOKENS",
        help="of a server that does not tell its own (default: 4096)",
    )
    chat.set_defaults(run=_chat)

    models = commands.add_parser("models", help="the models that can be downloaded")
    models.set_defaults(run=_models)

    predict = commands.add_parser(
        "predict", help="how fast a model would be here, before any download"
    )
    predict.add_argument("name", help="such as mistral-7b-instruct; see 'models'")
    predict.add_argument("--level", help="another quantization, such as Q8_0")
    predict.set_defaults(run=_predict)

    download = commands.add_parser("download", help="get a model, checked by its SHA-256")
    download.add_argument("name", help="such as mistral-7b-instruct; see 'models'")
    download.add_argument("--directory", help="where to (default: COURSE_MODELS, or models)")
    download.set_defaults(run=_download)

    inspect = commands.add_parser("inspect", help="what is in a GGUF file")
    inspect.add_argument("file", metavar="FILE.gguf")
    inspect.add_argument("--tensors", action="store_true", help="list every tensor too")
    inspect.set_defaults(run=_inspect)
    return parser


def _doctor(options: argparse.Namespace) -> int:
    from course_lib.doctor import doctor

    report = doctor()
    print(report)
    return 0 if report.ok else 1


def _ask(options: argparse.Namespace) -> int:
    question = _question(options.question)
    if not question.strip():
        print('error: the question is empty. Try: ask "한국의 수도는 어디인가요?"', file=sys.stderr)
        return _EXIT_WRONG_USE
    from course_lib.local_llm import LocalLLM

    messages = [{"role": "user", "content": question}]
    with LocalLLM(options.model) as llm:
        for piece in llm.stream_chat(messages, max_tokens=options.max_tokens):
            print(_safe(piece), end="", flush=True)
    print()
    return 0


def _chat(options: argparse.Namespace) -> int:
    import asyncio

    from course_lib.chat_service import ChatService, MessageTooLongError

    with _chat_model(options) as model:
        n_ctx = getattr(model, "n_ctx", None) or options.context
        service = ChatService(
            model, system=options.system, context_tokens=n_ctx, max_tokens=min(256, n_ctx // 2)
        )
        while (question := _next_line()).strip():
            try:
                asyncio.run(_print_reply(service, question))
            except MessageTooLongError as error:
                print(f"({_one_line(error)})")
            except KeyboardInterrupt:
                print(" (stopped)")
    return 0


def _chat_model(options: argparse.Namespace) -> ChatModel:
    if options.server is None:
        from course_lib.local_llm import LocalLLM

        return LocalLLM(options.model)
    from course_lib.remote_llm import RemoteLLM

    return RemoteLLM(options.server, options.model, os.environ.get("COURSE_API_KEY"))


async def _print_reply(service: ChatService, question: str) -> None:
    async for piece in service.reply("terminal", question):
        print(_safe(piece), end="", flush=True)
    print()
    usage = service.usage("terminal")
    if usage and usage.n_forgotten:
        print(f"(turns forgotten to make room: {usage.n_forgotten})", file=sys.stderr)


def _next_line() -> str:
    """Read a line, with a prompt if somebody sits there; empty at the end."""
    if sys.stdin.isatty():
        print("> ", end="", flush=True)
    return sys.stdin.buffer.readline().decode("utf-8", "replace").rstrip("\r\n")


def _models(options: argparse.Namespace) -> int:
    from course_lib.download import find_downloaded, model_folder
    from course_lib.model_catalog import MODELS

    for entry in MODELS.values():
        here = "here" if find_downloaded(entry) else f"{entry.size_bytes / 1e9:.2f} GB"
        memory = f"takes {entry.memory_bytes() / 1e9:.1f} GB"
        languages = " ".join(entry.languages[:4]) + (" …" if len(entry.languages) > 4 else "")
        print(f"{entry.name:25} {here:>8}  {memory:13}  {languages:13} {entry.licence}")
    print(f"kept in {_safe(str(model_folder()))}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from course_lib.benchmark import predict_speed
    from course_lib.model_catalog import find_entry

    entry = find_entry(options.name)
    level = options.level or entry.level
    found = predict_speed(entry.config, level)
    print(f"{entry.title} at {level}, with {found.n_threads} threads of this processor:")
    for what, speed in (
        ("writes", found.decode_tokens_per_s),
        ("reads", found.prefill_tokens_per_s),
    ):
        print(f"{what:7} {speed.median:7.1f} tokens a second ({speed.low:.1f} to {speed.high:.1f})")
    print(f"takes   {found.memory.total / 1e9:7.1f} GB of memory")
    print("Other programs that compute make it slower, and the prediction as well.")
    return 0


def _download(options: argparse.Namespace) -> int:
    from course_lib.download import download_model

    print(_safe(str(download_model(options.name, options.directory))))
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from course_lib.gguf_file import inspect_gguf

    info = inspect_gguf(options.file)
    print(info)
    if options.tensors:
        print(info.tensor_table())
    return 0


def _question(argument: str) -> str:
    """Take the question from the command line, or from stdin for ``-``, as UTF-8."""
    # fsencode gives the bytes that were typed, however the locale has read them
    data = sys.stdin.buffer.read() if argument == "-" else os.fsencode(argument)
    return data.decode("utf-8-sig", "replace")


def _token_count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count} is not a positive number of tokens")
    return count


def _safe(text: str) -> str:
    r"""Escape control characters, which could steer the terminal, but keep lines.

    Examples
    --------
    >>> _safe("서울\n\x1b[2J")
    '서울\n\\x1b[2J'
    """
    return "".join(
        c if c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f") else ascii(c)[1:-1]
        for c in text
    )


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    is_meant_for_people = text and isinstance(error, OSError | ValueError | RuntimeError)
    return _safe(text if is_meant_for_people else f"{type(error).__name__}: {text}")


def _speak_utf8() -> None:
    """Write UTF-8 whatever the locale or code page says: there Hangul would be an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
