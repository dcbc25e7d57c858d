"""A workspace's agent.yaml asks for more than was approved: a person decides."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Static

from moat_tui.screen.dialogs.confirm import ConfirmDialog
from moat_tui.screen.models.visible import visible


class ApproveDialog(ConfirmDialog):
    """True when the person lets the run have what is listed in `asks`."""

    def __init__(self, workspace: str, asks: Sequence[str]) -> None:
        super().__init__(
            "This workspace asks for more than you have approved", visible(workspace), yes="Allow and start"
        )
        self._asks = [visible(ask) for ask in asks]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="dialog-title", markup=False)
            yield Static(self._details, classes="quiet", markup=False)
            with VerticalScroll(id="asks", can_focus=False):
                for ask in self._asks:
                    yield Static(f"• {ask}", markup=False)
            yield Static(
                "The agent itself can write this file. Allow only what you expect it to need.",
                classes="dialog-text",
                markup=False,
            )
            with Horizontal(classes="buttons"):
                yield Button("No (n)", id="no", variant="primary")
                yield Button(f"{self._yes} (y)", id="yes", variant="error")
