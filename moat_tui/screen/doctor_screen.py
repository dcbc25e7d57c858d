"""Is this machine ready for runs, and mending what is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.widgets import Static
from textual.worker import Worker

from moat_tui.screen.dialogs.report import ReportScroll
from moat_tui.screen.leaving import LeftOnce
from moat_tui.screen.models.doctor_report import can_fix, check_lines, head_note, summary
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import explain
from moat_tui.screen.theme import ROLE_CLASSES, text_of_lines
from moat_tui.screen.widgets.key_footer import KeyFooter

if TYPE_CHECKING:
    from engine import CheckResult
    from moat_tui.screen.app import MoatApp

LINES_KEPT = 500


class DoctorScreen(LeftOnce[None]):
    """found: told the few words for the head of the main screen."""

    CSS_PATH = "doctor_screen.tcss"
    AUTO_FOCUS = "ReportScroll"
    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES
    HELP = """
# Doctor
What Moat needs on this machine, each with its state and what to do about it. `F` does what can be done
here, after asking, and says each step before it does it.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "check", "Check again", id="doctor.check", tooltip="Look at this machine again"),
        Binding("F", "fix_machine", "Fix", id="doctor.fix", tooltip="Mend what can be mended; asks first"),
        Binding("escape,q", "back", "Back", id="doctor.back", tooltip="Back; asks while something is mended"),
    ]

    def __init__(self, *, found: Callable[[str], None]) -> None:
        super().__init__()
        self._found = found
        self._results: list[CheckResult] = []
        self._said: list[str] = []
        self._problem: list[str] = []
        self._doing = ""
        self._fixing: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        yield Static("Doctor", id="doctor-title", markup=False)
        yield Static(id="doctor-summary", markup=False)
        with ReportScroll(id="doctor-scroll"):
            yield Static(id="doctor-checks", markup=False)
            yield Static(id="doctor-said", markup=False)
        yield KeyFooter()

    def on_mount(self) -> None:
        self._face = cast("MoatApp", self.app).face
        self.app.theme_changed_signal.subscribe(self, lambda _: self.call_after_refresh(self._draw))
        self.action_check()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    # What is shown

    def _draw(self) -> None:
        head: list[Piece]
        if self._doing:
            head = [("◌ ", "info"), (self._doing, PLAIN)]
        elif self._problem:
            head = [("✗ ", "bad"), (" ".join(self._problem), PLAIN)]
        else:
            head = summary(self._results)
        with suppress(NoMatches):  # on its way out, a screen loses its parts before it is gone
            self._update(head)

    def _update(self, head: list[Piece]) -> None:
        self.query_one("#doctor-summary", Static).update(text_of_lines(self, [head]))
        width = self.query_one("#doctor-scroll").size.width - 2  # and room for the scrollbar
        checks = check_lines(self._results, max(0, width))
        self.query_one("#doctor-checks", Static).update(text_of_lines(self, checks))
        said: list[list[Piece]] = [[("▸ ", "info"), (line, PLAIN)] for line in self._said]
        self.query_one("#doctor-said", Static).update(text_of_lines(self, said))
        self.refresh_bindings()

    def _take(self, results: list[CheckResult]) -> None:
        self._results, self._problem = results, []
        self._found(head_note(results))

    # What can be done

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """None greys an action out."""
        if action == "fix_machine":
            allowed = cast("MoatApp", self.app).allows(action)
            return True if allowed and not self._doing and can_fix(self._results) else None
        if action == "check":
            return None if self._doing else True
        return True

    @work(group="doctor", exclusive=True, exit_on_error=False)
    async def action_check(self) -> None:
        await self._busy("looking at this machine…", self._check)

    async def _check(self) -> None:
        self._take(await self._face.checks())

    @work(group="ask", exclusive=True, exit_on_error=False)
    async def action_fix_machine(self) -> None:
        from moat_tui.screen.dialogs.confirm import ConfirmDialog

        names = ", ".join(
            visible(result.title) for result in self._results if result.fixable and result.state.value != "ok"
        )
        question = ConfirmDialog(
            "Mend this machine?",
            f"This concerns: {names}. Moat may install packages from the system's own mirror, change "
            "Docker's configuration and start Docker, as root or with sudo. Each step is said here.",
            yes="Mend",
        )
        if await self.app.push_screen_wait(question):
            self._fixing = self._fix()

    @work(group="doctor", exclusive=True, exit_on_error=False)
    async def _fix(self) -> None:
        self._said = []
        try:
            await self._busy("mending…", self._mend)
        finally:
            self._fixing = None

    async def _mend(self) -> None:
        self._take(await self._face.fix(self._say))
        self._say("done")

    def _say(self, line: str) -> None:
        self._said = [*self._said, visible(line)][-LINES_KEPT:]
        self._draw()
        self.query_one("#doctor-scroll", ReportScroll).scroll_end(animate=False)

    async def _busy(self, doing: str, work: Callable[[], Awaitable[None]]) -> None:
        self._doing = doing
        self._draw()
        try:
            await work()
        except Exception as error:  # said where the checks would be
            self._problem = explain(error)
        finally:
            self._doing = ""
            if self.is_mounted:
                self._draw()

    @work(group="leave", exclusive=True, exit_on_error=False)
    async def action_back(self) -> None:
        from moat_tui.screen.dialogs.confirm import ConfirmDialog

        if self._fixing is not None:
            question = ConfirmDialog(
                "Stop mending?",
                "What is being installed or configured now may be left half done; mending again goes on "
                "from there.",
                yes="Stop",
            )
            if not await self.app.push_screen_wait(question):
                return
            if self._fixing is not None:
                self._fixing.cancel()
        self.dismiss(None)
