"""Where the lines of a long file are, without keeping the file: a few numbers for every 64 KiB of it.

A block is a piece of the file that begins at a line's start and ends at a line's end. Lines are numbered
from where reading began, near the end of the file: those found before it, later, have negative numbers.
So a file with millions of lines shows its last page at once, and no line ever changes its number.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from typing import NamedTuple

BLOCK = 64 * 1024  # bytes of a block, more only where one line is longer


class Block(NamedTuple):
    """first: the number of its first line. Offsets and sizes in bytes."""

    first: int
    lines: int
    offset: int
    size: int

    @property
    def after(self) -> int:
        return self.first + self.lines


class Range(NamedTuple):
    """The lines `first` to before `after`."""

    first: int
    after: int


def open_lines(path: str | os.PathLike[str]) -> int | None:
    """A file descriptor, or None when there is no such file. A symlink is an error."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def line_start_before(fd: int, offset: int) -> int:
    """The start of the line that `offset` is in (or after, when it is at a line's start)."""
    while offset > 0:
        start = max(0, offset - BLOCK)
        cut = os.pread(fd, offset - start, start).rfind(b"\n")
        if cut >= 0:
            return start + cut + 1
        offset = start
    return 0


def next_block(fd: int, first: int, offset: int, end: int) -> Block | None:
    """The block that begins at `offset`, a line's start; None when no whole line is there before `end`."""
    size = BLOCK
    while True:
        data = os.pread(fd, min(size, end - offset), offset)
        cut = data.rfind(b"\n")
        if cut >= 0:
            return Block(first, data.count(b"\n"), offset, cut + 1)
        if len(data) < size:
            return None
        size *= 2


def block_before(fd: int, after: int, end: int) -> Block:
    """The block whose last line ends at `end` (> 0), a line's start; `after` is the next line's number."""
    size = BLOCK
    while True:
        start = max(0, end - size)
        data = os.pread(fd, end - start, start)
        # A block may begin at the file's start; elsewhere after the first line end, but not the last one.
        cut = 0 if start == 0 else data.find(b"\n", 0, len(data) - 1) + 1
        if cut or start == 0:
            lines = data.count(b"\n", cut)
            return Block(after - lines, lines, start + cut, end - start - cut)
        size *= 2


class Blocks:
    """The blocks known of one file, in order and without a gap."""

    def __init__(self) -> None:
        self._older: list[Block] = []  # from where reading began backwards
        self._newer: list[Block] = []

    @property
    def first(self) -> int:
        return self._older[-1].first if self._older else 0

    @property
    def after(self) -> int:
        """The number that the next line will have."""
        return self._newer[-1].after if self._newer else 0

    @property
    def count(self) -> int:
        return self.after - self.first

    def clear(self) -> None:
        self._older.clear()
        self._newer.clear()

    def add_newer(self, block: Block) -> None:
        """The piece after the last. A small last block grows instead: a busy file is read in many pieces."""
        last = self._newer[-1] if self._newer else None
        if last is not None and last.size + block.size <= BLOCK:
            self._newer[-1] = Block(last.first, last.lines + block.lines, last.offset, last.size + block.size)
        else:
            self._newer.append(block)

    def add_older(self, block: Block) -> None:
        self._older.append(block)

    def holding(self, number: int) -> Block:
        """The block that line `number` is in; IndexError when it is not known."""
        if not self.first <= number < self.after:
            raise IndexError(number)
        if number >= 0:
            return self._newer[bisect_right(self._newer, number, key=lambda block: block.first) - 1]
        # Their first numbers fall as the list goes on.
        low, high = 0, len(self._older) - 1
        while low < high:
            middle = (low + high) // 2
            if self._older[middle].first <= number:
                high = middle
            else:
                low = middle + 1
        return self._older[low]
