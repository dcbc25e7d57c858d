"""One line of choices with their numbers; a click chooses, and so does the digit before each."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.message import Message
from textual.widgets import Static

from moat_tui.screen.models.pieces import Piece
from moat_tui.screen.theme import ROLE_CLASSES, text_of

GAP = "   "


class TypeBar(Static):
    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES

    class Chosen(Message):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._tabs: list[tuple[str, list[Piece]]] = []

    def show(self, tabs: list[tuple[str, list[Piece]]]) -> None:
        """tabs: (name, how it looks), left to right."""
        self._tabs = tabs
        line: list[Piece] = []
        for _, pieces in tabs:
            line += [*pieces, (GAP, "")]
        self.update(text_of(self, line))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        at = 0
        for name, pieces in self._tabs:
            width = sum(cell_len(text) for text, _ in pieces)
            if at <= offset.x < at + width and offset.y == 0:
                self.post_message(TypeBar.Chosen(name))
                return
            at += width + len(GAP)
