"""Telling somebody else about a log's checkpoints, now and then: who holds one knows what the log held."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from engine.audit.sealer import Ticks

PACE = 10.0  # seconds between two

type Told = Callable[[str, int], None]  # note, size


class Teller:
    """The first checkpoint at once, then the newest every PACE seconds at most, the last one in any case.

    The log goes on whatever happens here: what the listener raises is its own business.
    """

    def __init__(self, listener: Told | None, ticks: Ticks = time.monotonic) -> None:
        self._listener = listener
        self._ticks = ticks
        self._told: tuple[int, str] | None = None
        self._waiting: tuple[int, str] | None = None
        self._told_at = 0.0

    def due_in(self) -> float | None:
        """Seconds until `offer` should be asked again; None when nothing waits."""
        if self._waiting is None:
            return None
        return max(0.0, self._told_at + PACE - self._ticks())

    def offer(self, newest: tuple[int, str] | None) -> None:
        """newest: size and note of the last checkpoint there is."""
        if self._listener is None or newest is None or newest == self._told:
            return
        self._waiting = newest
        if self._told is None or self.due_in() == 0:
            self._tell()

    def last(self, newest: tuple[int, str] | None) -> None:
        """As `offer`, without waiting."""
        if self._listener is not None and newest is not None and newest != self._told:
            self._waiting = newest
            self._tell()

    def _tell(self) -> None:
        assert self._listener is not None
        assert self._waiting is not None
        self._told, self._waiting, self._told_at = self._waiting, None, self._ticks()
        size, note = self._told
        with contextlib.suppress(Exception):
            self._listener(note, size)
