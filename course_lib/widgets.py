"""What a learner can look at and play with: tokens in colour, a chat window."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_lib.chat_window import ChatWindow
from course_lib.tokenizer import Tokenizer, TokenizerError, TokenType

if TYPE_CHECKING:
    import ipywidgets

__all__ = ["ChatWindow", "TokenView", "token_explorer", "token_view"]

_COLOURS = ("#fde68a", "#bae6fd", "#fecaca", "#bbf7d0", "#ddd6fe")  # black text on each: 12:1
_BOX = (
    "display:inline-block;margin:1px;padding:1px 4px;border:1px solid #57534e;border-radius:4px;"
    "color:#000;white-space:pre;line-height:1.5"
)
_SILENT_BOX = _BOX + ";border-style:dashed;font-style:italic"  # control and byte tokens


@dataclass(frozen=True)
class TokenView:
    """The tokens of a text, each in a box of its own: HTML in a notebook, plain text elsewhere.

    Control and byte tokens have a dashed border; pointing at a box shows the token's id.

    Attributes
    ----------
    ids : tuple of int
    pieces : tuple of str
    token_types : tuple of TokenType
    n_characters : int
        Length of the text.

    Examples
    --------
    >>> from course_lib.tokenizer import train_bpe
    >>> token_view("low <b>", Tokenizer(train_bpe(["low lower lowest"], 270)))
    ▁low|▁|<0x3C>|<0x62>|<0x3E>  (5 tokens, 7 characters)
    """

    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    token_types: tuple[TokenType, ...]
    n_characters: int

    def __repr__(self) -> str:
        return f"{'|'.join(self.pieces)}  ({self._summary()})"

    def _repr_html_(self) -> str:
        boxes = "".join(map(self._box, range(len(self.ids))))
        return f"<div style='font-size:1.1em'>{boxes}</div><div>{self._summary()}</div>"

    def _box(self, index: int) -> str:
        is_text = self.token_types[index] in (TokenType.NORMAL, TokenType.USER_DEFINED)
        style = f"{_BOX if is_text else _SILENT_BOX};background:{_COLOURS[index % len(_COLOURS)]}"
        piece = html.escape(self.pieces[index].replace("\n", "⏎").replace("\t", "⇥"))
        return f"<span style='{style}' title='{self.ids[index]}'>{piece}</span>"

    def _summary(self) -> str:
        return f"{len(self.ids)} tokens, {self.n_characters} characters"


def token_view(text: str, tokenizer: Tokenizer, *, parse_control: bool = False) -> TokenView:
    """Show how `tokenizer` cuts `text`.

    Parameters
    ----------
    text : str
    tokenizer : Tokenizer
    parse_control : bool
        As for `Tokenizer.encode`.

    Raises
    ------
    TokenizerError
        When `text` is not valid Unicode.
    """
    ids = tokenizer.encode(text, add_bos=False, parse_control=parse_control)
    return TokenView(
        ids=tuple(ids),
        pieces=tuple(tokenizer.piece(i) for i in ids),
        token_types=tuple(tokenizer.vocabulary.token_types[i] for i in ids),
        n_characters=len(text),
    )


def token_explorer(tokenizer: Tokenizer, text: str) -> ipywidgets.VBox:
    """Return a text box whose tokens are shown below it at every keystroke."""
    import ipywidgets

    box = ipywidgets.Textarea(value=text, layout={"width": "95%", "height": "4.5em"})
    shown = ipywidgets.HTML()

    def show(change: dict) -> None:
        try:
            shown.value = token_view(change["new"], tokenizer)._repr_html_()
        except TokenizerError as error:
            shown.value = html.escape(str(error))

    box.observe(show, names="value")
    show({"new": text})
    return ipywidgets.VBox([box, shown])
