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

_BLOCK = 256 * 1024


class Tail[Line]:
    """Follows one file by offset; opening lazily, so the file may not exist yet."""

    def __init__(self, home: Home, path: Path, decoder: msgspec.json.Decoder[Line]) -> None:
        self._home = home
        self._path = path
        self._decoder = decoder
        self._offset = 0
        self.skipped = 0

    def read(self, limit: int = 10_000) -> list[Line]:
        """The complete lines written since the last call, at most `limit`; empty when there are none."""
        fd = self._open()
        if fd is None:
            return []
        lines: list[Line] = []
        try:
            if os.fstat(fd).st_size <= self._offset:
                return []
            pending = b""
            position = self._offset
            while len(lines) < limit:
                block = os.pread(fd, _BLOCK, position)
                if not block:
                    break
                position += len(block)
                pieces = (pending + block).split(b"\n")
                pending = pieces.pop()
                for piece in pieces:
                    if len(lines) >= limit:
                        break
                    self._offset += len(piece) + 1
                    self._decode(piece, lines)
        finally:
            os.close(fd)
        return lines

    def last(self, count: int) -> list[Line]:
        """The last `count` complete lines, read from the end; the next `read` continues after them."""
        fd = self._open()
        if fd is None or count <= 0:
            if fd is not None:
                self._offset = os.fstat(fd).st_size
                os.close(fd)
            return []
        try:
            end = os.fstat(fd).st_size
            data = b""
            position = end
            while position > 0 and data.count(b"\n") <= count:
                step = min(_BLOCK, position)
                position -= step
                data = os.pread(fd, step, position) + data
        finally:
            os.close(fd)
        complete, _, torn = data.rpartition(b"\n")
        self._offset = end - len(torn)
        lines: list[Line] = []
        for piece in complete.split(b"\n")[-count:]:
            self._decode(piece, lines)
        return lines

    def _open(self) -> int | None:
        try:
            return self._home.open_private(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None

    def _decode(self, piece: bytes, into: list[Line]) -> None:
        if not piece.strip():
            return
        try:
            into.append(self._decoder.decode(piece))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.skipped += 1


class LogTail(Tail[LogLine]):
    """The agent's output, line by line."""

    def __init__(self, home: Home, run_id: str) -> None:
        super().__init__(home, home.run(run_id) / LOGS, msgspec.json.Decoder(LogLine))


class RequestTail(Tail[RequestRecord]):
    """The run's requests, in the order they finished."""

    def __init__(self, home: Home, run_id: str) -> None:
        super().__init__(home, home.run(run_id) / NETWORK, msgspec.json.Decoder(RequestRecord))
