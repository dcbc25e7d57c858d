"""The frame that every pane has: a numbered title, a border that shows the focus, a way to enlarge."""

from __future__ import annotations

from textual.containers import Vertical
from textual.content import Content


class Pane(Vertical):
    """`number` is the key that jumps to it; its `main` widget takes the focus."""

    ALLOW_MAXIMIZE = True
    number = 0
    title = ""
    main = ""  # id of the widget that takes the focus

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._below = ""
        self._elsewhere = ""

    def on_mount(self) -> None:
        self.retitle()

    def retitle(self, note: str = "") -> None:
        """The title, and `note` beside it. Nothing in either is markup."""
        text = f"{self.number} {self.title}"
        self.border_title = Content(f"{text} · {note}" if note else text)

    def subtitle(self, text: str) -> None:
        """A word under the pane."""
        self._below = text
        self.border_subtitle = Content("  │  ".join(part for part in (text, self._elsewhere) if part))

    def point_to(self, others: str) -> None:
        """Which panes are hidden behind this one, with their keys; empty when none are."""
        self._elsewhere = others
        self.subtitle(self._below)

    def recolour(self) -> None:
        """The theme has changed: draw again what holds colours."""

    def focus_main(self) -> None:
        self.query_one(f"#{self.main}").focus()
