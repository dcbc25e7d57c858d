"""Requests as a list of lines: all, those that a filter found, or sorted; of one run or of several.

Only where the lines are is kept (`line_blocks`, `timeline`), and the numbers of those that a filter found,
eight bytes each. The requests themselves are read from the files when they are drawn.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from moat_tui.screen.models.found_lines import Found
from moat_tui.screen.models.line_blocks import Block, Blocks
from moat_tui.screen.models.open_lines import OPEN_FIRST, OpenLines
from moat_tui.screen.models.request_file import RequestFile, Source
from moat_tui.screen.models.timeline import Timeline

if TYPE_CHECKING:
    from moat_tui.screen.models.shown_request import ShownRequest
    from moat_tui.screen.requests_read import RequestsRead

CACHED = 48  # blocks of 64 KiB whose requests are held decoded


class RequestLines:
    """What the list draws from (`store.Lines`). Its owner adds what the reader found."""

    def __init__(self) -> None:
        self._files: list[RequestFile] = []
        self._blocks: list[Blocks] = []
        self._cache: OrderedDict[tuple[int, Block], list[ShownRequest]] = OrderedDict()
        self.timeline = Timeline()
        self.open = OpenLines()
        self.found: Found | None = None
        self.order: array[int] | None = None
        self.hiding = True  # with a filter: show only what it found

    def begin(self, sources: Sequence[Source]) -> None:
        """Other files, or none: nothing of them is known yet."""
        self._files, self._blocks = [], []
        self._cache.clear()
        self.timeline.clear()
        self.open.clear()
        self._add(sources)
        self.clear_found(filtering=False)

    def _add(self, sources: Sequence[Source]) -> None:
        self._files += map(RequestFile, sources)
        self._blocks += [Blocks() for _ in sources]

    def clear_found(self, *, filtering: bool) -> None:
        """Another filter (or none) has been asked for."""
        self.found = Found() if filtering else None
        self.order = None
        self.open.find(frozenset())

    def take(self, found: RequestsRead, version: int) -> tuple[int, int]:
        """Apply what the reader found; an answer to another ask than `version` adds no found lines.

        Returns by how many lines the list has grown at its start and at its end; open ones do not count.
        """
        if found.reset:
            filtering = self.found is not None
            self.begin(found.sources)
            self.clear_found(filtering=filtering)
        elif not self._files and not found.sources:
            return 0, 0  # on its way since before `begin`; the reset is still to come
        else:
            self._add(found.sources)
        for source, block in found.newer:
            self._blocks[source].add_newer(block)
        for source, block in found.older:
            self._blocks[source].add_older(block)
        for span in found.newer_spans:
            self.timeline.add_newer(span)
        for span in found.older_spans:
            self.timeline.add_older(span)
        answers = found.version == version
        self.open.end(found.closed)
        if found.opened is not None:
            self.open.show(found.opened, found.found_open if answers else frozenset())
        if answers:
            if self.found is not None:
                self.found.add_newer(found.found_newer)
                self.found.add_older(found.found_older)
            if found.order is not None:
                self.order = found.order
        elif self.hiding and self.found is not None:
            return 0, 0
        if self.order is not None:
            return 0, 0
        if self.hiding and self.found is not None:
            return len(found.found_older), len(found.found_newer)
        older, newer = (sum(span.lines for span in spans) for spans in (found.older_spans, found.newer_spans))
        return older, newer

    @property
    def dropped(self) -> int:
        return 0

    @property
    def _shown(self) -> Found | array[int] | None:
        """The numbers shown, but for open requests; None when they are all lines."""
        if self.order is not None:
            return self.order
        return self.found if self.hiding else None

    @property
    def _over(self) -> int:
        """How many lines are shown above the open ones."""
        shown = self._shown
        return self.timeline.count if shown is None else len(shown)

    @property
    def _open_shown(self) -> list[int]:
        """An order has the open ones in it already."""
        if self.order is not None:
            return []
        return self.open.numbers(found=self.hiding and self.found is not None)

    def __len__(self) -> int:
        return self._over + len(self._open_shown)

    def __getitem__(self, index: int) -> ShownRequest:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.record(self.number(index))

    def number(self, place: int) -> int:
        over = self._over
        if place >= over:
            return self._open_shown[place - over]
        shown = self._shown
        return self.timeline.first + place if shown is None else shown[place]

    def place(self, number: int) -> int:
        shown = self._shown
        if shown is not None and not isinstance(shown, Found):
            place = _index(shown, number)
            if place < 0:
                place = max(0, _index(shown, self.open.became(number)))
        else:
            number = self.open.became(number)
            if number >= OPEN_FIRST:
                opened = self._open_shown
                place = self._over + (opened.index(number) if number in opened else len(opened) - 1)
            elif shown is None:
                place = number - self.timeline.first
            else:
                place = shown.place(number)
        return max(0, min(place, len(self) - 1))

    def record(self, number: int) -> ShownRequest:
        """The request with this number; one that has ended meanwhile as it ended."""
        opened = self.open.get(number)
        if opened is not None:
            return opened
        source, line = self.timeline.line(self.open.became(number))
        block = self._blocks[source].holding(line)
        records = self._cache.get((source, block))
        if records is None:
            records = self._cache[source, block] = self._files[source].read(block)
            if len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end((source, block))
        return records[line - block.first]

    def next_found(self, number: int, step: int) -> int | None:
        """The nearest line that the filter found, after or before `number`, going round at the ends."""
        if self.found is None:
            return None
        lines, opened = self.found, self.open.numbers(found=True)
        count = len(lines) + len(opened)
        if not count:
            return None
        number = self.open.became(number)
        if number in opened:
            place = len(lines) + opened.index(number) + (1 if step > 0 else -1)
        else:
            place = lines.place(number)
            place += (number in lines) if step > 0 else -1
        place %= count
        return lines[place] if place < len(lines) else opened[place - len(lines)]


def _index(numbers: array[int], number: int) -> int:
    try:
        return numbers.index(number)
    except ValueError:
        return -1
