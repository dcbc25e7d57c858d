"""Screens that are left once, and take with them only what stands on them.

Textual's own `dismiss` takes away whatever is on top: the screen below when it comes twice (a button clicked
twice, an answer from outside just after a key), a dialog above when a worker ends meanwhile.
"""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import Screen


class LeftOnce[Result](Screen[Result]):
    """After ModalScreen among the bases of a class: Textual takes styles and keys from the first alone."""

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Does nothing when it has been left. What stands above it is left with no result first."""
        if self not in self.app.screen_stack:
            return AwaitComplete()
        while not self.is_active:
            self.app.screen.dismiss()
        return super().dismiss(result)
