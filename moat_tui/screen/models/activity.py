"""Requests of the last minutes as a small graph, from counts that arrive as the files grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime

from moat_tui.screen.models.moments import parse_time

BUCKET = 15  # seconds
BUCKETS = 12  # the graph looks back three minutes
_BARS = "▁▂▃▄▅▆▇█"
_NOTHING = "·"


def bars(values: Sequence[int]) -> str:
    """One sign a value: `·` for zero, else a bar, the highest for the largest value."""
    most = max(values, default=0)
    return "".join(
        _BARS[min(len(_BARS) - 1, (value * len(_BARS) - 1) // most)] if value > 0 else _NOTHING
        for value in values
    )


class Activity:
    """One run's requests by the quarter minute. What it keeps does not grow with the time watched."""

    def __init__(self) -> None:
        self._counts: deque[int] = deque([0] * BUCKETS, maxlen=BUCKETS)
        self._newest = 0  # number of the newest bucket since 1970
        self._seen: int | None = None

    def seed(self, moments: Iterable[str], now: datetime) -> None:
        """What happened before the watching began, as RFC 3339 texts."""
        self._advance(now)
        for text in moments:
            moment = parse_time(text)
            if moment is not None:
                self._put(int(moment.timestamp()) // BUCKET, 1)

    def seen(self, total: int, now: datetime) -> None:
        """The run has made `total` requests by now. The first total is where counting starts."""
        self._advance(now)
        if self._seen is not None and total > self._seen:
            self._put(self._newest, total - self._seen)
        self._seen = total

    def values(self, now: datetime) -> list[int]:
        """Oldest first, the current quarter minute last."""
        self._advance(now)
        return list(self._counts)

    def _put(self, bucket: int, number: int) -> None:
        place = BUCKETS - 1 - (self._newest - bucket)
        if 0 <= place < BUCKETS:
            self._counts[place] += number

    def _advance(self, now: datetime) -> None:
        bucket = int(now.timestamp()) // BUCKET
        self._counts.extend([0] * min(max(0, bucket - self._newest), BUCKETS))
        self._newest = max(bucket, self._newest)


class Activities:
    """The graphs of all runs; those of runs that are gone are forgotten."""

    def __init__(self) -> None:
        self._of: dict[str, Activity] = {}

    def seed(self, run_id: str, moments: Iterable[str], now: datetime) -> None:
        self._of[run_id] = Activity()
        self._of[run_id].seed(moments, now)

    def seen(self, totals: Iterable[tuple[str, int]], now: datetime) -> None:
        found = dict(totals)
        self._of = {run_id: kept for run_id, kept in self._of.items() if run_id in found}
        for run_id, total in found.items():
            self._of.setdefault(run_id, Activity()).seen(total, now)

    def graph(self, run_id: str, now: datetime) -> str:
        """Empty when nothing happened in the time the graph shows."""
        activity = self._of.get(run_id)
        values = activity.values(now) if activity else []
        return bars(values) if any(values) else ""
