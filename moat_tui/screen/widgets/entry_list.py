"""Audit entries of a log of any length: lines are there when their page has been read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.segment import Segment

from moat_tui.screen.models.audit_entry import mark_pieces
from moat_tui.screen.models.audit_pages import Broken, EntryPages, Line
from moat_tui.screen.models.audit_report import entry_pieces
from moat_tui.screen.theme import role_style
from moat_tui.screen.widgets.line_view import LineView

if TYPE_CHECKING:
    from engine import AuditPages, Entry


class EntryList(LineView["Line"]):
    """want: told the number of a page, and the seq it begins with, that is to be read."""

    def __init__(self, want: Callable[[int, int], None], *, id: str) -> None:
        self.pages = EntryPages(self._missing)
        super().__init__(self.pages, cursor=True, id=id)
        self._ask = want
        self._asked: set[int] = set()
        self._version = 0

    def variant(self) -> object:
        return self._version

    def _missing(self, number: int) -> None:
        start = self.pages.page_start(number)
        if start is not None and number not in self._asked:
            self._asked.add(number)
            self._ask(number, start)

    def restart(self) -> None:
        """Another log, or another choice of types: nothing is here yet."""
        self.pages.clear()
        self._asked.clear()
        self._changed()
        self.rearranged(follow=True)

    def indexed(self, pages: AuditPages, after: int) -> None:
        provisional = self.pages.provisional
        added = self.pages.indexed(pages, after)
        before = self.pages.newest_at if provisional else 0
        self._cursor += before
        self._asked.clear()
        self._changed()
        self.grew(at_start=before, at_end=added - before)

    def show_newest(self, entries: list[Entry]) -> None:
        """Another log: its last entries stand for it until it is indexed."""
        self.restart()
        self.pages.show_newest(entries)
        self.grew(at_end=len(entries))

    def page_read(self, number: int, entries: list[Entry]) -> None:
        self._asked.clear()  # a wish can have been dropped for a newer one: what is still missing asks again
        self.pages.page_read(number, entries)
        self._changed()
        self.refresh()

    def mark(self, broken: Broken | None, place: int = 0) -> None:
        """Show where the chain breaks; `place` entries come before it."""
        had = len(self.pages)
        if broken is None:
            self.pages.unmark()
        else:
            self.pages.mark_at(broken, place)
        self._changed()
        self.grew(at_end=len(self.pages) - had)

    def go_to(self, place: int) -> None:
        """To the entry that has `place` entries before it."""
        if len(self.pages):
            self.show_place(min(self.pages.line_of(place), len(self.pages) - 1))

    def _changed(self) -> None:
        self._version += 1

    def segments(self, item: Line, width: int) -> list[Segment]:
        if item is None:
            return [Segment("     …", role_style(self, "dim"))]
        pieces = mark_pieces(item) if isinstance(item, Broken) else entry_pieces(item)
        return [Segment(text, role_style(self, role)) for text, role in pieces]
