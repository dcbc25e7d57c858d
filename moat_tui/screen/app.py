"""The application: themes, palette, keymap and the way out. What there is to see is `main_screen`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.handover import Handover
from moat_tui.screen.models.messages import ShowAuditEntry
from moat_tui.screen.models.pieces import shorten_path
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import SHOWN_FOR
from moat_tui.screen.read_only import CHANGING_ACTIONS
from moat_tui.screen.read_only import read_only as refusing_changes
from moat_tui.screen.settings import Settings
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
    """clock: the time that ages are counted from, aware; a fixed one makes screenshots repeatable.

    settings: what config.yaml says. read_only: nothing can be changed, whatever the settings say.
    """

    TITLE = "Moat"
    BINDING_GROUP_TITLE = "Everywhere"
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
        Binding(
            "ctrl+z",
            "suspend_process",
            "Suspend",
            show=False,
            id="app.suspend",
            tooltip="To the shell; `fg` comes back",
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
        settings: Settings | None = None,
        read_only: bool = False,
    ) -> None:
        super().__init__()
        self._settings = settings or Settings()
        self.plants_decoys = self._settings.decoys  # in every run that is not told otherwise
        self.read_only = read_only or self._settings.read_only
        self.face = refusing_changes(face) if self.read_only else face
        self.clock = clock
        self.handover = Handover()
        self._window_title = ""
        self.home_label = shorten_path(home_label, os.path.expanduser("~"))
        self._first_run = run_id
        self._first_start = start
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        wanted = self._settings.theme
        self.theme = wanted if wanted in self.available_themes else DARK.name

    def on_mount(self) -> None:
        if not self.is_headless:
            # Without this the terminal would be left as the screen had set it.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit, 128 + signal.SIGTERM)
        self.call_after_refresh(self._settle)  # after the first picture

    def _settle(self) -> None:
        """Say what was wrong with the settings, apply the keymap, remember the theme from now on."""
        self.theme_changed_signal.subscribe(self, lambda _: self._remember_theme())
        if self._settings.problem:
            self.complain("config.yaml is not used", *self._settings.problem)
        elif self._settings.theme and self._settings.theme not in self.available_themes:
            name = visible(self._settings.theme)
            self.complain(
                "config.yaml", f"There is no theme {name}. ctrl+p, then `choose a theme`, lists all."
            )
        if self._settings.keymap:
            self._apply_keymap()

    @work(group="keymap", exit_on_error=False)
    async def _apply_keymap(self) -> None:
        from moat_tui.screen.keymap import all_places, usable_keymap

        places = await asyncio.to_thread(all_places)
        usable, problems = usable_keymap(self._settings.keymap, places)
        self.set_keymap(usable)
        if problems:
            self.complain("keymap in config.yaml", *(visible(problem) for problem in problems))

    @work(group="theme", exclusive=True, exit_on_error=False)
    async def _remember_theme(self) -> None:
        if self.read_only:
            return
        from moat_tui.screen.problems import report

        try:
            await self.face.remember_theme(self.theme)
        except Exception as error:
            report(self, "The theme is not remembered", error)

    @on(ShowAuditEntry)
    def _show_audit_entry(self, message: ShowAuditEntry) -> None:
        from moat_tui.screen.main_screen import MainScreen

        for screen in self.screen_stack:
            if isinstance(screen, MainScreen):
                screen.open_audit(message.run_id, message.seq)

    def title_terminal(self, text: str) -> None:
        """Put `text`, which holds nothing foreign, into the title of the terminal's window or tab."""
        if text != self._window_title and self._driver is not None:
            # 22;0 keeps the title that was there; `on_unmount` puts it back.
            keep = "" if self._window_title else "\x1b[22;0t"
            self._window_title = text
            self._driver.write(f"{keep}\x1b]0;{text}\x07")

    def on_unmount(self) -> None:
        if self._window_title and self._driver is not None:
            self._driver.write("\x1b[23;0t")

    def complain(self, title: str, *lines: str) -> None:
        """lines: plain text, already made visible."""
        self.notify("\n".join(lines), title=title, severity="warning", markup=False, timeout=SHOWN_FOR)

    def allows(self, action: str) -> bool:
        """False for what would change something while the screen is read-only."""
        return not (self.read_only and action in CHANGING_ACTIONS)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What our style sheets use and Textual's own themes do not define."""
        return {"quiet": "#8a95a8"}

    def get_default_screen(self) -> Screen[None]:
        from moat_tui.screen.main_screen import MainScreen

        return MainScreen(run_id=self._first_run, start=self._first_start)

    def action_toggle_theme(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def action_toggle_help(self) -> None:
        from moat_tui.screen.dialogs.help import HelpDialog

        self.push_screen(HelpDialog(self.screen))

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
