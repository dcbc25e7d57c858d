"""The four panes and what feeds them. What the keys do is in `main_screen`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from moat_tui.screen.approvals_desk import ANNOUNCE_EVERY, ApprovalsDesk
from moat_tui.screen.models.chain_states import ChainState, ChainStates
from moat_tui.screen.models.moments import plural
from moat_tui.screen.models.pieces import shorten_path
from moat_tui.screen.models.run_rows import freeze_alarm
from moat_tui.screen.models.visible import visible
from moat_tui.screen.models.welcome import terminal_title
from moat_tui.screen.panes.audit import AuditPane
from moat_tui.screen.panes.grants import GrantsPane
from moat_tui.screen.panes.pane import Pane
from moat_tui.screen.panes.requests import RequestsPane
from moat_tui.screen.panes.runs import RunsPane
from moat_tui.screen.panes.welcome import Welcome
from moat_tui.screen.problems import explain, report
from moat_tui.screen.reader import ApprovalsRead, GrantsRead, Reader, ReadFailed, RunsRead
from moat_tui.screen.request_reader import RequestReader
from moat_tui.screen.requests_read import RequestsRead
from moat_tui.screen.watch import (
    ChainAbsent,
    ChainFailed,
    ChainProgress,
    ChainVerified,
    ChainWatch,
    InstallationLooked,
)
from moat_tui.screen.widgets.key_footer import KeyFooter

if TYPE_CHECKING:
    from engine import RunInfo
    from moat_tui.screen.app import MoatApp

AGES_EVERY = 1.0
ALARM_FOR = 20.0  # seconds


class Board(Screen[None]):
    """run_id: selected at first. Three threads read; what they find arrives here as messages."""

    AUTO_FOCUS = ""  # the welcome has nothing to focus, and the panes behind it must not get the keys
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [  # noqa: RUF012 - as Textual declares it
        (0, "-narrow"),
        (100, "-medium"),
        (170, "-wide"),
    ]
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (32, "-tall")]  # noqa: RUF012

    def __init__(self, *, run_id: str = "") -> None:
        super().__init__()
        self._first_run = run_id
        self._requests_made: dict[str, int] = {}
        self._reading_problem = ""
        self._has_read = False
        self._grants_known = False
        self._seems_new = False  # until the threads have looked
        self._shown_panes = False  # somebody went to a pane although nothing is in it
        self._announced: set[str] = set()
        self._frozen: set[str] = set()  # runs whose frozen network was told
        self.chains = ChainStates()
        self.machine_note = ""  # what the doctor found, for the head of the screen

    @cached_property
    def approvals(self) -> ApprovalsDesk:
        app = cast("MoatApp", self.app)
        return ApprovalsDesk(app, app.face)

    def compose(self) -> ComposeResult:
        yield Static("Moat", id="title-bar", markup=False)
        yield Welcome(id="welcome")
        with Container(id="panes"):
            yield RunsPane(id="runs")
            yield RequestsPane(id="requests")
            yield GrantsPane(id="grants")
            yield AuditPane(id="audit")
        yield KeyFooter()

    def on_mount(self) -> None:
        app = cast("MoatApp", self.app)
        self._now = app.clock
        self._reader = Reader(app.face, self.post_message)
        self._chain_watch = ChainWatch(app.face, self.post_message)
        self._request_reader = self._requests.reader = RequestReader(app.face, self.post_message, app.clock)
        self._lower("requests")
        self._select_run("")
        if self._first_run:
            self._runs.select(self._first_run)
        self._seems_new = not self._first_run and app.face.is_new()
        self._greet()
        if not self.has_class("-first"):
            self._runs.table.focus()
        # After the first paint: what the threads import must not delay it.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.run_worker(self._reader.run, thread=True, group="reader", exit_on_error=False)
        self.run_worker(self._request_reader.run, thread=True, group="requests", exit_on_error=False)
        self.run_worker(self._chain_watch.run, thread=True, group="watch", exit_on_error=False)
        self.set_interval(AGES_EVERY, self._draw_ages)
        self.set_interval(ANNOUNCE_EVERY, self._announce)
        self.app.theme_changed_signal.subscribe(self, self._theme_changed)
        self.begun()

    def _theme_changed(self, _: object) -> None:
        for pane in self.query(Pane):
            self.call_after_refresh(pane.recolour)
        if self.has_class("-first"):
            self.call_after_refresh(
                lambda: self.query_one(Welcome).draw(read_only=cast("MoatApp", self.app).read_only)
            )

    def begun(self) -> None:
        """The threads run and the first picture is painted."""

    def on_unmount(self) -> None:
        self._reader.stop()
        self._request_reader.stop()
        self._chain_watch.stop()

    # The panes

    @property
    def _runs(self) -> RunsPane:
        return self.query_one("#runs", RunsPane)

    @property
    def _requests(self) -> RequestsPane:
        return self.query_one("#requests", RequestsPane)

    @property
    def _grants(self) -> GrantsPane:
        return self.query_one("#grants", GrantsPane)

    @property
    def _audit(self) -> AuditPane:
        return self.query_one("#audit", AuditPane)

    # What the threads found

    @on(RunsRead)
    def _runs_read(self, message: RunsRead) -> None:
        old = self._runs.current
        self._has_read = True
        self._tell_of_freezes(message.runs)
        self._requests_made = message.requests
        self._request_reader.know_runs(message.runs)
        self._grants.know_runs({run.id: run for run in message.runs})
        self._runs.show(message.runs, message.requests, self._now(), message.recent)
        self.chains.keep(run.id for run in message.runs)
        self._chain_watch.watch_also(tuple(run.id for run in message.runs if not run.state.ended))
        self._grants.redraw(self._now())
        self.approvals.know_runs(message.runs)
        if not self._announced.issuperset(self._asking()):
            self._announce()
        run = self._runs.current
        self._count_requests(run.id if run else "")
        if run != old:
            self._requests.describe(run)
            self._audit.describe(run)
        self._greet()
        self._retitle()
        self.refresh_bindings()

    def _tell_of_freezes(self, runs: list[RunInfo]) -> None:
        """Once a run: that its network was frozen is news for everybody."""
        for run in runs:
            if run.frozen and not run.state.ended and run.id not in self._frozen:
                self._frozen.add(run.id)
                self.app.bell()
                self.app.notify(
                    f"{visible(run.name)}: {visible(run.frozen)}",
                    title="Network frozen",
                    severity="error",
                    markup=False,
                    timeout=ALARM_FOR,
                )

    @on(RequestsRead)
    def _requests_read(self, message: RequestsRead) -> None:
        if message.run_id in ("", self._runs.selected):
            self._requests.take(message)
            if message.reset:
                self.refresh_bindings()
        message.taken()

    @on(ApprovalsRead)
    def _approvals_read(self, message: ApprovalsRead) -> None:
        self.approvals.take(message.waiting)
        self._runs.waiting = self.approvals.queue.counts()
        self._runs.redraw(self._now())
        self._retitle()
        self.refresh_bindings()

    def _asking(self) -> list[str]:
        return [run.id for run in self._runs.runs.values() if run.policy == "ask" and not run.state.ended]

    def _announce(self) -> None:
        """Runs with the policy `ask` refuse at once where nobody is there to answer. A read-only screen
        cannot answer, so it does not say that it is there."""
        asking = self._asking()
        self._announced = set(asking)
        if asking and not cast("MoatApp", self.app).read_only:
            self.run_worker(
                self.approvals.announce(asking), group="announce", exclusive=True, exit_on_error=False
            )

    @on(GrantsRead)
    def _grants_read(self, message: GrantsRead) -> None:
        self._grants.show(message.grants, self._now(), message.uses)
        self._runs.know_uses(message.uses)
        self._greet(grants_read=True)
        self._retitle()
        self.refresh_bindings()

    @on(ReadFailed)
    def _read_failed(self, message: ReadFailed) -> None:
        if message.error is None:
            self._reading_problem = ""
        else:
            self._reading_problem = explain(message.error)[0]
            report(self.app, f"The {message.what} cannot be read", message.error)
        self._retitle()

    @on(ChainProgress)
    def _chain_progress(self, message: ChainProgress) -> None:
        self.chains.under_way(message.run_id, message.done, message.total)
        if message.run_id == self._runs.selected:
            self._audit.progress(message.done, message.total)

    @on(ChainVerified)
    def _chain_verified(self, message: ChainVerified) -> None:
        self.note_chain(message.run_id, state := message.state(self._now()))
        if message.run_id == self._runs.selected:
            self._audit.show(state, message.entries)

    @on(InstallationLooked)
    def _installation_looked(self, message: InstallationLooked) -> None:
        self._audit.show_anchors(message.anchors, message.problem)
        if message.missing is not None and (gone := self.chains.note_missing(message.missing)):
            self._alarm("Run missing", ", ".join(map(visible, gone)))
        self._retitle()

    @on(ChainAbsent)
    def _chain_absent(self, message: ChainAbsent) -> None:
        self.note_chain(message.run_id, ChainState(self._now()))
        if message.run_id == self._runs.selected:
            self._audit.nothing_yet()

    @on(ChainFailed)
    def _chain_failed(self, message: ChainFailed) -> None:
        why = " ".join(explain(message.error))
        self.note_chain(message.run_id, ChainState(self._now(), None, why))
        if message.run_id == self._runs.selected:
            self._audit.failed(why)

    def note_chain(self, run_id: str, state: ChainState) -> None:
        """Remember a verification's result; that the chain of a live run is broken is news for everybody."""
        news = self.chains.note(run_id, state)
        run = self._runs.runs.get(run_id)
        if news and run is not None and not run.state.ended:
            error = state.problem or (visible(state.verdict.error) if state.verdict else "")
            self._alarm("Audit chain broken", f"{visible(run.name)}: {error}")
        self._retitle()

    def _alarm(self, title: str, text: str) -> None:
        self.app.bell()
        self.app.notify(text, title=title, severity="error", markup=False, timeout=ALARM_FOR)

    def note_machine(self, text: str) -> None:
        """What the doctor found, in a few words; empty when all is well."""
        self.machine_note = text
        self._retitle()

    # The selected run

    @on(RunsPane.Selected)
    def _run_selected(self, message: RunsPane.Selected) -> None:
        self._select_run(message.run_id)

    def _select_run(self, run_id: str) -> None:
        run = self._runs.runs.get(run_id)
        self._requests.begin(run)
        self._count_requests(run_id)
        self._audit.begin(run)
        self._request_reader.select(run_id)
        self.chains.watched = run_id
        self._chain_watch.select(run_id)
        self.refresh_bindings()

    def _count_requests(self, run_id: str) -> None:
        made = self._requests_made
        self._requests.set_totals(made.get(run_id, 0), sum(made.values()))

    def _draw_ages(self) -> None:
        self._runs.redraw(self._now())
        self._grants.redraw(self._now())

    def _greet(self, *, grants_read: bool = False) -> None:
        """While there is nothing at all, what to do first stands in place of the panes."""
        self._grants_known = self._grants_known or grants_read
        known = self._has_read and self._grants_known
        new = not (self._runs.runs or self._grants.grants) if known else self._seems_new
        new = new and not self._shown_panes
        if new != self.has_class("-first"):
            self.set_class(new, "-first")
            if new:
                welcome = self.query_one(Welcome)
                welcome.draw(read_only=cast("MoatApp", self.app).read_only)
                self.set_focus(None)  # the panes are not there: their keys would do nothing
            elif self.focused is None:
                self._runs.table.focus()

    def _retitle(self) -> None:
        app = cast("MoatApp", self.app)
        live = sum(not run.state.ended for run in self._runs.runs.values())
        waiting = len(self.approvals.queue.waiting)
        app.title_terminal(terminal_title(live, waiting))
        runs, grants = plural(len(self._runs.runs), "run"), plural(len(self._grants.grants), "grant")
        text = f"Moat   {live} live, {runs}, {grants}" if self._has_read else "Moat"
        if app.read_only:
            text += "   read-only"
        self.query_one("#title-bar").set_class(waiting > 0, "waiting")
        if waiting:
            text = f"⚑ {plural(waiting, 'request')} for you: W   {text}"
        live_runs = self._runs.runs.values()
        alarm = "   ".join(filter(None, (freeze_alarm(live_runs), self.chains.alarm(live_runs))))
        self.query_one("#title-bar").set_class(bool(alarm), "alarm")
        text = f"{alarm}   {text}" if alarm else text
        if self.machine_note:
            text += f"   {self.machine_note}"
        if self._reading_problem:
            text += f"   ✗ {self._reading_problem}"
        room = max(0, self.size.width - 2 - len(text) - 3)
        home = shorten_path(app.home_label, "", room) if room > 8 else ""
        self.query_one("#title-bar", Static).update(Content(text + "   " + home.rjust(room)))

    def on_resize(self) -> None:
        self._retitle()
        self.call_after_refresh(self._point_to_hidden)

    # Moving about

    def action_jump(self, name: str) -> None:
        self._shown_panes = True
        self._greet()
        zoomed = self.maximized is not None
        if zoomed:
            self.minimize()
        pane = self.query_one(f"#{name}", Pane)
        self._lower(name)
        if zoomed:
            self.maximize(pane, container=False)
        # A pane that was hidden can take the focus only once it is laid out.
        self.call_after_refresh(pane.focus_main)

    def _lower(self, name: str) -> None:
        """On a narrow screen one pane stands under the runs: this one, unless it is the runs."""
        if name == "runs":
            return
        for pane in self.query(Pane):
            pane.set_class(pane.id == name, "-current")
        self._point_to_hidden()

    def _point_to_hidden(self) -> None:
        narrow = self.has_class("-narrow")
        lower = [pane for pane in self.query(Pane) if pane.id != "runs"]
        for pane in lower:
            others = "   ".join(f"{other.number} {other.title}" for other in lower if other is not pane)
            pane.point_to(others if narrow else "")

    def action_zoom(self) -> None:
        if self.maximized is not None:
            self.minimize()
            return
        pane = self._focused_pane()
        if pane is not None:
            self.maximize(pane, container=False)

    def action_unzoom(self) -> None:
        if self.maximized is not None:
            self.minimize()

    def _focused_pane(self) -> Pane | None:
        if self.focused is None:
            return None
        return next((node for node in self.focused.ancestors_with_self if isinstance(node, Pane)), None)
