"""What stands in place of the panes while there are neither runs nor grants."""

from __future__ import annotations

from typing import ClassVar

from textual.widgets import Static

from moat_tui.screen.models.welcome import welcome_lines
from moat_tui.screen.theme import ROLE_CLASSES, text_of_lines


class Welcome(Static):
    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, markup=False)

    def draw(self, *, read_only: bool) -> None:
        self.update(text_of_lines(self, welcome_lines(read_only=read_only)))
