"""What takes longer than a moment says so, and can be given up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.leaving import LeftOnce

MOMENT = 0.3  # seconds; what is done by then never opens a window


class GivenUp(Exception):
    """The person did not want to wait for it."""


class ProgressDialog(ModalScreen[None], LeftOnce[None]):
    CSS_PATH = STYLES
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Cancel", id="progress.cancel", tooltip="Do not wait for it"),
    ]

    def __init__(self, what: str) -> None:
        """what: plain text, already made visible."""
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -small"):
            yield Static(f"◌ {self._what}", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel (esc)", id="cancel")

    @on(Button.Pressed)
    def action_give_up(self) -> None:
        self.dismiss(None)


async def with_progress[T](app: App[Any], what: str, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. Raises what it raises, and GivenUp when the person cancelled it."""

    async def kept() -> tuple[T | None, Exception | None]:
        try:
            return await work, None
        except Exception as error:  # a task group would wrap it
            return None, error

    async with asyncio.TaskGroup() as group:
        working = group.create_task(kept())
        await asyncio.wait({working}, timeout=MOMENT)
        if not working.done():
            window = ProgressDialog(what)

            def give_up(_: None) -> None:
                working.cancel()

            app.push_screen(window, give_up)
            await asyncio.wait({working})
            if window.is_current:
                window.dismiss(None)
    if working.cancelled():
        raise GivenUp
    result, error = working.result()
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # None only when T allows it
