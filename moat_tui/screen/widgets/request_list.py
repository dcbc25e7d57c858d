"""The list of requests as a widget, and what is remembered of a list that is not shown just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment

from moat_tui.screen.models.following import Standing
from moat_tui.screen.models.open_lines import OPEN_FIRST
from moat_tui.screen.models.request_line import request_pieces
from moat_tui.screen.models.request_lines import RequestLines
from moat_tui.screen.models.request_query import RequestQuery
from moat_tui.screen.theme import role_style
from moat_tui.screen.widgets.line_view import LineView

if TYPE_CHECKING:
    from moat_tui.screen.models.shown_request import ShownRequest


class Listing:
    """The selected run's requests, or those of all runs; each keeps its place while the other is shown.

    version: of the ask that it was last told of; plain: which was for everything by time.
    done: whether all of it has been looked at.
    """

    def __init__(self, *, runs: bool) -> None:
        self.runs = runs
        self.lines = RequestLines()
        self.standing = Standing()
        self.version = 0
        self.plain = True
        self.done = True

    def ask(self, query: RequestQuery) -> None:
        """Another filter or order: what the old one found is forgotten."""
        self.version = query.version
        self.plain = query.wanted is None and query.order is None
        self.lines.hiding = query.hiding
        self.lines.clear_found(filtering=query.wanted is not None)
        self.done = query.wanted is None


class RequestList(LineView["ShownRequest"]):
    def __init__(self, listing: Listing, query: RequestQuery) -> None:
        super().__init__(listing.lines, cursor=True, id="requests-list")
        self.listing = listing
        self._query = query

    def show_listing(self, listing: Listing) -> None:
        """Show the other list, where the reader was in it."""
        self.listing.standing = self.standing()
        self.listing = listing
        self.stand(listing.lines, listing.standing)

    def took(self, before: int, older: int, newer: int) -> None:
        """The store has grown; its reader stays where they are.

        before: the place of the cursor's line before that. Lines come in above the open requests, so
        where the cursor is on one of these and in view, the view goes along with it.
        """
        top, height = int(self.scroll_offset.y), self.size.height
        on_open = self._cursor >= OPEN_FIRST and top <= before < top + height
        self._cursor = self.listing.lines.open.became(self._cursor)
        self.grew(at_start=self.place - before if on_open else older, at_end=newer)

    def number_of(self, record: ShownRequest) -> int:
        """The number of the request under the cursor, or of an open one; it stays when that one ends."""
        opened = self.listing.lines.open
        numbers = opened.numbers(found=False)
        return next((number for number in numbers if opened.get(number) is record), self._cursor)

    def variant(self) -> object:
        return self.listing.runs, None if self._query.hiding else self._query.version

    def state(self, number: int) -> object:
        record = self.listing.lines.open.get(number) if number >= OPEN_FIRST else None
        return (
            None
            if record is None
            else (record.open, record.duration_ms, record.bytes_in + record.bytes_out, record.status_code)
        )

    def segments(self, item: ShownRequest, width: int) -> list[Segment]:
        wanted = None if self._query.hiding else self._query.wanted
        marked = wanted is not None and wanted(item)
        pieces = request_pieces(item, width, marked=marked, runs=self.listing.runs)
        return [Segment(text, role_style(self, role)) for text, role in pieces]
