"""Pane 2: the selected run's requests as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from moat_tui.screen.models.moments import count
from moat_tui.screen.models.request_line import heading, request_pieces, weigh
from moat_tui.screen.models.store import BoundedStore
from moat_tui.screen.models.visible import visible
from moat_tui.screen.panes.pane import Pane
from moat_tui.screen.theme import role_style
from moat_tui.screen.widgets.line_view import LineView

if TYPE_CHECKING:
    from engine import RequestRecord, RunInfo

KEPT = 20_000
KEPT_BYTES = 64 * 1024 * 1024


class RequestList(LineView["RequestRecord"]):
    def segments(self, item: RequestRecord, width: int) -> list[Segment]:
        return [Segment(text, role_style(self, role)) for text, role in request_pieces(item, width)]


class RequestsPane(Pane):
    number = 2
    title = "Requests"
    main = "requests-list"
    HELP = """
# Requests
What the selected run asked of the network, newest last, as the proxy saw it. A grant's name says
which credential was attached; *denied* says that the policy refused. Credentials are never in here.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "screen.open_request", "Detail", id="request.detail", tooltip="All about this request"
        ),
        Binding(
            "f",
            "screen.follow_requests",
            "Follow",
            id="request.follow",
            tooltip="To the newest, and stay there",
        ),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._total = 0
        self._whose = ""

    def compose(self) -> ComposeResult:
        yield Static(id="requests-heading", markup=False)
        store: BoundedStore[RequestRecord] = BoundedStore(KEPT, weight_limit=KEPT_BYTES, weigh=weigh)
        yield RequestList(store, cursor=True, id="requests-list")

    @property
    def view(self) -> RequestList:
        return self.query_one(RequestList)

    @property
    def current(self) -> RequestRecord | None:
        return self.view.current

    def begin(self, run: RunInfo | None) -> None:
        """Another run is selected: forget the last one's requests until its own have been read."""
        self.view.replace([])
        self.describe(run)

    def describe(self, run: RunInfo | None) -> None:
        """Say whose requests these are, and what an empty list means."""
        self._whose = visible(run.name) if run else ""
        self.view.empty = _empty(run)
        self._titles()
        if not self.view.store:
            self.view.refresh()

    def show(self, records: list[RequestRecord], *, reset: bool) -> None:
        if reset:
            self.view.replace(records)
        else:
            self.view.append(records)
        self._titles()

    def set_total(self, total: int) -> None:
        """How many requests the run has made, whether shown or not."""
        self._total = total
        self._titles()

    def _titles(self) -> None:
        shown = len(self.view.store)
        note = self._whose
        if self._total > shown > 0:
            note += f" · last {count(shown)} of {count(self._total)}"
        self.retitle(note)

    def on_resize(self, event: events.Resize) -> None:
        width = self.view.scrollable_content_region.width
        self.query_one("#requests-heading", Static).update(heading(width))

    @on(LineView.FollowChanged)
    def _follow_changed(self, event: LineView.FollowChanged) -> None:
        event.stop()
        self.subtitle(event.word if self.view.store else "")


def _empty(run: RunInfo | None) -> tuple[str, ...]:
    if run is None:
        return ("Select a run to see its requests.",)
    if run.error:
        return ("No requests. This run failed:", "", visible(run.error))
    if run.state.ended:
        return ("This run made no requests.", "Press o to read its output.")
    return ("No requests yet.", "They appear here as the agent makes them.")
