"""The audit log in full: every entry of a run by type, where its chain breaks, and the chains of all runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from moat_tui.screen.audit_keys import HELP, KEYS
from moat_tui.screen.audit_reader import (
    AuditReader,
    LogIndexed,
    LogProblem,
    NewestRead,
    PageRead,
    PlaceFound,
    Wanted,
)
from moat_tui.screen.leaving import LeftOnce
from moat_tui.screen.missing_runs import InstallationRead, MissingRuns
from moat_tui.screen.models.audit_entry import entry_report, type_choices, type_tabs
from moat_tui.screen.models.audit_head import log_head
from moat_tui.screen.models.audit_pages import Broken, broken_of
from moat_tui.screen.models.chain_states import ChainState, ChainStates, state_pieces
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import explain
from moat_tui.screen.proofs_desk import ProofsDesk
from moat_tui.screen.theme import ROLE_CLASSES, text_of_lines
from moat_tui.screen.verifying import Verification, Verified, Verifying, VerifyingEnded
from moat_tui.screen.widgets.entry_list import EntryList
from moat_tui.screen.widgets.key_footer import KeyFooter
from moat_tui.screen.widgets.line_view import LineView
from moat_tui.screen.widgets.short_table import ShortTable
from moat_tui.screen.widgets.type_bar import TypeBar

if TYPE_CHECKING:
    from engine import Entry, RunInfo
    from moat_tui.screen.app import MoatApp

LOOK_EVERY = 0.5  # seconds between looks at what the other parts of the screen found out
WIDTHS = (16, 14, 8, 8)  # run, chain, entries, verified at


class AuditScreen(LeftOnce[None]):
    """run_id: whose log is shown first; seq: the entry to go to, 0 for the newest.

    runs: the runs there are now; chains: what is known of their chains; found: told what is found out.
    """

    CSS_PATH = "audit_screen.tcss"
    AUTO_FOCUS = "#audit-log"
    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (140, "-medium")]  # noqa: RUF012
    HELP = HELP
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(
        self,
        run_id: str,
        *,
        runs: Callable[[], list[RunInfo]],
        chains: ChainStates,
        found: Callable[[str, ChainState], None],
        seq: int = 0,
    ) -> None:
        super().__init__()
        self._found = found
        self._runs = runs
        self._chains = chains
        self._wanted = Wanted(run_id)
        self._go_to = seq
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._problem: list[str] = []
        self._progress: Verifying | None = None
        self._drawn: object = None
        self._seen = False  # this log has been read since it was chosen

    def compose(self) -> ComposeResult:
        yield Static(id="audit-title", markup=False)
        yield Static(id="audit-verdict", markup=False)
        yield TypeBar(id="audit-types")
        with Horizontal(id="audit-body"):
            yield ShortTable(("RUN", "CHAIN", "ENTRIES", "AT"), id="audit-chains")
            yield EntryList(self._want_page, id="audit-log")
        yield KeyFooter()

    def on_mount(self) -> None:
        app = cast("MoatApp", self.app)
        self._now = app.clock
        self._face = app.face
        self._desk = ProofsDesk(app, app.face)
        self._verification: Verification | None = None
        self._reader = AuditReader(self._face, self.post_message)
        self._missing = MissingRuns(self._face, self.post_message)
        self._chain_table.lay_out(WIDTHS)
        self.run_worker(self._reader.run, thread=True, group="log", exit_on_error=False)
        self.set_interval(LOOK_EVERY, self._look)
        app.theme_changed_signal.subscribe(self, lambda _: self.call_after_refresh(self._recolour))
        self.show_log(self._wanted.run_id, self._go_to)

    def on_unmount(self) -> None:
        self._reader.stop()
        if self._verification is not None:
            self._verification.cancel()

    @property
    def view(self) -> EntryList:
        return self.query_one(EntryList)

    @property
    def _chain_table(self) -> ShortTable:
        return self.query_one("#audit-chains", ShortTable)

    @property
    def _run(self) -> RunInfo | None:
        return next((run for run in self._runs() if run.id == self._wanted.run_id), None)

    @property
    def _broken(self) -> Broken | None:
        state = self._chains.get(self._wanted.run_id)
        return broken_of(state.verdict) if state else None

    # Which log

    def show_log(self, run_id: str, seq: int = 0) -> None:
        """Show this run's log, at the entry `seq` or at its end; a chain nobody has verified is verified."""
        self._show(Wanted(run_id), seq)
        if self._chains.get(run_id) is None and run_id != self._chains.watched:
            self._verify([run_id])

    def _show(self, wanted: Wanted, seq: int = 0) -> None:
        if wanted.run_id != self._wanted.run_id:
            self._counts = {}
        self._wanted, self._go_to, self._problem, self._seen = wanted, seq, [], False
        self.view.restart()
        self.view.empty = ("Reading…",)
        self._reader.show(wanted)
        self._look(force=True)

    def _want_page(self, number: int, start: int) -> None:
        self._reader.want_page(number, start)

    @on(NewestRead)
    def _newest_read(self, message: NewestRead) -> None:
        if message.wanted == self._wanted and not self._go_to:
            self.view.show_newest(message.entries)
            self._draw()

    @on(LogIndexed)
    def _indexed(self, message: LogIndexed) -> None:
        if message.wanted != self._wanted:
            return
        if message.reset:
            self._counts = {}
            if not self.view.pages.provisional:
                self.view.restart()
        for name, number in message.counts.types.items():
            self._counts[name] = self._counts.get(name, 0) + number
        self.view.indexed(message.pages, message.after)
        self.view.empty = ("No entries of this type.",) if self._counts else ("No entries yet.",)
        if message.reset:
            if self._seen:  # another file than before: what was verified was not this
                self._verify_unless_busy()
            self._seen = True
            self._place_mark()
            if self._go_to:
                self._reader.want_place(self._go_to, "go")
        self._draw()

    @on(PageRead)
    def _page_read(self, message: PageRead) -> None:
        if message.wanted == self._wanted:
            self.view.page_read(message.number, message.entries)

    @on(PlaceFound)
    def _place_found(self, message: PlaceFound) -> None:
        if message.wanted != self._wanted:
            return
        if message.purpose == "go":
            self._go_to = 0
            self.view.go_to(message.place)
        elif self._broken is not None and message.seq == self._broken.seq:
            self.view.mark(self._broken, message.place)

    @on(LogProblem)
    def _log_problem(self, message: LogProblem) -> None:
        if message.wanted != self._wanted:
            return
        self._problem = [] if message.error is None else explain(message.error)
        if message.error is not None:
            self._seen = True
            self._verify_unless_busy()
            self._counts = {}
            self.view.restart()
            self.view.empty = tuple(self._problem)
            self.view.refresh()
        self._draw()

    def _place_mark(self) -> None:
        broken = self._broken
        if broken is None:
            if self.view.pages.mark is not None:
                self.view.mark(None)
        elif broken != self.view.pages.mark:
            self._reader.want_place(broken.seq, "mark")

    # Drawing

    def _look(self, *, force: bool = False) -> None:
        """Draw what has changed elsewhere: runs, and what was found out about their chains."""
        runs = self._runs()
        now = (self._chains.version, [(run.id, run.name, run.state) for run in runs])
        if now == self._drawn and not force:
            return
        self._drawn = now
        self._names |= {run.id: visible(run.name) for run in runs}
        rows: list[tuple[str, tuple[Piece, ...]]] = [
            (run.id, ((visible(run.name), PLAIN), *state_pieces(run, self._chains.get(run.id))))
            for run in runs
        ]
        self._chain_table.show([*rows, *self._missing.rows()], self._wanted.run_id if force else "")
        self._place_mark()
        self._draw()
        if self._missing.are_due(run.id for run in runs):
            self.run_worker(self._missing.read, thread=True, group="missing", exit_on_error=False)

    @on(InstallationRead)
    def _installation_read(self, message: InstallationRead) -> None:
        self._missing.last, self._drawn = message, None
        self._look()

    def _draw(self) -> None:
        run_id = self._wanted.run_id
        run, name = self._run, self._names.get(run_id, run_id)
        gone = "" if run is not None else "   ✗ this run is gone"
        title = f"Audit of {name}   {self.view.follow.word}{gone}"
        self.query_one("#audit-title", Static).update(Content(title))
        self.query_one("#audit-verdict", Static).update(text_of_lines(self, self._verdict_lines(run)))
        self.query_one(TypeBar).show(type_tabs(self._counts, self._wanted.kind))
        self.refresh_bindings()

    def _verdict_lines(self, run: RunInfo | None) -> list[list[Piece]]:
        told = self._progress
        run_id = self._wanted.run_id
        return log_head(
            self._chains.get(run_id),
            problem=self._problem[0] if self._problem else "",
            verifying=(told.done, told.total, told.left) if told is not None else None,
            name=self._names.get(told.run_id, told.run_id) if told is not None else "",
            elsewhere=self._chains.progress(run_id),
            live=run is not None and not run.state.ended,
            width=self.size.width,
        )

    def _recolour(self) -> None:
        self._chain_table.recolour()
        self._draw()

    @on(LineView.FollowChanged)
    def _follow_changed(self) -> None:
        self._draw()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "to_break" and self.is_mounted:
            return self.view.pages.mark_place >= 0
        return True

    def action_back(self) -> None:
        if self._verification is not None:
            self._verification.cancel()
        elif self.has_class("-chains"):
            self.action_chains()
        else:
            self.dismiss(None)

    def action_chains(self) -> None:
        """To the table of chains and back; on a narrow screen it stands in the entries' place."""
        there = self._chain_table.has_focus
        self.set_class(not there, "-chains")
        target = self.view if there else self._chain_table
        self.call_after_refresh(target.focus)

    def action_open(self) -> None:
        if self._chain_table.has_focus:
            self._open_chain()
        else:
            self._open_entry(self.view.current)

    @on(ShortTable.Opened, "#audit-chains")
    def _open_chain(self) -> None:
        run_id = self._chain_table.current_key
        if report := self._missing.report(run_id):
            from moat_tui.screen.dialogs.report import ReportDialog

            self.app.push_screen(ReportDialog("The installation's log", report))
            return
        self.remove_class("-chains")
        self.call_after_refresh(self.view.focus)
        if run_id and run_id != self._wanted.run_id:
            self.show_log(run_id)

    @on(LineView.Opened, "#audit-log")
    def _entry_opened(self, event: LineView.Opened) -> None:
        self._open_entry(cast("Entry | Broken | None", event.item))

    def _open_entry(self, entry: Entry | Broken | None) -> None:
        from moat_tui.screen.dialogs.report import ReportDialog

        if isinstance(entry, Broken):
            # The entry it points at is the next line.
            place = self.view.pages.mark_place + 1
            entry = cast("Entry | None", self.view.pages[place]) if place < len(self.view.pages) else None
        if entry is not None:
            report = entry_report(entry, self._broken)
            self.app.push_screen(ReportDialog(f"Audit entry #{entry.seq}", report))

    def action_to_break(self) -> None:
        self.view.show_place(self.view.pages.mark_place)

    def action_type(self, place: int) -> None:
        names = ["", *type_choices(self._counts)]
        if place < len(names):
            self._choose_type(names[place])

    def action_next_type(self, step: int) -> None:
        names = ["", *type_choices(self._counts)]
        here = names.index(self._wanted.kind) if self._wanted.kind in names else 0
        self._choose_type(names[(here + step) % len(names)])

    @on(TypeBar.Chosen)
    def _type_chosen(self, message: TypeBar.Chosen) -> None:
        self._choose_type(message.name)

    def _choose_type(self, name: str) -> None:
        if name != self._wanted.kind:
            self._show(Wanted(self._wanted.run_id, name))

    # Verifying

    def action_verify(self) -> None:
        self._verify([self._wanted.run_id])

    def action_verify_all(self) -> None:
        self._verify([run.id for run in self._runs()])

    def _verify(self, run_ids: list[str]) -> None:
        if self._verification is not None:
            self._verification.cancel()
        self._verification = Verification(self._face, run_ids, self.post_message, self._now)
        self.run_worker(self._verification.run, thread=True, group="verify", exit_on_error=False)

    def _verify_unless_busy(self) -> None:
        if self._verification is None:
            self._verify([self._wanted.run_id])

    @on(Verifying)
    def _verifying(self, message: Verifying) -> None:
        self._progress = message
        self._draw()

    @on(Verified)
    def _verified(self, message: Verified) -> None:
        self._found(message.run_id, message.state)
        self._look()

    @on(VerifyingEnded)
    def _verifying_ended(self, message: VerifyingEnded) -> None:
        if self._verification is message.of:
            self._verification = self._progress = None
        if message.cancelled and self._verification is None:
            self.app.notify("Verifying was cancelled; nothing is known from it.", markup=False)
        self._draw()

    # Proof bundles

    @work(group="proof", exclusive=True, exit_on_error=False)
    async def action_export(self) -> None:
        run_id = self._wanted.run_id
        run = self._run
        await self._desk.export(run_id, run.name if run is not None else run_id)

    @work(group="proof", exclusive=True, exit_on_error=False)
    async def action_dossier(self) -> None:
        run_id = self._wanted.run_id
        run = self._run
        await self._desk.dossier(run_id, run.name if run is not None else run_id)

    @work(group="proof", exclusive=True, exit_on_error=False)
    async def action_verify_file(self) -> None:
        await self._desk.verify()
