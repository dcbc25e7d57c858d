"""A window with lines to read and nothing to decide."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.leaving import LeftOnce
from moat_tui.screen.models.pieces import Piece
from moat_tui.screen.theme import ROLE_CLASSES, text_of_lines
from moat_tui.screen.widgets.key_footer import KeyFooter


class ReportBody(Static):
    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES

    def __init__(self, lines: list[list[Piece]]) -> None:
        super().__init__(markup=False)
        self._report = lines

    def show(self, lines: list[list[Piece]]) -> None:
        """These lines instead."""
        self._report = lines
        self._draw()

    def on_mount(self) -> None:
        self._draw()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._theme_changed())

    def _theme_changed(self) -> None:
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        self.update(text_of_lines(self, self._report))


class ReportScroll(VerticalScroll, can_focus=True):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, id="report.down", tooltip="One line down"),
        Binding("k", "scroll_up", "Up", show=False, id="report.up", tooltip="One line up"),
        Binding("g", "scroll_home", "Start", show=False, id="report.first", tooltip="To the start"),
        Binding("G", "scroll_end", "End", show=False, id="report.last", tooltip="To the end"),
    ]


class ReportDialog(ModalScreen[None], LeftOnce[None]):
    CSS_PATH = STYLES
    AUTO_FOCUS = "ReportScroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "close", "Close", id="report.close", tooltip="Back to the panes"),
    ]

    def __init__(self, title: str, lines: list[list[Piece]]) -> None:
        super().__init__()
        self._heading = title
        self._report = lines

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -report"):
            yield Static(self._heading, classes="dialog-title", markup=False)
            with ReportScroll():
                yield ReportBody(self._report)
        yield KeyFooter(show_command_palette=False)

    def action_close(self) -> None:
        self.dismiss(None)
