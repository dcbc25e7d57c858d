"""Boxes to tick whose state is a sign and not only a colour.

Textual's own draw the same X ticked and unticked, in another colour: without colours all look ticked.
"""

from __future__ import annotations

from rich.segment import Segment
from textual.content import Content
from textual.strip import Strip
from textual.widgets import Checkbox, SelectionList
from textual.widgets.option_list import OptionDoesNotExist

_BUTTON_CELLS = 4  # what SelectionList draws before each choice: ▐X▌ and a space


def sign(ticked: bool) -> str:
    return "[x]" if ticked else "[ ]"


class Tick(Checkbox):
    """One box with its label."""

    @property
    def _button(self) -> Content:
        return Content(sign(self.value))


class TickList(SelectionList[str]):
    """Choices under each other, each with its box."""

    def render_line(self, y: int) -> Strip:
        line = super().render_line(y)
        try:
            choice = self.get_option_at_index(self.scroll_offset.y + y)
        except OptionDoesNotExist:
            return line
        rest = line.crop(_BUTTON_CELLS)
        style = next(iter(rest)).style if rest.cell_length else None
        box = Segment(sign(choice.value in self.selected) + " ", style)
        return Strip([box, *rest], line.cell_length)
