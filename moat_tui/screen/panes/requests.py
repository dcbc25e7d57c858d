"""Pane 2: the selected run's requests as they happen, filtered and sorted as asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from moat_tui.screen.models.filter_language import FilterError, finished
from moat_tui.screen.models.following import Standing
from moat_tui.screen.models.request_line import heading
from moat_tui.screen.models.request_lines import RequestLines
from moat_tui.screen.models.request_query import RequestQuery
from moat_tui.screen.models.visible import visible
from moat_tui.screen.panes.pane import Pane
from moat_tui.screen.widgets.line_view import LineView
from moat_tui.screen.widgets.request_list import Listing, RequestList

if TYPE_CHECKING:
    from engine import RunInfo
    from moat_tui.screen.models.shown_request import ShownRequest
    from moat_tui.screen.request_reader import RequestReader
    from moat_tui.screen.requests_read import RequestsRead

EXAMPLES = "host:github status:>=400 grant:github !method:GET ms:>500 decision:denied"


class FilterInput(Input):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape", "screen.clear_filter", "Clear", id="filter.clear", tooltip="No filter, back to the list"
        ),
        Binding(
            "down,up", "screen.leave_filter", "List", show=False, id="filter.leave", tooltip="To the list"
        ),
    ]


class RequestsPane(Pane):
    number = 2
    title = "Requests"
    main = "requests-list"
    HELP = """
# Requests
What the selected run asked of the network, newest last, as the proxy saw it. A grant's name says
which credential was attached; *denied* says that the policy refused. Credentials are never in here.

`/` filters while you type: `host:github` `status:>=400` `status:4xx` `ms:100..500` `method:POST,PUT`
`grant:github` `decision:denied` `is:open` `run:review` `path:/v1` `bytes:>10k`, `!` before a word for the
opposite, quotes around blanks, and any other word is looked for in the URL. `x` shows the other requests
too, `n` and `N` go from match to match, Esc clears. `M` `H` `P` `S` `T` `B` `R` `D` sort; the same key
again turns the order, and a third time goes back to time.

*◌ open* is a request that is not over: it stands last, with its time and bytes so far, until its record
takes its place. `A` shows the requests of all runs in one list, and the selected run's again.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "screen.open_request", "Detail", id="request.detail", tooltip="All about this request"
        ),
        Binding(
            "slash",
            "screen.filter_requests",
            "Filter",
            key_display="/",
            id="request.filter",
            tooltip="Show some of the requests",
        ),
        Binding(
            "f",
            "screen.follow_requests",
            "Follow",
            id="request.follow",
            tooltip="To the newest, and stay there",
        ),
        Binding(
            "p",
            "screen.pause_requests",
            "Pause",
            show=False,
            id="request.pause",
            tooltip="Hold new requests back, or let them come",
        ),
        Binding(
            "escape",
            "screen.clear_filter",
            "Clear",
            show=False,
            id="request.clear",
            tooltip="No filter, by time",
        ),
        Binding(
            "n",
            "screen.next_found(1)",
            "Next",
            show=False,
            id="request.next",
            tooltip="The next match of the filter",
        ),
        Binding(
            "N",
            "screen.next_found(-1)",
            "Previous",
            show=False,
            id="request.previous",
            tooltip="The match before",
        ),
        Binding(
            "x",
            "screen.show_hidden",
            "Around",
            show=False,
            id="request.around",
            tooltip="With a filter: show the other requests too, or hide them",
        ),
        Binding(
            "c",
            "screen.copy_curl",
            "Copy",
            show=False,
            id="request.curl",
            tooltip="Copy as a curl command, without any credential",
        ),
        *(
            Binding(
                key,
                f"screen.sort_requests('{column}')",
                f"Sort by {column}",
                show=False,
                id=f"request.sort-{column}",
                tooltip=f"Sort by {column}, turn the order, back to time",
            )
            for key, column in zip(
                "MHPSTBRD",
                ("method", "host", "path", "status", "took", "bytes", "grant", "decision"),
                strict=True,
            )
        ),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.query_model = RequestQuery()
        self.one = Listing(runs=False)
        self.all = Listing(runs=True)
        self.reader: RequestReader | None = None
        self._made = self._made_by_all = 0
        self._heading = (0, False)
        self._run: RunInfo | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="requests-heading", markup=False)
        yield RequestList(self.one, self.query_model)
        yield Static(id="requests-problem", markup=False)
        yield FilterInput(id="requests-filter", compact=True, placeholder=EXAMPLES)

    @property
    def view(self) -> RequestList:
        return self.query_one(RequestList)

    @property
    def input(self) -> FilterInput:
        return self.query_one(FilterInput)

    @property
    def current(self) -> ShownRequest | None:
        return self.view.current

    @property
    def listing(self) -> Listing:
        return self.view.listing

    @property
    def lines(self) -> RequestLines:
        return self.listing.lines

    # What is to be shown

    def begin(self, run: RunInfo | None) -> None:
        """Another run is selected: forget the last one's requests until its own have been read."""
        self.one.lines.begin(())
        self.one.ask(self.query_model)
        self.one.done = run is None
        if self.listing is self.one:
            self.view.forget()
            self.view.rearranged(follow=self.query_model.order is None)
        else:
            self.one.standing = Standing()
        self.describe(run)

    def show_all(self, every: bool) -> None:
        """The requests of all runs, or the selected run's; each at the place where it was left."""
        listing = self.all if every else self.one
        if listing is self.listing:
            return
        if self.reader is not None:
            self.reader.show_all(every)
        query = self.query_model
        asked = listing.version != query.version
        was_plain = listing.plain
        if asked:
            listing.ask(query)
        self.view.show_listing(listing)
        if asked and not (was_plain and listing.plain):
            self.view.rearranged(follow=self.view.follow.on and query.order is None)
        self._draw_heading()
        self._titles()
        self.screen.refresh_bindings()

    def describe(self, run: RunInfo | None) -> None:
        """Say whose requests these are, and what an empty list means."""
        self._run = run
        self._titles()

    def take(self, found: RequestsRead) -> None:
        """Apply what the reading thread has found, also to the list that is not shown just now."""
        query = self.query_model
        listing = self.one if found.run_id else self.all
        shown = listing is self.listing
        before = self.view.place if shown else 0
        if found.reset and shown:
            self.view.forget()
        older, newer = listing.lines.take(found, query.version)
        listing.done = found.done
        if not shown:
            return
        if found.order is not None and found.version == query.version:
            self.view.rearranged(follow=False)  # an answer to an older ask must not take the end away
        else:
            self.view.took(before, older, newer)
        self._titles()
        self.call_after_refresh(self._draw_heading)  # the lines may have brought a scrollbar

    def set_totals(self, one: int, every: int) -> None:
        """How many requests the selected run and all runs have made, whether read or not."""
        self._made, self._made_by_all = one, every
        self._titles()

    # What is asked

    def open_filter(self) -> None:
        self.set_class(True, "filtering")
        self.input.focus()

    def leave_filter(self) -> None:
        """To the list, unless what is written is no filter: then it stays to be mended."""
        if self._apply_filter(self.input.value):
            self.set_class(bool(self.query_model.text), "filtering")
            self.view.focus()

    def clear(self) -> None:
        """No filter, and by time."""
        with self.input.prevent(Input.Changed):
            self.input.value = ""
        self.set_class(False, "filtering")
        self._apply_filter("")
        if self.query_model.order is not None:
            self.query_model.order = None
            self.ask()
        self.view.focus()

    def sort(self, column: str) -> None:
        self.query_model.sort(column)
        self.ask()

    def pause(self) -> None:
        self.query_model.paused = not self.query_model.paused
        if self.reader is not None:
            self.reader.pause(self.query_model.paused)
        self._titles()

    def show_hidden(self) -> None:
        """Show what the filter hides, its matches marked; or hide it again. Only by time."""
        self.query_model.hiding = not self.query_model.hiding
        self.one.lines.hiding = self.all.lines.hiding = self.query_model.hiding
        self.view.rearranged(follow=self.view.follow.on)
        self._titles()

    def go_to_found(self, step: int) -> bool:
        """To the next match (step 1) or the one before (-1), going round; False when there is none."""
        if not len(self.lines):
            return False
        number = self.lines.next_found(self.lines.number(self.view.place), step)
        if number is None:
            return False
        self.view.show_place(self.lines.place(number))
        return True

    def ask(self) -> None:
        """Another filter or order: what the old one found is forgotten, and the thread told."""
        query = self.query_model
        if self.reader is not None:
            query.version = self.reader.ask(query.wanted, query.order)
        self.listing.ask(query)
        self.view.forget()
        self.view.rearranged(follow=query.order is None)
        self._titles()
        self.screen.refresh_bindings()

    def _apply_filter(self, text: str) -> bool:
        problem = self.query_one("#requests-problem", Static)
        try:
            changed = self.query_model.filter(text)
        except FilterError as error:
            shown = visible(str(error))
            # Over the place, with blanks that are not trimmed; further left when the words need the room.
            at = max(0, min(error.at, self.input.size.width - len(shown) - 2))
            problem.update("\N{NO-BREAK SPACE}" * at + f"↓ {shown}")
            self.set_class(True, "filter-bad")
            return False
        self.set_class(False, "filter-bad")
        if changed:
            self.ask()
        return True

    @on(Input.Changed, "#requests-filter")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._apply_filter(finished(event.value))

    @on(Input.Submitted, "#requests-filter")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.leave_filter()

    # Words around the list

    def _titles(self) -> None:
        lines, query = self.lines, self.query_model
        note = query.note(
            shown=len(lines),
            found=len(lines.found) if lines.found is not None else 0,
            total=lines.timeline.count,
            made=self._made_by_all if self.listing.runs else self._made,
            done=self.listing.done,
            opened=len(lines.open.numbers(found=False)),
        )
        name = visible(self._run.name) if self._run else ""
        if self.listing.runs:
            name = "all runs"
        self.retitle(" · ".join(part for part in (name, note) if part))
        empty = self._empty()
        if empty != self.view.empty:
            self.view.empty = empty
            self.view.refresh()

    def _empty(self) -> tuple[str, ...]:
        run = self._run
        if self.query_model.wanted is not None and self.lines.timeline.count:
            looked = self.listing.done
            return ("No request matches.", "Esc clears the filter.") if looked else ("Looking…",)
        if self.listing.runs:
            return ("No run has made a request yet.", "A shows the selected run's alone.")
        if run is None:
            return ("Select a run to see its requests.",)
        if run.error:
            return ("No requests. This run failed:", "", visible(run.error))
        if run.state.ended:
            return ("This run made no requests.", "Press o to read its output.")
        return ("No requests yet.", "They appear here as the agent makes them.")

    def on_resize(self, event: events.Resize) -> None:
        self._draw_heading()

    def _draw_heading(self) -> None:
        width = self.view.scrollable_content_region.width
        shape = (width, self.listing.runs)
        if shape != self._heading:
            self._heading = shape
            self.query_one("#requests-heading", Static).update(heading(width, runs=shape[1]))

    @on(LineView.FollowChanged)
    def _follow_changed(self, event: LineView.FollowChanged) -> None:
        event.stop()
        order = self.query_model.order
        self.subtitle("" if not len(self.lines) else order.label if order else event.word)
