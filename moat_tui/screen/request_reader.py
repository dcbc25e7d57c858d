"""The thread that follows the selected run's requests and looks through them for what is asked.

It finds where the lines are, the newest first; with a filter or an order it also reads them, in pieces
of a few milliseconds, so that the screen never waits. A batch that the screen has not taken yet stops
further reading: the file is the queue, nothing piles up and nothing is lost.
"""

from __future__ import annotations

import os
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from textual.message import Message

from moat_tui.screen.engine_face import EngineFace, file_mark
from moat_tui.screen.models.filter_language import Predicate
from moat_tui.screen.models.line_blocks import (
    Block,
    Blocks,
    block_before,
    line_start_before,
    next_block,
    open_lines,
)
from moat_tui.screen.models.request_lines import RequestFile
from moat_tui.screen.models.request_order import Order, Sorter
from moat_tui.screen.reader import LOOK_EVERY, ReadFailed

FIRST_BYTES = 1024 * 1024  # of the file's end, looked at before anything is shown
NEWER_BYTES = 4 * 1024 * 1024  # most that one look takes of what was added
AT_ONCE = 0.03  # seconds of one look spent on older lines
SORT_EVERY = 0.5
YIELD = 0.0005  # seconds between two blocks: with less, the screen's thread waits 5 ms for the interpreter


@dataclass
class Ask:
    """What is looked for: `wanted` None for everything, `order` None for time. version: counts asks."""

    version: int = 0
    wanted: Predicate | None = None
    order: Order | None = None

    @property
    def reads(self) -> bool:
        return self.wanted is not None or self.order is not None


@dataclass
class RequestsRead(Message):
    """What one look found. Call `taken` when it has been applied.

    reset: forget the run's lines known so far. version: of the Ask that `found_…` and `order` answer.
    older: from newest to oldest, as `found_older` is. looked: lines that the ask has seen so far.
    """

    run_id: str
    path: Path
    version: int
    taken: Callable[[], None]
    reset: bool = False
    newer: list[Block] = field(default_factory=list)
    older: list[Block] = field(default_factory=list)
    found_newer: list[int] = field(default_factory=list)
    found_older: list[int] = field(default_factory=list)
    order: array[int] | None = None
    looked: int = 0
    done: bool = True

    @property
    def empty(self) -> bool:
        return not (
            self.reset or self.newer or self.older or self.found_newer or self.found_older or self.order
        )


class RequestSearch:
    """One file: its blocks, and how far an ask has been answered. Used by one thread."""

    def __init__(self, run_id: str, path: Path, taken: Callable[[], None]) -> None:
        self._run_id = run_id
        self._file = RequestFile(path)
        self._taken = taken
        self._blocks = Blocks()
        self._mark: tuple[int, int, int] | None = None
        self._begun = False
        self._start = self._end = 0  # the bytes known
        self._ask = Ask()
        self._next = 0  # lines below this have not been looked at for the ask
        self._looked = 0
        self._sorter: Sorter | None = None
        self._sorted_at = 0.0
        self._told_done = True

    def look(self, ask: Ask, *, paused: bool) -> RequestsRead | None:
        """What is new; None when there is nothing to say."""
        mark = file_mark(self._file.path)
        idle = self._begun and (mark == self._mark or paused) and self._start == 0 and self._complete
        if idle and ask.version == self._ask.version and (self._sorter is None or not self._sorter.fresh):
            return None
        found = RequestsRead(self._run_id, self._file.path, ask.version, self._taken)
        fd = open_lines(self._file.path)
        try:
            end = os.fstat(fd).st_size if fd is not None else 0
            if not self._begun or end < self._end or self._replaced(mark):
                self._reset(found, fd, end)
            if ask.version != self._ask.version:
                self._begin_ask(ask)
            if fd is not None:
                if not paused or found.reset:
                    self._mark = mark if end <= self._end + NEWER_BYTES else None
                    self._look_newer(found, fd, end)
                if not found.reset:  # the first page is shown before anything else is done
                    self._look_older(found, fd)
        finally:
            if fd is not None:
                os.close(fd)
        self._sort(found)
        found.looked, found.done = self._looked, self._complete and self._start == 0
        # A look that is not the last is always told, even when it found nothing: the next follows at once.
        news = not (found.empty and found.done) or not self._told_done
        self._told_done = found.done
        return found if news else None

    @property
    def _complete(self) -> bool:
        """Whether the ask has seen every line that is known."""
        return not self._ask.reads or self._full or self._next <= self._blocks.first

    @property
    def _full(self) -> bool:
        return self._sorter is not None and self._ask.wanted is None and self._sorter.full

    def _replaced(self, mark: tuple[int, int, int] | None) -> bool:
        return self._mark is not None and mark is not None and mark[0] != self._mark[0]

    def _reset(self, found: RequestsRead, fd: int | None, end: int) -> None:
        found.reset = True
        self._begun = True
        self._blocks.clear()
        self._start = self._end = line_start_before(fd, max(0, end - FIRST_BYTES)) if fd is not None else 0
        self._begin_ask(self._ask)

    def _begin_ask(self, ask: Ask) -> None:
        self._ask = ask
        self._next = self._blocks.after
        self._looked = 0
        self._sorter = Sorter(ask.order) if ask.order is not None else None
        self._sorted_at = 0.0
        self._told_done = False

    def _look_newer(self, found: RequestsRead, fd: int, end: int) -> None:
        limit = min(end, self._end + NEWER_BYTES)
        while (block := next_block(fd, self._blocks.after, self._end, limit)) is not None:
            self._blocks.add_newer(block)
            found.newer.append(block)
            self._end = block.offset + block.size
            if self._ask.reads:
                self._examine(block, fd, found.found_newer, range(block.lines))

    def _look_older(self, found: RequestsRead, fd: int) -> None:
        until = time.monotonic() + AT_ONCE
        while time.monotonic() < until:
            if not self._complete:
                block = self._blocks.holding(self._next - 1)
                self._examine(block, fd, found.found_older, range(self._next - block.first - 1, -1, -1))
                self._next = block.first
            elif self._start > 0:
                block = block_before(fd, self._blocks.first, self._start)
                self._blocks.add_older(block)
                found.older.append(block)
                self._start = block.offset
            else:
                return
            time.sleep(YIELD)

    def _examine(self, block: Block, fd: int, into: list[int], places: range) -> None:
        records = self._file.read(block, fd)
        wanted, sorter = self._ask.wanted, self._sorter
        for place in places:
            if wanted is None or wanted(records[place]):
                into.append(block.first + place)
                if sorter is not None:
                    sorter.add(records[place], block.first + place)
        self._looked += len(places)

    def _sort(self, found: RequestsRead) -> None:
        """Deliver an order now and then, not with every block; always when all has been seen."""
        if self._sorter is None or not self._sorter.fresh:
            return
        now = time.monotonic()
        if self._complete or now - self._sorted_at >= SORT_EVERY:
            found.order = self._sorter.order()
            self._sorted_at = now


class RequestReader:
    """`run` is the thread's body; the other methods may be called from any thread."""

    def __init__(self, face: EngineFace, deliver: Callable[[Message], object]) -> None:
        self._face = face
        self._deliver = deliver
        self._asked = threading.Event()  # something else is wanted: look now
        self._free = threading.Event()  # the last batch has been taken
        self._free.set()
        self._stopped = False
        self._selected = ("", 0)  # and how often one was selected: the same run again begins anew
        self._ask = Ask()
        self._paused = False

    def select(self, run_id: str) -> None:
        """Follow this run's requests from now on; the first batch has `reset` set."""
        self._selected = (run_id, self._selected[1] + 1)
        self._asked.set()

    def ask(self, wanted: Predicate | None, order: Order | None) -> int:
        """Look for these from now on; returns the version that the answers will carry."""
        self._ask = Ask(self._ask.version + 1, wanted, order)
        self._asked.set()
        return self._ask.version

    def pause(self, paused: bool) -> None:
        """Leave what is added to the file unread until told otherwise."""
        self._paused = paused
        self._asked.set()

    def stop(self) -> None:
        self._stopped = True
        self._asked.set()
        self._free.set()

    def run(self) -> None:
        followed, failed = ("", -1), ""
        search: RequestSearch | None = None
        while not self._stopped:
            self._asked.clear()
            more = False
            try:
                if self._selected != followed:
                    followed = self._selected
                    run_id = followed[0]
                    path = self._face.request_file(run_id) if run_id else None
                    search = RequestSearch(run_id, path, self._free.set) if path is not None else None
                if search is not None and self._free.is_set():
                    found = search.look(self._ask, paused=self._paused)
                    if found is not None:
                        self._free.clear()
                        self._deliver(found)
                        more = found.reset or not found.done
                if failed:
                    failed = ""
                    self._deliver(ReadFailed("requests", None))
            except Exception as error:  # a viewer must outlive whatever is wrong with a file
                followed = ("", -1)
                if failed != str(error):
                    failed = str(error)
                    self._deliver(ReadFailed("requests", error))
            # What is added is looked for ten times a second; older lines as fast as they are taken.
            (self._free if more else self._asked).wait(LOOK_EVERY)
