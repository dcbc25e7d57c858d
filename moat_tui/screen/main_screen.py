"""The main screen: what the keys do to what the four panes show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches

from moat_tui.screen.grants_desk import GrantsDesk
from moat_tui.screen.models.grant_rows import by_profile
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import explain
from moat_tui.screen.runs_desk import RunsDesk
from moat_tui.screen.terminal_keys import TerminalKeys
from moat_tui.screen.widgets.short_table import ShortTable

if TYPE_CHECKING:
    from engine import RunInfo, RunRequest
    from moat_tui.screen.app import MoatApp

REAP_EVERY = 10.0


class MainScreen(TerminalKeys):
    """start: a run to start at once."""

    HELP = """
# Moat
Four panes on the runs of this home. `1` to `4` jump to a pane, `z` enlarges it, and `ctrl+p` finds any
action by its name.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "start_run", "Start", id="run.start", tooltip="Start a run"),
        Binding("a", "add_grant", "Grant", id="grant.add", tooltip="Store a credential to grant to runs"),
        Binding("z", "zoom", "Zoom", id="view.zoom", tooltip="Enlarge the pane, or put it back"),
        Binding("1", "jump('runs')", "Runs", show=False, id="pane.runs", tooltip="Go to the runs"),
        Binding(
            "2", "jump('requests')", "Requests", show=False, id="pane.requests", tooltip="Go to the requests"
        ),
        Binding(
            "A",
            "all_requests",
            "All runs",
            show=False,
            id="request.all-runs",
            tooltip="The requests of all runs in one list, or of the selected run again",
        ),
        Binding("3", "jump('grants')", "Grants", show=False, id="pane.grants", tooltip="Go to the grants"),
        Binding("4", "jump('audit')", "Audit", show=False, id="pane.audit", tooltip="Go to the audit chain"),
        Binding(
            "slash",
            "filter_requests",
            "Filter",
            key_display="/",
            show=False,
            id="view.filter",
            tooltip="Show some of the requests",
        ),
        Binding(
            "W",
            "open_approvals",
            "Waiting",
            show=False,
            id="approval.open",
            tooltip="Requests that wait for your answer",
        ),
        Binding("D", "open_doctor", "Doctor", show=False, id="doctor.open", tooltip="Is this machine ready?"),
        Binding(
            "X", "kill_run", "Kill", show=False, id="run.kill", tooltip="Kill the selected run; asks first"
        ),
        Binding(
            "escape", "unzoom", "Back", show=False, id="view.unzoom", tooltip="Put an enlarged pane back"
        ),
    ]

    def __init__(self, *, run_id: str = "", start: RunRequest | None = None) -> None:
        super().__init__(run_id=run_id)
        self._first_start = start
        self._stopping: set[str] = set()

    def on_mount(self) -> None:
        app = cast("MoatApp", self.app)
        self._runs_desk = RunsDesk(app, app.face)
        self._grants_desk = GrantsDesk(app, app.face)

    def begun(self) -> None:
        if not cast("MoatApp", self.app).read_only:
            self.set_interval(REAP_EVERY, self._reap)
            self._reap()
        if self._first_start is not None:
            self._start_first(self._first_start)

    # What can be done now

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """None greys an action out."""
        if not cast("MoatApp", self.app).allows(action):
            return None
        if not self.is_mounted:
            return True
        try:
            possible = self._possible(action)
        except NoMatches:  # asked before the panes are there
            possible = True
        return True if possible else None

    def _possible(self, action: str) -> bool:
        run = self._runs.current
        if action in ("stop_run", "kill_run"):
            return run is not None and not run.state.ended
        if action == "destroy_run":
            return run is not None and run.state.ended
        if action == "open_approvals":
            return self.approvals.queue.current is not None
        if action in ("open_output", "start_again", "rename_run"):
            return run is not None
        if action in ("open_terminal", "attach_run", "open_shell"):
            return self.terminal_action_possible(action)
        if action in ("open_workspace", "snapshot_run"):
            return run is not None and bool(run.workspace)
        if action in ("verify", "open_audit"):
            return bool(self._runs.selected)
        if action in ("show_grant", "replace_grant", "revoke_grant"):
            return bool(self._grants.grants)
        return self.request_action_possible(action)

    # Runs

    def action_start_run(self) -> None:
        self._open_start_form(None, "")

    def action_start_again(self) -> None:
        run = self._runs.current
        if run is not None:
            from moat_tui.screen.models.start_form import like, missing_values

            self._open_start_form(like(run), missing_values(run.env, os.environ), env=run.env)

    def _open_start_form(self, request: RunRequest | None, problem: str, *, env: Sequence[str] = ()) -> None:
        from moat_tui.screen.dialogs.start_run import StartRunDialog

        form = StartRunDialog(
            self._runs_desk.launch,
            by_profile(self._grants.grants.values()),
            cast("MoatApp", self.app).face.describe,
            recent=list(
                dict.fromkeys(
                    filter(None, (run.repository or run.workspace for run in self._runs.runs.values()))
                )
            ),
            request=request,
            problem=problem,
            env=env,
            decoys=cast("MoatApp", self.app).plants_decoys,
        )
        self.app.push_screen(form, self._started)

    def _started(self, info: RunInfo | None) -> None:
        if info is None:
            return
        self._reader.refresh()
        self._runs.select(info.id)

    @work(group="start", exit_on_error=False)
    async def _start_first(self, request: RunRequest) -> None:
        self.app.notify("Starting…", markup=False, timeout=3)
        try:
            self._started(await self._runs_desk.launch(request, self._said_by_start))
        except Exception as error:
            self._open_start_form(request, "✗ " + "\n".join(explain(error)))

    def _said_by_start(self, line: str) -> None:
        self.app.notify(visible(line), markup=False, timeout=6)

    def action_stop_run(self) -> None:
        run = self._runs.current
        if run is not None:
            # The second time it is not asked to end but killed.
            self._stop(run, kill=run.id in self._stopping or run.state == "stopping")

    def action_kill_run(self) -> None:
        if self._runs.current is not None:
            self._stop(self._runs.current, kill=True)

    @work(group="stop", exit_on_error=False)
    async def _stop(self, run: RunInfo, *, kill: bool) -> None:
        self._stopping.add(run.id)
        try:
            await self._runs_desk.stop(run, kill=kill)
        finally:
            self._stopping.discard(run.id)
        self._reader.refresh()

    @work(group="runs", exclusive=True, exit_on_error=False)
    async def action_destroy_run(self) -> None:
        if self._runs.current is not None:
            await self._runs_desk.destroy(self._runs.current)
            self._reader.refresh()

    @work(group="runs", exclusive=True, exit_on_error=False)
    async def action_rename_run(self) -> None:
        if self._runs.current is not None:
            await self._runs_desk.rename(self._runs.current)
            self._reader.refresh()

    @work(group="snapshot", exclusive=True, exit_on_error=False)
    async def action_snapshot_run(self) -> None:
        if self._runs.current is not None:
            await self._runs_desk.snapshot(self._runs.current)

    @work(group="workspace", exclusive=True, exit_on_error=False)
    async def action_open_workspace(self) -> None:
        if self._runs.current is not None:
            await self._runs_desk.open_workspace(self._runs.current)

    @on(ShortTable.Opened, "#runs-table")
    def action_open_output(self) -> None:
        from moat_tui.screen.output_screen import OutputScreen

        run = self._runs.current
        if run is not None:
            self.app.push_screen(OutputScreen(run))

    def _reap(self) -> None:
        if self._live_anywhere():
            self._reap_dead()

    def _live_anywhere(self) -> bool:
        return not self._runs.runs or any(not run.state.ended for run in self._runs.runs.values())

    @work(group="reap", exclusive=True, exit_on_error=False)
    async def _reap_dead(self) -> None:
        """Close the runs whose supervisor has died. A failure is left to the next command, which says it."""
        from engine import MoatError

        try:
            closed = await cast("MoatApp", self.app).face.reap()
        except (MoatError, OSError):
            return
        for run in closed:
            self.app.notify(
                f"{run.name} was interrupted: its supervisor died.", severity="warning", markup=False
            )

    @work(group="leave", exclusive=True, exit_on_error=False)
    async def leave(self) -> None:
        """Quit, after asking about the runs that were started here."""
        if await self._runs_desk.may_leave(self._runs.runs):
            self.app.exit(0)

    def action_open_approvals(self) -> None:
        self.approvals.open()

    # Audit

    def action_verify(self) -> None:
        self._audit.progress(0, 0)
        self._chain_watch.verify_again()

    def action_open_audit(self) -> None:
        self.open_audit(self._runs.selected)

    def open_audit(self, run_id: str, seq: int = 0) -> None:
        """The audit log of a run in full, at the entry `seq` or at its newest."""
        from moat_tui.screen.audit_screen import AuditScreen

        if run_id:
            self.app.push_screen(
                AuditScreen(
                    run_id,
                    runs=lambda: list(self._runs.runs.values()),
                    chains=self.chains,
                    found=self.note_chain,
                    seq=seq,
                )
            )

    def action_open_doctor(self) -> None:
        from moat_tui.screen.doctor_screen import DoctorScreen

        self.app.push_screen(DoctorScreen(found=self.note_machine))

    # Grants

    @work(group="grants", exclusive=True, exit_on_error=False)
    async def action_add_grant(self) -> None:
        if await self._grants_desk.add():
            self._reader.refresh()

    @on(ShortTable.Opened, "#grants-table")
    @work(group="grants", exclusive=True, exit_on_error=False)
    async def action_show_grant(self) -> None:
        grant = self._grants.current
        if grant is not None:
            await self._grants_desk.show(grant, self._grants.report(grant, self._now()))

    @work(group="grants", exclusive=True, exit_on_error=False)
    async def action_replace_grant(self) -> None:
        grant = self._grants.current
        if grant is not None and await self._grants_desk.add(instead_of=grant):
            self._reader.refresh()

    @work(group="grants", exclusive=True, exit_on_error=False)
    async def action_revoke_grant(self) -> None:
        grant = self._grants.current
        if grant is not None and await self._grants_desk.revoke(grant):
            self._reader.refresh()
