"""Appending lines to a run's own files. One writer a file: the supervisor."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from engine.errors import HomeError
from engine.home import Home


class LineFile:
    """A JSON-lines file opened for appending.

    A line that cannot be written (full disk) is counted in `dropped` and the first reason is kept in
    `problem`: these files are for looking, the audit log is for proof, so a run goes on without them.
    """

    def __init__(self, home: Home, path: Path) -> None:
        self._fd = home.open_private(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._encoder = msgspec.json.Encoder()
        size = os.fstat(self._fd).st_size
        self._torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"
        self.dropped = 0
        self.problem = ""

    def append(self, *lines: msgspec.Struct) -> None:
        data = b"".join(self._encoder.encode(line) + b"\n" for line in lines)
        if self._torn:
            # The last write stopped in the middle of a line; end it, so that only that line is lost.
            data = b"\n" + data
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            self.dropped += len(lines)
            self.problem = self.problem or str(error.strerror)
            return
        self._torn = written < len(data)
        if self._torn:
            self.dropped += data.count(b"\n", written)
            self.problem = self.problem or "the disk is full"

    def close(self) -> None:
        os.close(self._fd)


def touch(home: Home, path: Path) -> None:
    """Make the file empty if there is none, so that its mode is right from the start."""
    try:
        os.close(home.open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    except FileNotFoundError as error:  # pragma: no cover - the directory was removed under us
        raise HomeError(f"{path.parent} is gone") from error
