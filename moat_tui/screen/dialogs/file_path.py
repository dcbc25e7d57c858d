"""Asking for the path of a file."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.leaving import LeftOnce
from moat_tui.screen.named_files import PathSuggester


class FilePathDialog(ModalScreen[str], LeftOnce[str]):
    """Dismissed with what was typed, empty when nothing is to be done. yes: the word on the button."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#path"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="file-path.cancel", tooltip="Do nothing"),
    ]

    def __init__(self, title: str, text: str, *, value: str = "", yes: str) -> None:
        super().__init__()
        self._heading = title
        self._details = text
        self._value = value
        self._yes = yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._heading, classes="dialog-title", markup=False)
            yield Static(self._details, classes="dialog-text", markup=False)
            yield Input(self._value, id="path", compact=True, suggester=PathSuggester())
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button(self._yes, id="yes", variant="primary")

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _given(self) -> None:
        value = self.query_one("#path", Input).value.strip()
        if value:
            self.dismiss(value)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.dismiss("")
