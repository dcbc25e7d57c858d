"""One run's requests in its file: whole blocks read, and what is needed of each line to merge files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from moat_tui.screen.models.line_blocks import Block, open_lines

if TYPE_CHECKING:
    from moat_tui.screen.models.shown_request import ShownRequest

UNREADABLE = "(this line of the file cannot be read)"


class Source(NamedTuple):
    """A run whose requests are listed. live: its files may still grow."""

    run_id: str
    name: str
    path: Path
    live: bool = True


class RequestFile:
    """Reads blocks of a `network.jsonl`. A line that is no request is shown as one, never left out."""

    def __init__(self, source: Source) -> None:
        from msgspec.json import Decoder
        from msgspec.structs import force_setattr

        from moat_tui.screen.models.shown_request import RequestEnd, RequestId, ShownRequest

        self.source = source
        self._requests = Decoder(ShownRequest)
        self._ids = Decoder(RequestId)
        self._ends = Decoder(RequestEnd)
        self._force = force_setattr
        self._broken = ShownRequest("", "", "?", UNREADABLE, run=source.name, run_id=source.run_id)

    def read(self, block: Block) -> list[ShownRequest]:
        """Exactly `block.lines` requests."""
        records = [self.decode(line) for line in self._lines(block)]
        return records + [self._broken] * (block.lines - len(records))

    def decode(self, line: bytes) -> ShownRequest:
        try:
            record = self._requests.decode(line)
        except ValueError:  # msgspec's errors and UnicodeDecodeError are all of this kind
            return self._broken
        self._force(record, "run", self.source.name)  # it is ours alone yet
        self._force(record, "run_id", self.source.run_id)
        return record

    def ids(self, block: Block) -> list[str]:
        """The requests' ids; empty where a line is no request."""
        found: list[str] = []
        for line in self._lines(block):
            try:
                found.append(self._ids.decode(line).id)
            except ValueError:
                found.append("")
        return found

    def ends(self, block: Block) -> list[float]:
        """When each request was over, in seconds since 1970: they are written in that order.

        A line that does not say, or says an earlier time than the one before it, has that one's.
        """
        times: list[float] = []
        last = 0.0
        for line in self._lines(block):
            try:
                found = self._ends.decode(line)
                last = max(last, found.ts.timestamp() + found.duration_ms / 1000)
            except (ValueError, OverflowError):
                pass
            times.append(last)
        return times + [last] * (block.lines - len(times))

    def _lines(self, block: Block) -> list[bytes]:
        """Fewer than `block.lines` when the file has become shorter."""
        try:
            fd = open_lines(self.source.path)
        except OSError:
            return []
        if fd is None:
            return []
        try:
            data = os.pread(fd, block.size, block.offset)
        finally:
            os.close(fd)
        return data.split(b"\n")[:-1][: block.lines]
