"""Asking before something that cannot be undone. The answer is No unless Yes is chosen."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.leaving import LeftOnce


class ConfirmDialog(ModalScreen[bool], LeftOnce[bool]):
    """title, text: plain text, already made visible. yes: the word on the button that does it."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer(False)", "No", id="confirm.no", tooltip="Do nothing"),
        Binding("y", "answer(True)", "Yes", id="confirm.yes", tooltip="Do it"),
        Binding("left,right,up,down,h,l,j,k", "app.focus_next", "Other", show=False, id="confirm.other"),
    ]

    def __init__(self, title: str, text: str, *, yes: str, no: str = "No") -> None:
        super().__init__()
        self._question = title
        self._details = text
        self._yes = yes
        self._no = no

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -small"):
            yield Static(self._question, classes="dialog-title", markup=False)
            yield Static(self._details, classes="dialog-text", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(f"{self._no} (n)", id="no", variant="primary")
                yield Button(f"{self._yes} (y)", id="yes", variant="error")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
