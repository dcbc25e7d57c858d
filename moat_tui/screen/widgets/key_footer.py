"""The line of keys at the bottom of a screen."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer


class KeyFooter(Footer):
    """Made anew only when its keys are others. Textual's own does that with every change of the focus and
    every refresh of the bindings, which is a good part of what the screen costs.
    """

    def __init__(self, *, show_command_palette: bool = True) -> None:
        super().__init__(show_command_palette=show_command_palette, compact=True)
        self._shown: object = None
        self._asked = False

    def compose(self) -> ComposeResult:
        if self._bindings_ready:
            self._shown = self._keys()
        yield from super().compose()

    def bindings_changed(self, screen: Screen[object]) -> None:
        self._bindings_ready = True
        if self.is_attached and screen is self.screen and screen.app.app_focus and not self._asked:
            self._asked = True
            self.call_after_refresh(self._follow)

    async def _follow(self) -> None:
        self._asked = False
        # On its way out, a screen has lost what its actions ask.
        if self.is_attached and self.display and self._keys() != self._shown:
            await self.recompose()

    def _keys(self) -> object:
        """All that `compose` looks at."""
        return [
            (binding, self.app.get_key_display(binding), enabled, tooltip)
            for _, binding, enabled, tooltip in self.screen.active_bindings.values()
            if binding.show or binding.key == self.app.COMMAND_PALETTE_BINDING
        ]
