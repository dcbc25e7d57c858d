"""Which requests wait for an answer, which of them is looked at, and whether a key counts yet.

A key that was meant for something else must not answer: answers count only once what is shown has stood
still, with no key pressed, for QUIET seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine import Approval

QUIET = 0.5  # seconds

type Key = tuple[str, str]
"""(run id, approval id)."""


class Waiting(NamedTuple):
    run_id: str
    approval: Approval

    @property
    def key(self) -> Key:
        return self.run_id, self.approval.id


class ApprovalQueue:
    """Times are monotonic seconds and come from the caller."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self._met: set[Key] = set()
        self._current: Key | None = None
        self._quiet_from = 0.0

    def update(self, found: Mapping[str, Sequence[Approval]], now: float) -> list[Waiting]:
        """Take what waits now, by run; returns what is new, each once for ever."""
        shown = self.current
        self.waiting = [Waiting(run_id, approval) for run_id, all in found.items() for approval in all]
        self.waiting.sort(key=lambda item: item.approval.since)
        if self.current != shown:
            self.disturb(now)
        new = [item for item in self.waiting if item.key not in self._met]
        self._met.update(item.key for item in new)
        return new

    @property
    def current(self) -> Waiting | None:
        """The one that is looked at: the one that was chosen while it waits, else the oldest."""
        chosen = next((item for item in self.waiting if item.key == self._current), None)
        return chosen or (self.waiting[0] if self.waiting else None)

    def step(self, step: int, now: float) -> None:
        """Look at the next or the one before; stops at the ends."""
        current = self.current
        if current is None:
            return
        place = [item.key for item in self.waiting].index(current.key) + step
        self.choose(self.waiting[max(0, min(place, len(self.waiting) - 1))].key, now)

    def choose(self, key: Key, now: float) -> None:
        shown = self.current
        self._current = key
        if self.current != shown:
            self.disturb(now)

    def disturb(self, now: float) -> None:
        """Something came up or a key was pressed: from here on it has to be quiet first."""
        self._quiet_from = now + QUIET

    def heard(self, now: float) -> bool:
        """Whether an answer given now counts; one that does not makes the wait begin again."""
        if now >= self._quiet_from:
            return True
        self.disturb(now)
        return False

    def counts(self) -> dict[str, int]:
        """How many wait in each run that has any."""
        counts: dict[str, int] = {}
        for item in self.waiting:
            counts[item.run_id] = counts.get(item.run_id, 0) + 1
        return counts
