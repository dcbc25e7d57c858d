"""The requests of one run as a list of lines: all, those that a filter found, or sorted.

Only where the lines are is kept (`line_blocks`), and the numbers of those that a filter found, eight
bytes each. The requests themselves are read from the file when they are drawn.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from moat_tui.screen.models.line_blocks import Block, Blocks, open_lines

if TYPE_CHECKING:
    import msgspec

    from engine import RequestRecord
    from moat_tui.screen.request_reader import RequestsRead

CACHED = 48  # blocks of 64 KiB whose requests are held decoded


class RequestFile:
    """Reads blocks of a `network.jsonl`. A line that is no request is shown as one, never left out."""

    def __init__(self, path: Path) -> None:
        from msgspec.json import Decoder

        from engine import RequestRecord

        self.path = path
        self._decoder: msgspec.json.Decoder[RequestRecord] = Decoder(RequestRecord)
        self._broken = RequestRecord(id="", ts="", method="?", url="(this line of the file cannot be read)")

    def read(self, block: Block, fd: int | None = None) -> list[RequestRecord]:
        """Exactly `block.lines` requests."""
        data = b""
        own = fd is None
        if fd is None:
            try:
                fd = open_lines(self.path)
            except OSError:
                fd = None
        if fd is not None:
            try:
                data = os.pread(fd, block.size, block.offset)
            finally:
                if own:
                    os.close(fd)
        records = [self.decode(piece) for piece in data.split(b"\n")[:-1]][: block.lines]
        return records + [self._broken] * (block.lines - len(records))

    def decode(self, line: bytes) -> RequestRecord:
        try:
            return self._decoder.decode(line)
        except ValueError:  # msgspec's errors and UnicodeDecodeError are all of this kind
            return self._broken


class Found:
    """Numbers of lines, ascending, that grow at both ends."""

    def __init__(self) -> None:
        self._older = array("q")  # descending
        self._newer = array("q")

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    def __getitem__(self, place: int) -> int:
        older = len(self._older)
        return self._older[older - 1 - place] if place < older else self._newer[place - older]

    def add_newer(self, numbers: Iterable[int]) -> None:
        self._newer.extend(numbers)

    def add_older(self, numbers: Iterable[int]) -> None:
        """Descending, all below what is known."""
        self._older.extend(numbers)

    def place(self, number: int) -> int:
        """Of the first that is not below `number`; the length when all are."""
        return bisect_left(self, number)

    def __contains__(self, number: int) -> bool:
        place = self.place(number)
        return place < len(self) and self[place] == number


class RequestLines:
    """What the list draws from (`store.Lines`). Its owner adds what the reader found."""

    def __init__(self) -> None:
        self._file: RequestFile | None = None
        self._cache: OrderedDict[Block, list[RequestRecord]] = OrderedDict()
        self.blocks = Blocks()
        self.found: Found | None = None
        self.order: array[int] | None = None
        self.hiding = True  # with a filter: show only what it found

    def begin(self, path: Path | None) -> None:
        """Another file, or none: nothing of it is known yet."""
        self._file = RequestFile(path) if path is not None else None
        self._cache.clear()
        self.blocks.clear()
        self.clear_found(filtering=False)

    def clear_found(self, *, filtering: bool) -> None:
        """Another filter (or none) has been asked for."""
        self.found = Found() if filtering else None
        self.order = None

    def take(self, found: RequestsRead, version: int) -> tuple[int, int]:
        """Apply what the reader found; an answer to another ask than `version` adds no found lines.

        Returns by how many lines the list has grown at its start and at its end.
        """
        if found.reset:
            filtering = self.found is not None
            self.begin(found.path)
            self.clear_found(filtering=filtering)
        elif self._file is None:
            return 0, 0  # on its way since before `begin`; the reset is still to come
        for block in found.newer:
            self.blocks.add_newer(block)
        for block in found.older:
            self.blocks.add_older(block)
        if found.version == version:
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
        return sum(block.lines for block in found.older), sum(block.lines for block in found.newer)

    @property
    def dropped(self) -> int:
        return 0

    @property
    def _shown(self) -> Found | array[int] | None:
        """The numbers shown; None when they are all lines."""
        if self.order is not None:
            return self.order
        return self.found if self.hiding else None

    def __len__(self) -> int:
        shown = self._shown
        return self.blocks.count if shown is None else len(shown)

    def __getitem__(self, index: int) -> RequestRecord:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.record(self.number(index))

    def number(self, place: int) -> int:
        shown = self._shown
        return self.blocks.first + place if shown is None else shown[place]

    def place(self, number: int) -> int:
        shown = self._shown
        if shown is None:
            place = number - self.blocks.first
        elif isinstance(shown, Found):
            place = shown.place(number)
        else:
            try:
                place = shown.index(number)
            except ValueError:
                place = 0
        return max(0, min(place, len(self) - 1))

    def record(self, number: int) -> RequestRecord:
        block = self.blocks.holding(number)
        records = self._cache.get(block)
        if records is None:
            assert self._file is not None  # there are no blocks of no file
            records = self._cache[block] = self._file.read(block)
            if len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(block)
        return records[number - block.first]

    def next_found(self, number: int, step: int) -> int | None:
        """The nearest line that the filter found, after or before `number`, going round at the ends."""
        if self.found is None or not len(self.found):
            return None
        place = self.found.place(number)
        if step > 0:
            place += number in self.found
        else:
            place -= 1
        return self.found[place % len(self.found)]
