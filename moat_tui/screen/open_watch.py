"""Following which requests of some runs are open. Used by the thread that looks through the requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from moat_tui.screen.models.moments import parse_time
from moat_tui.screen.models.open_lines import OPEN_FIRST
from moat_tui.screen.models.request_file import Source

if TYPE_CHECKING:
    from engine import OpenView, RequestRecord
    from moat_tui.screen.models.shown_request import ShownRequest

TICK = 1.0  # seconds between two looks at a run with open requests: its supervisor may have died


class OpenReads(Protocol):
    """What is asked of the engine, and the time."""

    def open_mark(self, run_id: str) -> object: ...
    def open_requests(self, run_id: str) -> OpenView: ...
    def now(self) -> datetime: ...


class _Run:
    def __init__(self) -> None:
        self.mark: object = None
        self.read_at = 0.0
        self.rows: dict[str, ShownRequest] = {}
        self.over: set[str] = set()  # ended, and still said to be open: the file follows half a second later


class OpenWatch:
    """reads: None where nothing is ever open."""

    def __init__(self, reads: OpenReads | None) -> None:
        self._reads = reads
        self._runs: dict[str, _Run] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._next = OPEN_FIRST

    def look(self, sources: Sequence[Source]) -> bool:
        """Read what has changed; True when there is something to show anew."""
        if self._reads is None:
            return False
        changed = False
        for gone in self._runs.keys() - {source.run_id for source in sources}:
            changed |= bool(self._runs.pop(gone).rows)
        now = time.monotonic()
        for source in sources:
            run = self._runs.get(source.run_id)
            if run is None:
                run = self._runs[source.run_id] = _Run()
            elif not source.live and not run.rows:
                continue
            mark = self._reads.open_mark(source.run_id)
            if mark == run.mark and not (run.rows and now >= run.read_at + TICK):
                continue
            run.mark, run.read_at = mark, now
            before, run.rows = run.rows, self._read(self._reads, source, run)
            changed |= bool(before or run.rows)
        known = {(run_id, request_id) for run_id, run in self._runs.items() for request_id in run.rows}
        if len(known) < len(self._numbers):
            self._numbers = {key: number for key, number in self._numbers.items() if key in known}
        return changed

    def any_of(self, run_id: str) -> bool:
        run = self._runs.get(run_id)
        return run is not None and bool(run.rows)

    def end(self, run_id: str, request_id: str) -> int | None:
        """The request is over; the number it had, or None when it was not known to be open."""
        run = self._runs.get(run_id)
        if run is None or run.rows.pop(request_id, None) is None:
            return None
        run.over.add(request_id)
        return self._numbers.pop((run_id, request_id))

    def rows(self) -> list[tuple[int, ShownRequest]]:
        """All that are open, in the order in which they began."""
        rows = [
            (self._numbers[run_id, request_id], record)
            for run_id, run in self._runs.items()
            for request_id, record in run.rows.items()
        ]
        return sorted(rows, key=lambda row: (row[1].ts, row[0]))

    def _read(self, reads: OpenReads, source: Source, run: _Run) -> dict[str, ShownRequest]:
        view = reads.open_requests(source.run_id)
        run.over &= {record.id for record in view.requests}
        rows: dict[str, ShownRequest] = {}
        for record in view.requests:
            if record.id in run.over:
                continue
            rows[record.id] = _shown(record, source, open=view.live, now=reads.now())
            if (source.run_id, record.id) not in self._numbers:
                self._numbers[source.run_id, record.id] = self._next
                self._next += 1
        return rows


def _shown(record: RequestRecord, source: Source, *, open: bool, now: datetime) -> ShownRequest:
    import msgspec

    from moat_tui.screen.models.shown_request import ShownRequest

    fields = msgspec.structs.asdict(record)
    began = parse_time(record.ts)
    if open and began is not None:
        fields["duration_ms"] = max(record.duration_ms, round((now - began).total_seconds() * 1000))
    return ShownRequest(**fields, run=source.name, run_id=source.run_id, open=open)
