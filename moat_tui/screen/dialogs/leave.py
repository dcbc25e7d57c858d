"""Leaving while runs that were started here are still live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.leaving import LeftOnce
from moat_tui.screen.models.moments import plural


class LeaveDialog(ModalScreen[str], LeftOnce[str]):
    """Dismissed with `leave`, `stop` or `stay`."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#leave"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "answer('leave')", "Leave running", id="leave.leave", tooltip="Quit; the runs go on"),
        Binding("x", "answer('stop')", "Stop them", id="leave.stop", tooltip="Stop the runs, then quit"),
        Binding("escape,n", "answer('stay')", "Stay", id="leave.stay", tooltip="Do not quit"),
        Binding("left,up", "app.focus_previous", "Previous", show=False, id="leave.previous"),
        Binding("right,down", "app.focus_next", "Next", show=False, id="leave.next"),
    ]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names

    def compose(self) -> ComposeResult:
        shown = ", ".join(self._names[:6]) + (
            f" and {len(self._names) - 6} more" if len(self._names) > 6 else ""
        )
        with Vertical(classes="dialog -small"):
            yield Static(
                f"Quit with {plural(len(self._names), 'run')} still live?",
                classes="dialog-title",
                markup=False,
            )
            yield Static(
                f"{shown}\n\nThey do not need this screen: `moat` shows them again.",
                classes="dialog-text",
                markup=False,
            )
            with Horizontal(classes="buttons"):
                yield Button("Leave running (l)", id="leave", variant="primary")
                yield Button("Stop them (x)", id="stop", variant="error")
                yield Button("Stay (n)", id="stay")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id or "stay")

    def action_answer(self, choice: str) -> None:
        self.dismiss(choice)
