"""What a run's own log is sealed with while it grows: its tree, its keys, and when each is due.

Nothing here touches the disk. `prepare` makes what is to be stored in one transaction with the entries;
`done` is told when that is durable, and only then do the tree and the keys move on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from engine.audit.canonical import Entry
from engine.audit.run_keys import RunKeys
from engine.audit.tree import INTERVAL, Growth, Tree

ROTATION = 3600.0  # seconds that one key is used

type Ticks = Callable[[], float]


class Sealing(msgspec.Struct, frozen=True):
    """later: the keys with the new one, when this replaces one."""

    growth: Growth
    later: RunKeys | None
    at: float


class Sealer:
    """ticks: seconds of a clock that nobody can set."""

    def __init__(self, tree: Tree, keys: RunKeys, ticks: Ticks = time.monotonic) -> None:
        self.tree = tree
        self.keys = keys
        self._ticks = ticks
        self._sealed_at = self._keyed_at = ticks()

    def due_in(self) -> float:
        """Seconds until `prepare` is wanted even if nothing is written meanwhile."""
        due = self._keyed_at + ROTATION
        if self.tree.unsealed:
            due = min(due, self._sealed_at + INTERVAL)
        return max(0.0, due - self._ticks())

    def prepare(self, entries: Sequence[Entry], when: datetime, reason: str = "") -> Sealing:
        """reason: the log is closed with these entries, and why."""
        now = self._ticks()
        replaces = not reason and now >= self._keyed_at + ROTATION
        seal = replaces or now >= self._sealed_at + INTERVAL
        growth = self.tree.grown(entries, self.keys.sign, seal=seal, reason=reason)
        # The old key has signed all there is; from here on it could only sign what is not true.
        later = self.keys.successor(growth.frontier.size, when) if replaces else None
        return Sealing(growth, later, now)

    def done(self, sealing: Sealing) -> None:
        self.tree.adopt(sealing.growth)
        if sealing.growth.checkpoints:
            self._sealed_at = sealing.at
        if sealing.later is not None:
            self.keys.adopt(sealing.later)
            self._keyed_at = sealing.at
