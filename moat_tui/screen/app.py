"""The application: themes, palette, keymap and the way out. What there is to see is `main_screen`."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.pieces import shorten_path
from moat_tui.screen.theme import DARK, LIGHT

if TYPE_CHECKING:
    from textual.command import Provider

    from engine import RunRequest


def _commands() -> type[Provider]:
    from moat_tui.screen.commands import MoatCommands

    return MoatCommands


def utc_now() -> datetime:
    return datetime.now(UTC)


class MoatApp(App[int]):
    """clock: the time that ages are counted from, aware; a fixed one makes screenshots repeatable."""

    TITLE = "Moat"
    CSS_PATH: ClassVar[list[str | PurePath]] = [
        "app.tcss",
        "main_screen.tcss",
    ]  # a default screen loads no CSS of its own
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Leave; runs go on unless you say otherwise"),
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True, id="app.quit-always", tooltip="Leave"),
        Binding(
            "question_mark", "toggle_help", "Help", key_display="?", id="app.help", tooltip="Keys and help"
        ),
        Binding("ctrl+t", "toggle_theme", "Theme", show=False, id="app.theme", tooltip="Dark or light"),
    ]

    def __init__(
        self,
        face: EngineFace,
        *,
        home_label: str = "",
        run_id: str = "",
        start: RunRequest | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self.face = face
        self.clock = clock
        self.home_label = shorten_path(home_label, os.path.expanduser("~"))
        self._first_run = run_id
        self._first_start = start
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What our style sheets use and Textual's own themes do not define."""
        return {"quiet": "#8a95a8"}

    def get_default_screen(self) -> Screen[None]:
        from moat_tui.screen.main_screen import MainScreen

        return MainScreen(run_id=self._first_run, start=self._first_start)

    def action_toggle_theme(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def action_toggle_help(self) -> None:
        from textual.css.query import NoMatches
        from textual.widgets import HelpPanel

        try:
            self.screen.query_one(HelpPanel)
        except NoMatches:
            self.action_show_help_panel()
        else:
            self.action_hide_help_panel()

    async def action_quit(self) -> None:
        from moat_tui.screen.main_screen import MainScreen

        for screen in self.screen_stack:
            if isinstance(screen, MainScreen):
                screen.leave()
                return
        self.exit(0)

    def _fatal_error(self) -> None:
        # Textual prints the local variables of every frame; one of them could be a credential that is
        # being saved. `show_locals` is the only difference from the method this replaces.
        from rich.segment import Segments
        from rich.traceback import Traceback

        self.bell()
        report = Traceback(show_locals=False, width=None)
        self._exit_renderables.append(Segments(self.console.render(report, self.console.options)))
        self._close_messages_no_wait()
