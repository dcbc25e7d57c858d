"""Looking through the requests of one run, or of several as one list: where the lines are, the newest
first, which of them a filter finds, how they are sorted, and which requests are open.

Several files are merged by the time at which requests were over, which is the order of each file. Used by
one thread; every look is short, and what it found is a message for the screen.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from math import inf
from typing import TYPE_CHECKING

from moat_tui.screen.file_mark import file_mark
from moat_tui.screen.followed_file import FollowedFile, Mark, by_time
from moat_tui.screen.models.line_blocks import Block
from moat_tui.screen.models.request_file import Source
from moat_tui.screen.models.request_order import Sorter
from moat_tui.screen.models.timeline import Span, Timeline
from moat_tui.screen.open_watch import OpenReads, OpenWatch
from moat_tui.screen.requests_read import Ask, RequestsRead

if TYPE_CHECKING:
    from moat_tui.screen.models.shown_request import ShownRequest

FIRST_BYTES = 1024 * 1024  # of a single file's end, looked at before anything is shown
FIRST_LINES = 200  # of several files, merged before anything is shown
AT_ONCE = 0.03  # seconds of one look spent on older lines
SORT_EVERY = 0.5
ENDED_EVERY = 2.0  # seconds between two looks at files of runs that are over, when there are several
YIELD = 0.0005  # seconds between two pieces: with less, the screen's thread waits 5 ms for the interpreter
PIECE = 128  # lines, about a block
DECODED = 16  # blocks held while a filter looks through files whose lines alternate; more for more files


class RequestSearch:
    """How far an ask has been answered. run_id: of the one run followed; empty for several."""

    def __init__(
        self,
        run_id: str,
        sources: Sequence[Source],
        taken: Callable[[], None],
        open_reads: OpenReads | None = None,
    ) -> None:
        self._run_id = run_id
        self._taken = taken
        self._open = OpenWatch(open_reads)
        self._timeline = Timeline()
        self._files = [FollowedFile(place, source) for place, source in enumerate(sources)]
        self._added: list[FollowedFile] = []
        self._begun = False
        self._older: Iterator[tuple[float, int, int, int]] = iter(())
        self._blocks_older: list[tuple[int, Block]] = []
        self._reached_start = True
        self._ended_due = 0.0
        self._ask = Ask()
        self._next = 0  # lines below this have not been looked at for the ask
        self._looked = 0
        self._decoded: OrderedDict[tuple[int, Block], list[ShownRequest]] = OrderedDict()
        self._sorter: Sorter | None = None
        self._sorted_at = 0.0
        self._told_done = True

    def keep_up(self, sources: Sequence[Source]) -> None:
        """The runs there are now. A new one is added; when one is gone or renamed, all begins anew."""
        known = [file.source for file in self._files]
        names = {source.run_id: source.name for source in sources}
        if any(names.get(source.run_id) != source.name for source in known):
            self._files = [FollowedFile(place, source) for place, source in enumerate(sources)]
            self._begun, self._added = False, []
            return
        place = {source.run_id: number for number, source in enumerate(known)}
        for source in sources:
            if source.run_id in place:
                self._files[place[source.run_id]].source = source
            else:
                file = FollowedFile(len(self._files), source)
                self._files.append(file)
                self._added.append(file)

    def look(self, ask: Ask, *, paused: bool) -> RequestsRead | None:
        """What is new; None when there is nothing to say."""
        begun = self._begun
        # What is open is looked at first: a request that ends meanwhile is then in both, never in none.
        opened = not (begun and paused) and self._open.look([file.source for file in self._files])
        marks = self._marks()
        fresh = [(file, mark) for file, mark in marks if mark != file.mark]
        idle = begun and not opened and (not fresh or paused) and self._reached_start and self._complete
        idle = idle and not self._added and ask.version == self._ask.version
        if idle and (self._sorter is None or not self._sorter.fresh):
            return None
        found = RequestsRead(self._run_id, ask.version, self._taken)
        if not begun or any(file.replaced(mark) for file, mark in marks):
            self._reset(found)
            fresh = self._marks()
        elif self._added:
            found.sources = [file.source for file in self._added]
            self._added = []
        asked = ask.version != self._ask.version
        if asked:
            self._begin_ask(ask)
        if not paused or found.reset:
            self._look_newer(found, fresh)
        # The first page is shown before anything else is done; several files have none without this.
        if not found.reset or len(self._files) > 1:
            self._look_older(found)
        if opened or asked or found.reset or found.closed:
            self._say_open(found)
        self._sort(found, again=found.opened is not None)
        found.looked, found.done = self._looked, self._complete and self._reached_start
        # A look that is not the last is always told, even when it found nothing: the next follows at once.
        news = not (found.empty and found.done) or not self._told_done
        self._told_done = found.done
        return found if news else None

    @property
    def _complete(self) -> bool:
        """Whether the ask has seen every line that is known."""
        return not self._ask.reads or self._full or self._next <= self._timeline.first

    @property
    def _full(self) -> bool:
        return self._sorter is not None and self._ask.wanted is None and self._sorter.full

    def _marks(self) -> list[tuple[FollowedFile, Mark]]:
        """Of the files that may have changed; those of runs that are over are looked at now and then."""
        now = time.monotonic()
        every = len(self._files) == 1 or not self._begun or now >= self._ended_due
        if every:
            self._ended_due = now + ENDED_EVERY
        return [
            (file, file_mark(file.source.path))
            for file in self._files
            if every or file.source.live or file.mark is None
        ]

    def _reset(self, found: RequestsRead) -> None:
        found.reset = True
        found.sources = [file.source for file in self._files]
        self._begun, self._added = True, []
        self._timeline.clear()
        self._decoded.clear()
        # Of several files nothing can be shown before it is known how their lines follow one another.
        back = FIRST_BYTES if len(self._files) == 1 else 0
        for file in self._files:
            file.begin(back)
        self._blocks_older = []
        self._older = merge(*(self._older_lines(file) for file in self._files))
        self._reached_start = all(file.start == 0 for file in self._files)
        self._begin_ask(self._ask)

    def _begin_ask(self, ask: Ask) -> None:
        self._ask = ask
        self._next = self._timeline.after
        self._looked = 0
        self._sorter = Sorter(ask.order) if ask.order is not None else None
        self._sorted_at = 0.0
        self._told_done = False

    # Where the lines are

    def _look_newer(self, found: RequestsRead, fresh: list[tuple[FollowedFile, Mark]]) -> None:
        first = self._timeline.after
        blocks = [(file, block) for file, mark in fresh for block in file.read_newer(mark)]
        found.newer = [(file.place, block) for file, block in blocks]
        ended: dict[tuple[int, int], int] = {}  # which line ends which open request
        for file, block in blocks:
            if self._open.any_of(file.source.run_id):
                for place, request_id in enumerate(file.file.ids(block)):
                    number = self._open.end(file.source.run_id, request_id)
                    if number is not None:
                        ended[file.place, block.first + place] = number
        for span in by_time(blocks):
            for line in range(span.first, span.first + span.lines) if ended else ():
                if (number := ended.get((span.source, line))) is not None:
                    found.closed.append((number, self._timeline.after + line - span.first))
            self._timeline.add_newer(span)
            found.newer_spans.append(span)
        while self._ask.reads and first < self._timeline.after:
            first = self._examine_from(first, found.found_newer)

    def _older_lines(self, file: FollowedFile) -> Iterator[tuple[float, int, int, int]]:
        """(when it was over, negative; file, first line, lines) from the newest to the oldest.

        A single file's lines need no comparing: they come as whole blocks.
        """
        last = inf
        while (block := file.read_older()) is not None:
            self._blocks_older.append((file.place, block))
            if len(self._files) == 1:
                yield 0.0, file.place, block.first, block.lines
                continue
            ends = file.file.ends(block)
            for place in range(block.lines - 1, -1, -1):
                last = min(last, ends[place])
                yield -last, file.place, block.first + place, 1

    def _look_older(self, found: RequestsRead) -> None:
        until = time.monotonic() + AT_ONCE
        lines = 0
        while time.monotonic() < until or (found.reset and self._timeline.count < FIRST_LINES):
            if not self._complete:
                lines += self._examine_before(found.found_older)
            elif not self._reached_start:
                following = next(self._older, None)
                if following is None:
                    self._reached_start = True
                else:
                    span = Span(*following[1:])
                    self._timeline.add_older(span)
                    found.older_spans.append(span)
                    lines += span.lines
            else:
                break
            if len(self._files) == 1 or lines >= PIECE:
                lines = 0
                time.sleep(YIELD)
        found.older, self._blocks_older = self._blocks_older, []

    # What is asked

    def _examine_from(self, number: int, into: list[int]) -> int:
        """Look at the lines from `number` that stand together; returns the number after them."""
        _, span = self._timeline.starting(number)
        file = self._files[span.source]
        block = file.blocks.holding(span.first)
        count = min(span.lines, block.after - span.first)
        self._examine(file, block, span.first, range(count), number, into)
        return number + count

    def _examine_before(self, into: list[int]) -> int:
        """Look at the lines before `_next` that stand together; returns how many they were."""
        number, span = self._timeline.up_to(self._next - 1)
        file = self._files[span.source]
        block = file.blocks.holding(span.first + span.lines - 1)
        skipped = max(0, block.first - span.first)
        count = span.lines - skipped
        number += skipped
        self._examine(file, block, span.first + skipped, range(count - 1, -1, -1), number, into)
        self._next = number
        return count

    def _examine(
        self, file: FollowedFile, block: Block, first: int, places: range, number: int, into: list[int]
    ) -> None:
        """first: the file's own number of the line whose number in the list is `number`."""
        records = self._records(file, block)
        wanted, sorter, offset = self._ask.wanted, self._sorter, first - block.first
        for place in places:
            record = records[offset + place]
            if wanted is None or wanted(record):
                into.append(number + place)
                if sorter is not None:
                    sorter.add(record, number + place)
        self._looked += len(places)

    def _records(self, file: FollowedFile, block: Block) -> list[ShownRequest]:
        key = (file.place, block)
        records = self._decoded.get(key)
        if records is None:
            records = self._decoded[key] = file.file.read(block)
            if len(self._decoded) > (1 if len(self._files) == 1 else min(128, DECODED + len(self._files))):
                self._decoded.popitem(last=False)
        else:
            self._decoded.move_to_end(key)
        return records

    def _say_open(self, found: RequestsRead) -> None:
        found.opened = self._open.rows()
        wanted = self._ask.wanted
        if wanted is not None:
            found.found_open = frozenset(number for number, record in found.opened if wanted(record))

    def _sort(self, found: RequestsRead, *, again: bool) -> None:
        """Deliver an order now and then, not with every block; always when all has been seen."""
        if self._sorter is None or not (self._sorter.fresh or again):
            return
        now = time.monotonic()
        if self._complete or now - self._sorted_at >= SORT_EVERY:
            rows = self._open.rows()
            wanted = self._ask.wanted
            found.order = self._sorter.order([row for row in rows if wanted is None or wanted(row[1])])
            self._sorted_at = now
