"""One run's requests file while it grows: which piece of it is known, and the piece before and after."""

from __future__ import annotations

import os

from moat_tui.screen.models.line_blocks import (
    Block,
    Blocks,
    block_before,
    line_start_before,
    next_block,
    open_lines,
)
from moat_tui.screen.models.request_file import RequestFile, Source
from moat_tui.screen.models.timeline import Span

NEWER_BYTES = 4 * 1024 * 1024  # most that one look takes of what was added to a file

type Mark = tuple[int, int, int] | None
"""As `file_mark` gives it."""


class FollowedFile:
    """One file and how much of it is known."""

    def __init__(self, place: int, source: Source) -> None:
        self.place = place
        self.source = source
        self.file = RequestFile(source)
        self.blocks = Blocks()
        self.mark: Mark = None
        self.start = self.end = 0  # the bytes known

    def begin(self, back: int) -> None:
        """Nothing is known but where to begin: at the start of a line, `back` bytes before the end."""
        self.blocks.clear()
        self.mark = None
        self.start = self.end = 0
        fd = open_lines(self.source.path)
        if fd is not None:
            try:
                self.start = self.end = line_start_before(fd, max(0, os.fstat(fd).st_size - back))
            finally:
                os.close(fd)

    def replaced(self, mark: Mark) -> bool:
        """Whether what is known is not in the file any more."""
        if mark is None:
            return self.end > 0
        return mark[1] < self.end or (self.mark is not None and mark[0] != self.mark[0])

    def read_newer(self, mark: Mark) -> list[Block]:
        """What was added since; `mark` is the file's, from before this."""
        found: list[Block] = []
        fd = open_lines(self.source.path)
        if fd is None:
            self.mark = mark
            return found
        try:
            size = os.fstat(fd).st_size
            limit = min(size, self.end + NEWER_BYTES)
            self.mark = mark if size <= limit else None  # None: look again although it has not changed
            while (block := next_block(fd, self.blocks.after, self.end, limit)) is not None:
                self.blocks.add_newer(block)
                found.append(block)
                self.end = block.offset + block.size
        finally:
            os.close(fd)
        return found

    def read_older(self) -> Block | None:
        """The piece before what is known; None at the file's start."""
        if self.start == 0:
            return None
        fd = open_lines(self.source.path)
        if fd is None:
            return None
        try:
            block = block_before(fd, self.blocks.first, self.start)
        finally:
            os.close(fd)
        self.blocks.add_older(block)
        self.start = block.offset
        return block


def by_time(blocks: list[tuple[FollowedFile, Block]]) -> list[Span]:
    """The lines of all blocks in the order in which requests were over."""
    if len({file.place for file, _ in blocks}) <= 1:
        return [Span(file.place, block.first, block.lines) for file, block in blocks]
    lines = [
        (end, file.place, block.first + place)
        for file, block in blocks
        for place, end in enumerate(file.file.ends(block))
    ]
    lines.sort()
    return [Span(source, line, 1) for _, source, line in lines]
