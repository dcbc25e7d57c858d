"""Pane 4: whether the selected run's audit chain holds, and its newest entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from moat_tui.screen.models.anchor_lines import anchor_pieces
from moat_tui.screen.models.audit_report import entry_pieces, progress_lines, verdict_lines
from moat_tui.screen.models.chain_states import ChainState
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.store import BoundedStore
from moat_tui.screen.models.visible import visible
from moat_tui.screen.panes.pane import Pane
from moat_tui.screen.theme import ROLE_CLASSES, role_style, text_of_lines
from moat_tui.screen.widgets.line_view import LineView

if TYPE_CHECKING:
    from engine import AnchorState, Entry, RunInfo

KEPT = 2_000


class NewestEntries(LineView["Entry"]):
    def segments(self, item: Entry, width: int) -> list[Segment]:
        return [Segment(text, role_style(self, role)) for text, role in entry_pieces(item)]


class AuditPane(Pane):
    number = 4
    title = "Audit"
    main = "audit-entries"
    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES
    HELP = """
# Audit
Every use of a credential and every refusal is an entry in a chain of hashes. The chain is verified
in the background whenever it grows; the first entry that does not fit is named. `enter` opens the whole
log: by type, entry by entry, with proof bundles.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.open_audit", "Open", id="audit.open", tooltip="The whole log, by type"),
        Binding(
            "v", "screen.verify", "Verify", id="audit.verify", tooltip="Verify the whole chain again now"
        ),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._shown: list[list[Piece]] = []
        self._state: ChainState | None = None
        self._anchors: Sequence[AnchorState] | None = None
        self._anchors_problem = ""
        self._absent = False
        self._live = False

    def compose(self) -> ComposeResult:
        yield Static(id="audit-state", markup=False)
        yield NewestEntries(BoundedStore(KEPT), id="audit-entries")

    @property
    def entries(self) -> NewestEntries:
        return self.query_one(NewestEntries)

    def begin(self, run: RunInfo | None) -> None:
        """Another run is selected: nothing is known about its chain yet."""
        self.entries.replace([])
        self.remove_class("tampered")
        self._state = None
        self._absent = False
        self._say(
            [[("Select a run to see its audit chain.", "dim")]] if run is None else progress_lines(0, 0)
        )
        self.describe(run)

    def describe(self, run: RunInfo | None) -> None:
        """Whose chain this is; a chain that is still being written is judged in other words."""
        self.retitle(visible(run.name) if run else "")
        self._live = run is not None and not run.state.ended
        self._draw()

    def progress(self, done: int, total: int) -> None:
        """While the chain is verified again, the last verdict stays; the border tells how far it is."""
        if self._state is not None:
            self.subtitle(f"verifying {done:,} of {total:,}" if total else "verifying")
        else:
            self._say(progress_lines(done, total))

    def show(self, state: ChainState, entries: list[Entry]) -> None:
        """state: of a verification that came to a verdict."""
        self._state, self._absent = state, False
        self.set_class(state.broken, "tampered")
        self.subtitle("")
        self._draw()
        self.entries.append(entries)

    def show_anchors(self, anchors: Sequence[AnchorState] | None, problem: str) -> None:
        """Where the installation's log is anchored, whatever run is selected."""
        self._anchors, self._anchors_problem = anchors, problem
        self._draw()

    def nothing_yet(self) -> None:
        """The run has no audit log."""
        self._state, self._absent = None, True
        self.subtitle("")
        self._draw()

    def failed(self, what: str) -> None:
        """It could not be verified; `what` is the engine's reason."""
        self.subtitle("")
        self._state, self._absent = None, False
        self.add_class("tampered")
        self._say([[("✗ could not be verified", "bad")], [(visible(what), PLAIN)]])

    def _draw(self) -> None:
        state = self._state
        if state is not None and state.verdict is not None:
            lines = verdict_lines(state.verdict, live=self._live, sealed_at=state.sealed_at, at=state.at)
            self._say([*lines, anchor_pieces(self._anchors, self._anchors_problem)])
        elif self._absent:
            why = "The chain begins when the run starts." if self._live else "This run has no audit log."
            self._say([[("- ", "dim"), (why, "dim")]])

    def _say(self, lines: list[list[Piece]]) -> None:
        self._shown = lines
        self.query_one("#audit-state", Static).update(text_of_lines(self, lines))

    def recolour(self) -> None:
        self._say(self._shown)

    @on(LineView.FollowChanged)
    def _follow_changed(self, event: LineView.FollowChanged) -> None:
        event.stop()
