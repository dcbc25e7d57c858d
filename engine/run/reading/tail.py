"""Reading a run's line files while, or after, its supervisor writes them.

Only whole lines are delivered: a line that is still being written waits for its end. A line that
cannot be decoded is skipped and counted, because one torn write must not hide the rest of a log.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from engine.events import LogLine, RequestRecord
from engine.home import Home

LOGS = "logs.jsonl"
NETWORK = "network.jsonl"

MAX_LINE = 8 * 1024 * 1024  # bytes; the longest that is written is a request with two bodies, far below
_BLOCK = 256 * 1024


class Tail[Line]:
    """Follows one file by offset; opening lazily, so the file may not exist yet.

    A file that shrank or was replaced is read from its beginning: what was read before is not in it.
    """

    def __init__(self, home: Home, path: Path, decoder: msgspec.json.Decoder[Line]) -> None:
        self._home = home
        self._path = path
        self._decoder = decoder
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._overlong = False
        self.skipped = 0

    def read(self, limit: int = 10_000) -> list[Line]:
        """The complete lines written since the last call, at most `limit`; empty when there are none."""
        fd = self._open()
        if fd is None:
            return []
        lines: list[Line] = []
        try:
            if self._size(fd) <= self._offset:
                return []
            pending: list[bytes] = []
            held = 0
            position = self._offset
            while len(lines) < limit and (block := os.pread(fd, _BLOCK, position)):
                position += len(block)
                first, *rest = block.split(b"\n")
                pending.append(first)
                held += len(first)
                if not rest:
                    if held > MAX_LINE:  # no line of ours: let go of it, and of the rest of it
                        self._offset, self._overlong, pending, held = position, True, [], 0
                    continue
                *pieces, last = rest
                for piece in (b"".join(pending), *pieces):
                    if len(lines) >= limit:
                        break
                    self._offset += len(piece) + 1
                    self._decode(piece, lines)
                pending, held = [last], len(last)
        finally:
            os.close(fd)
        return lines

    def last(self, count: int) -> list[Line]:
        """The last `count` complete lines, read from the end; the next `read` continues after them."""
        fd = self._open()
        if fd is None:
            return []
        try:
            position = end = self._size(fd)
            blocks: list[bytes] = []
            ends = since = 0
            while position > 0 and ends <= count and since <= MAX_LINE:
                step = min(_BLOCK, position)
                position -= step
                block = os.pread(fd, step, position)
                found = block.count(b"\n")
                ends += found
                since = 0 if found else since + step
                blocks.append(block)
        finally:
            os.close(fd)
        complete, _, torn = b"".join(reversed(blocks)).rpartition(b"\n")
        self._offset = end - len(torn)
        self._overlong = len(torn) > MAX_LINE
        if self._overlong:
            self._offset = end
        lines: list[Line] = []
        if count > 0:
            for piece in complete.split(b"\n")[-count:]:
                self._decode(piece, lines)
        return lines

    def _size(self, fd: int) -> int:
        """The file's size, after going back to its beginning when it is not the file it was."""
        found = os.fstat(fd)
        if self._file != (found.st_dev, found.st_ino) or found.st_size < self._offset:
            self._file, self._offset, self._overlong = (found.st_dev, found.st_ino), 0, False
        return found.st_size

    def _open(self) -> int | None:
        try:
            return self._home.open_private(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None

    def _decode(self, piece: bytes, into: list[Line]) -> None:
        if self._overlong:  # its end
            self._overlong = False
            self.skipped += 1
            return
        if not piece.strip():
            return
        try:
            into.append(self._decoder.decode(piece))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            self.skipped += 1


class LogTail(Tail[LogLine]):
    """The agent's output, line by line."""

    def __init__(self, home: Home, run_id: str) -> None:
        super().__init__(home, home.run(run_id) / LOGS, msgspec.json.Decoder(LogLine))


class RequestTail(Tail[RequestRecord]):
    """The run's requests, in the order they finished."""

    def __init__(self, home: Home, run_id: str) -> None:
        super().__init__(home, home.run(run_id) / NETWORK, msgspec.json.Decoder(RequestRecord))
