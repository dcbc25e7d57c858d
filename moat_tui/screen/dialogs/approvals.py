"""Requests that wait for a person: let go once, for the run, always, or refused. The default is nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.dialogs.report import ReportBody
from moat_tui.screen.leaving import LeftOnce
from moat_tui.screen.models.approval_lines import approval_lines, list_line, place
from moat_tui.screen.models.approval_queue import Key, Waiting
from moat_tui.screen.models.moments import plural

if TYPE_CHECKING:
    from moat_tui.screen.app import MoatApp
    from moat_tui.screen.approvals_desk import ApprovalsDesk

_READ_ONLY = "This screen is read-only: answer with moat approve, or in another screen."
_HELP = "Run, Always, Never: this host and port, any method and path."


class ApprovalsDialog(ModalScreen[None], LeftOnce[None]):
    """Shows what the desk's queue holds; `redraw` when that has changed, every second for the time."""

    CSS_PATH = STYLES
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (32, "-tall")]  # noqa: RUF012
    AUTO_FOCUS = ""  # no button: enter and space do nothing
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "answer_approval('once')", "Once", id="approval.once", tooltip="Let this request go"),
        Binding(
            "r", "answer_approval('run')", "This run", id="approval.run",
            tooltip="Let requests to this host and port go until the run ends",
        ),
        Binding(
            "a", "answer_approval('always')", "Always", id="approval.always",
            tooltip="The same for every run: a rule in your config.yaml",
        ),
        Binding("d", "answer_approval('deny')", "Deny", id="approval.deny", tooltip="Refuse this request"),
        Binding(
            "n", "answer_approval('deny-run')", "Never", id="approval.deny-run",
            tooltip="Refuse requests to this host and port until the run ends",
        ),
        Binding("up,k", "step(-1)", "Previous", show=False, id="approval.previous", tooltip="The one before"),
        Binding("down,j", "step(1)", "Next", show=False, id="approval.next", tooltip="The next one"),
        Binding("escape,W", "close", "Later", id="approval.close", tooltip="Leave it waiting"),
    ]  # fmt: skip

    def __init__(self, desk: ApprovalsDesk) -> None:
        super().__init__()
        self._desk = desk
        self._asked: Key | None = None  # what the answer under way is about

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(id="approvals-title", classes="dialog-title", markup=False)
            with VerticalScroll(id="approval", can_focus=False):
                yield ReportBody([])
            with VerticalScroll(id="approvals-list", can_focus=False):
                yield ReportBody([])
            yield Static(id="approval-help", classes="quiet", markup=False)
            with Horizontal(id="answers", classes="buttons"):
                yield Button("Once (o)", id="once")
                yield Button("Run (r)", id="run")
                yield Button("Always (a)", id="always")
                yield Button("Deny (d)", id="deny", variant="error")
                yield Button("Never (n)", id="deny-run", variant="error")

    def on_mount(self) -> None:
        self._desk.queue.disturb(time.monotonic())
        self.set_interval(1.0, self.redraw)
        self.redraw()

    def redraw(self) -> None:
        app = cast("MoatApp", self.app)
        queue = self._desk.queue
        current = queue.current
        if current is None:
            if self.is_active:  # what somebody reads above it is theirs to close
                self.dismiss()
            return
        now = app.clock()
        title = f"{plural(len(queue.waiting), 'request')} for you to allow or deny"
        self.query_one("#approvals-title", Static).update(title)
        self.query_one("#approval ReportBody", ReportBody).show(
            approval_lines(current.approval, self._desk.name_of(current.run_id), now)
        )
        others = self.query_one("#approvals-list")
        others.display = len(queue.waiting) > 1
        self.query_one("#approvals-list ReportBody", ReportBody).show(
            [
                list_line(item.approval, self._desk.name_of(item.run_id), chosen=item.key == current.key)
                for item in queue.waiting
            ]
        )
        others.scroll_to(y=max(0, queue.waiting.index(current) - 1), animate=False)
        self.query_one("#approval-help", Static).update(_READ_ONLY if app.read_only else _HELP)
        for button in self.query(Button):
            button.disabled = app.read_only

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return True if cast("MoatApp", self.app).allows(action) else None

    def on_key(self, event: events.Key) -> None:
        """A key that means nothing here is a person still typing what they were at."""
        bound = self.active_bindings.get(event.key)
        if bound is None or bound.node is not self:
            self._desk.queue.disturb(time.monotonic())

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.action_answer_approval(event.button.id or "")

    def action_answer_approval(self, answer: str) -> None:
        current = self._desk.queue.current
        if current is None or not self._allowed() or not self._desk.queue.heard(time.monotonic()):
            return
        if self._asked != current.key:
            self._asked = current.key
            self._answer(current, answer)

    def _allowed(self) -> bool:
        return cast("MoatApp", self.app).allows("answer_approval")

    def _answer(self, waiting: Waiting, answer: str) -> None:
        async def carry_out() -> None:
            try:
                await self._desk.answer(waiting, answer, place(waiting.approval))
            finally:
                self._asked = None

        self.app.run_worker(carry_out(), group="approvals", exit_on_error=False)

    def action_step(self, step: int) -> None:
        self._desk.queue.step(step, time.monotonic())
        self.redraw()

    def action_close(self) -> None:
        self.dismiss()
