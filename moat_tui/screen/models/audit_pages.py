"""A run's audit entries as a list of any length, of which only a few pages are in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine import AuditPages, Entry, Verdict

PAGE = 256  # entries
PAGES_KEPT = 32


class Broken(NamedTuple):
    """The line that stands before the first entry that does not fit."""

    seq: int
    error: str
    expected: str
    found: str


def broken_of(verdict: Verdict | None) -> Broken | None:
    """What is to be marked in the list; None for a chain that holds, or whose break has no place."""
    if verdict is None or verdict.valid or not verdict.broken_at:
        return None
    return Broken(verdict.broken_at, verdict.error, verdict.expected, verdict.found)


type Line = Entry | Broken | None


class EntryPages:
    """Lines for a LineView. want: called with the number of a page that was looked at and is not here yet.

    A line is an entry, the mark of the break, or None while its page is on its way.
    """

    def __init__(self, want: Callable[[int], None]) -> None:
        self._want = want
        self.starts: list[int] = []
        self.total = 0
        self.mark: Broken | None = None
        self._mark_place = -1
        self._pages: OrderedDict[int, list[Entry]] = OrderedDict()
        self._newest: list[Entry] = []
        self._newest_at = 0  # the place of the first of them, once the log is indexed

    @property
    def dropped(self) -> int:
        return 0

    def __len__(self) -> int:
        return self.total + (self._mark_place >= 0)

    def __getitem__(self, index: int) -> Line:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self._mark_place >= 0:
            if index == self._mark_place:
                return self.mark
            index -= index > self._mark_place
        newest = (
            self._newest[index - self._newest_at]
            if 0 <= index - self._newest_at < len(self._newest)
            else None
        )
        if self.provisional:
            return newest
        number, offset = divmod(index, PAGE)
        page = self._pages.get(number)
        if page is None:
            self._want(number)
            return newest
        self._pages.move_to_end(number)
        if offset < len(page):
            return page[offset]
        if number == len(self.starts) - 1:  # it has grown since it was read
            self._want(number)
        return None

    def number(self, place: int) -> int:
        return place

    def place(self, number: int) -> int:
        return max(0, min(number, len(self) - 1))

    def clear(self) -> None:
        """Forget the log."""
        self.starts, self.total = [], 0
        self._pages.clear()
        self._newest, self._newest_at = [], 0
        self.unmark()

    @property
    def provisional(self) -> bool:
        """Whether only the newest entries are here, and the places of none are known."""
        return bool(self._newest) and not self.starts

    def show_newest(self, entries: list[Entry]) -> None:
        """Stand for the log until it is indexed."""
        self._newest, self.total = entries, len(entries)

    @property
    def resume_after(self) -> int:
        """The seq after which the index is asked for again: the last page may have been half full."""
        return self.starts[-1] - 1 if self.starts else 0

    def indexed(self, pages: AuditPages, after: int) -> int:
        """Take the index of what comes after `after`; returns how many entries that added."""
        before, provisional = self.total, self.provisional
        kept = [start for start in self.starts if start <= after]
        self.starts = [*kept, *pages.starts]
        self.total = len(kept) * PAGE + pages.total
        if provisional:
            self._place_newest()
        return self.total - before

    def _place_newest(self) -> None:
        """A page that begins among the newest tells where they are; without one they are of no use."""
        places = {entry.seq: place for place, entry in enumerate(self._newest)}
        for number in range(len(self.starts) - 1, -1, -1):
            place = places.get(self.starts[number])
            if place is not None and number * PAGE >= place:
                self._newest_at = number * PAGE - place
                return
            if number < len(self.starts) - 3:
                break
        self._newest = []

    @property
    def newest_at(self) -> int:
        """How many entries come before the newest that stood for the log."""
        return self._newest_at

    def page_start(self, number: int) -> int | None:
        return self.starts[number] if 0 <= number < len(self.starts) else None

    def page_read(self, number: int, entries: list[Entry]) -> None:
        self._pages[number] = entries
        self._pages.move_to_end(number)
        while len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)

    def mark_at(self, mark: Broken, place: int) -> None:
        """Stand the mark before the entry that has `place` entries before it."""
        self.mark, self._mark_place = mark, min(place, self.total)

    def unmark(self) -> None:
        self.mark, self._mark_place = None, -1

    @property
    def mark_place(self) -> int:
        """The line the mark stands on, -1 for none."""
        return self._mark_place

    def line_of(self, place: int) -> int:
        """The line of the entry that has `place` entries before it."""
        return place + (0 <= self._mark_place <= place)
