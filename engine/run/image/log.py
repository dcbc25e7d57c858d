"""What the steps of an image print: kept in the run's directory, and its last lines for an error."""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from pathlib import Path

from engine.home import Home
from engine.run.records.output import LineSplitter

LOG = "build.log"
MOST_BYTES = 4 * 1024 * 1024  # of the file; what comes after is counted
_KEPT = 40  # last lines that are looked through for what went wrong
_SHOWN = 3
_SHOWN_CHARACTERS = 160  # of each of them
_GRAVE = re.compile(r"^(E:|npm (ERR!|error)|ERROR:|dpkg: error|(fatal|error):)|: error:", re.IGNORECASE)


class ImageLog:
    """`begin` before each step, `close` once. The file is made when there is something to keep."""

    def __init__(self, home: Home, run_id: str) -> None:
        self._home = home
        self.path: Path = home.run(run_id) / LOG
        self._descriptor: int | None = None
        self._size = 0
        self._dropped = 0
        self._last: deque[str] = deque(maxlen=_KEPT)
        self._splitters: dict[str, LineSplitter] = {}

    def begin(self, doing: str) -> None:
        self._last.clear()
        self._splitters = {stream: LineSplitter() for stream in ("stdout", "stderr")}
        self._write(f"moat: {doing}")

    def feed(self, stream: str, data: bytes) -> None:
        for line in self._splitters[stream].feed(data):
            self._take(line)

    def finish(self) -> None:
        """The step has ended."""
        for splitter in self._splitters.values():
            for line in splitter.finish():
                self._take(line)

    @property
    def last_line(self) -> str:
        return self._last[-1] if self._last else ""

    def last_lines(self) -> str:
        """Those that speak of an error, where some do, on one line."""
        grave = [line for line in self._last if _GRAVE.search(line)]
        return " / ".join(line[:_SHOWN_CHARACTERS] for line in (grave or [*self._last])[-_SHOWN:])

    def close(self) -> None:
        if self._descriptor is None:
            return
        if self._dropped:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, f"moat: {self._dropped:,} more lines were not kept\n".encode())
        os.close(self._descriptor)
        self._descriptor = None

    def _take(self, line: str) -> None:
        # A line that was written over itself, as a progress bar is, shows what it came to.
        text = _plain(line.rstrip("\r").rpartition("\r")[2]).rstrip()
        if text:
            self._last.append(text)
        self._write(text)

    def _write(self, line: str) -> None:
        data = (line + "\n").encode()
        if self._size + len(data) > MOST_BYTES:
            self._dropped += 1
            return
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._descriptor = self._home.open_private(self.path, flags)
        self._size += len(data)
        try:
            os.write(self._descriptor, data)
        except OSError:  # a full disk: the step may well go on without its log
            self._dropped += 1


def _plain(line: str) -> str:
    """For a terminal: nothing that moves its cursor, or its text's direction."""
    return "".join(
        character if character.isprintable() else " " if character == "\t" else "\N{REPLACEMENT CHARACTER}"
        for character in line
    )
