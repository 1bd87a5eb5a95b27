"""A chat in the notebook: type, read along as the model answers, stop it, begin anew."""

from __future__ import annotations

import asyncio
import html
import threading
import time
from typing import TYPE_CHECKING

from course_lib.chat_model import ChatModel
from course_lib.chat_service import ChatService, ServiceClosedError
from course_lib.exercises.messages import find_prose, language

if TYPE_CHECKING:
    import ipywidgets

_SECONDS_BETWEEN_UPDATES = 0.1
_BUBBLE = (
    "max-width:85%;width:fit-content;margin:4px 6px;padding:4px 10px;border-radius:10px;"
    "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.45;"
    "color:var(--jp-content-font-color1,#111);"
)
_STYLES = {
    "user": _BUBBLE
    + "margin-left:auto;background:var(--jp-brand-color3,#c7dbff);width:fit-content",
    "assistant": _BUBBLE + "background:var(--jp-layout-color2,#eee);width:fit-content",
    "notice": _BUBBLE + "font-style:italic;border:1px dashed var(--jp-border-color1,#999)",
}


class ChatWindow:
    """A conversation with a model, as a widget.

    Return sends a message. All that is shown is text: tags and Markdown stay as they were typed.
    Labels are in the language of the edition.

    Parameters
    ----------
    model : LocalLLM, RemoteLLM or another ChatModel
    system : str
        What the model is told before the conversation; it can be changed in the window.
    max_tokens : int
        Where an answer stops; likewise.
    context_tokens : int, optional
        For a model that does not tell how much its context holds.

    Attributes
    ----------
    service : ChatService
    box : ipywidgets.VBox
        What is displayed.

    Raises
    ------
    ValueError
        As `ChatService`.

    Examples
    --------
    >>> from course_lib.local_llm import LocalLLM
    >>> with LocalLLM("tiny") as llm:
    ...     window = ChatWindow(llm)
    ...     window.send("한국의 수도는?")
    ...     window.wait()
    >>> window.messages[-1]
    ('assistant', '한국의 수도는 서울입니다.')
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        system: str = "",
        max_tokens: int = 256,
        context_tokens: int | None = None,
    ) -> None:
        self.service = ChatService(
            model, system=system, max_tokens=max_tokens, context_tokens=context_tokens
        )
        self.messages: list[tuple[str, str]] = []  # role or "notice", text
        self._language = language()
        self._id = object()
        self._worker: threading.Thread | None = None
        self._end_reply = lambda: None
        self._stop_wanted = threading.Event()
        self._build(system, max_tokens)
        self._show()

    def __repr__(self) -> str:
        return f"ChatWindow({type(self.service.model).__name__})"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        bundle = {"application/vnd.jupyter.widget-view+json": view, "text/plain": repr(self)}
        display(bundle, raw=True)

    def send(self, message: str) -> None:
        """Send a message, and return at once; while an answer is written nothing is sent."""
        if self._is_writing or not message.strip():
            return
        self._stop_wanted.clear()
        self._worker = threading.Thread(target=self._converse, args=(message,), daemon=True)
        self.messages.append(("user", message))
        self._set_writing(True)
        self._worker.start()

    def stop(self) -> None:
        """End the answer that is being written; what has been said stays."""
        self._stop_wanted.set()
        self._end_reply()

    def clear(self) -> None:
        """Begin a new conversation."""
        self.stop()
        self.wait()
        self.service.forget(self._id)
        self.messages.clear()
        self._show()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until no answer is being written."""
        if self._worker is not None:
            self._worker.join(timeout_s)

    @property
    def _is_writing(self) -> bool:
        return self._worker is not None and self._worker.is_alive()

    def _converse(self, message: str) -> None:
        """Get one answer, in a thread of its own."""
        try:
            asyncio.run(self._read(message))
        finally:
            self._set_writing(False)

    async def _read(self, message: str) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._end_reply = lambda: loop.is_closed() or loop.call_soon_threadsafe(task.cancel)
        if self._stop_wanted.is_set():  # before there was anything to end
            task.cancel()
        options = {"temperature": self._temperature.value, "max_tokens": self._max_tokens.value}
        self.service.system = self._system.value
        shown_at, answer = 0.0, ""
        try:
            async for piece in self.service.reply(self._id, message, **options):
                answer += piece
                if time.monotonic() - shown_at > _SECONDS_BETWEEN_UPDATES:
                    self._show(answer)
                    shown_at = time.monotonic()
        except asyncio.CancelledError:
            self._append(answer, notice=self._prose("stopped"))
        except ServiceClosedError:
            self._append(answer, notice=self._prose("closed"))
        except Exception as error:
            self._append(answer, notice=str(error) or type(error).__name__)
        else:
            self._append(answer)
        self._end_reply = lambda: None

    def _append(self, answer: str, notice: str = "") -> None:
        if answer:
            self.messages.append(("assistant", answer))
        if notice:
            self.messages.append(("notice", notice))

    def _build(self, system: str, max_tokens: int) -> None:
        import ipywidgets as w

        most_tokens = self.service.context_tokens // 2
        self._past, self._current, self._counter = w.HTML(), w.HTML(), w.HTML()
        self._text = w.Text(
            placeholder=self._prose("placeholder"), layout={"flex": "1 1 auto", "width": "auto"}
        )
        self._temperature = w.FloatSlider(value=0, min=0, max=2, step=0.1)
        self._max_tokens = w.IntSlider(
            value=max_tokens, min=1, max=max(most_tokens, max_tokens), continuous_update=False
        )
        self._system = w.Textarea(value=system, continuous_update=False)
        self._send, self._stop, self._clear = (
            w.Button(description=self._prose(name), icon=icon, layout={"width": "auto"})
            for name, icon in (("send", "paper-plane"), ("stop", "stop"), ("clear", "trash"))
        )
        # Reversed columns keep the newest line in sight, without a script
        log = w.Box(
            [self._current, self._past],
            layout={
                "flex_flow": "column-reverse",
                "height": "320px",
                "overflow": "auto",
                "border": "1px solid grey",
            },
        )
        settings = [
            w.VBox([w.Label(self._prose(name)), control])
            for name, control in (
                ("temperature", self._temperature),
                ("max_tokens", self._max_tokens),
                ("system", self._system),
            )
        ]
        drawer = w.Accordion([w.HBox(settings, layout={"flex_flow": "row wrap"})])
        drawer.set_title(0, self._prose("settings"))
        drawer.selected_index = None
        buttons = [self._send, self._stop, self._clear]
        self.box = w.VBox([log, w.HBox([self._text, *buttons]), self._counter, drawer])
        self._text.on_msg(self._on_key)
        self._send.on_click(lambda _: self._send_typed())
        self._stop.on_click(lambda _: self.stop())
        self._clear.on_click(lambda _: self.clear())

    def _on_key(self, _: ipywidgets.Text, content: dict, __: object) -> None:
        if content.get("event") == "submit":  # the return key
            self._send_typed()

    def _send_typed(self) -> None:
        if not self._is_writing:
            message, self._text.value = self._text.value, ""
            self.send(message)

    def _set_writing(self, is_writing: bool) -> None:
        self._send.disabled, self._stop.disabled = is_writing, not is_writing
        self._show()

    def _show(self, answer: str = "") -> None:
        self._past.value = "".join(map(self._bubble, self.messages))
        self._current.value = self._bubble(("assistant", answer)) if answer else ""
        self._counter.value = html.escape(self._usage())

    def _bubble(self, message: tuple[str, str]) -> str:
        role, text = message
        who = html.escape(self._prose(role), quote=True)
        return f'<div style="{_STYLES[role]}" title="{who}">{html.escape(text)}</div>'

    def _usage(self) -> str:
        usage = self.service.usage(self._id)
        if usage is None:
            return self._prose("empty_counter").format(context=self.service.context_tokens)
        seconds = usage.total_s - usage.first_piece_s
        return self._prose("counter").format(
            used=usage.n_prompt + usage.n_new,
            context=self.service.context_tokens,
            new=usage.n_new,
            speed=round((usage.n_new - 1) / seconds) if seconds > 0 and usage.n_new > 1 else "–",
            forgotten=usage.n_forgotten,
        )

    def _prose(self, name: str) -> str:
        return find_prose(f"chat_window.{name}", self._language)
