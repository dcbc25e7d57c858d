"""Another name for a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.leaving import LeftOnce
from moat_tui.screen.problems import explain

if TYPE_CHECKING:
    from engine import RunInfo

type Rename = Callable[[str], Awaitable["RunInfo"]]


class RenameDialog(ModalScreen["RunInfo | None"], LeftOnce["RunInfo | None"]):
    """rename: does it; what it raises is said here, and the name typed can be put right."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#new-name"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", id="rename.cancel", tooltip="Keep the name"),
    ]

    def __init__(self, name: str, rename: Rename) -> None:
        super().__init__()
        self._old = name
        self._rename = rename

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -small"):
            yield Static("Rename the run", classes="dialog-title", markup=False)
            yield Input(self._old, id="new-name", compact=True, max_length=63)
            yield Static(id="problem", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Rename", id="rename", variant="primary")
                yield Button("Cancel (esc)", id="cancel")

    @on(Input.Submitted)
    @on(Button.Pressed, "#rename")
    def _asked(self) -> None:
        name = self.query_one("#new-name", Input).value.strip()
        if name == self._old:
            self.dismiss(None)
        else:
            self._do(name)

    @on(Button.Pressed, "#cancel")
    def action_close(self) -> None:
        self.dismiss(None)

    @work(group="rename", exclusive=True, exit_on_error=False)
    async def _do(self, name: str) -> None:
        try:
            self.dismiss(await self._rename(name))
        except Exception as error:
            problem = self.query_one("#problem", Static)
            problem.update(Content("✗ " + "\n".join(explain(error))))
            problem.add_class("shown", "bad")
            self.query_one("#new-name").focus()
