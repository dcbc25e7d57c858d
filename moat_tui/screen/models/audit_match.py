"""Which entries of a run's audit log are about one request.

The log has no request ids, so they are found by what is in them: the network entry with the same method,
URL, status and duration, and before it the intent of the credential, or the policy's refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from moat_tui.screen.models.moments import parse_time

if TYPE_CHECKING:
    from engine import RequestRecord

PAGE = 500  # entries read at a time
BEFORE = timedelta(seconds=2)
AFTER = timedelta(seconds=30)


class EntryLike(Protocol):
    @property
    def seq(self) -> int: ...
    @property
    def ts(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> dict[str, object]: ...


type Read = Callable[[int, int], Sequence[EntryLike]]
"""(after, limit): the entries with a number above `after`, in order."""


class Match(NamedTuple):
    seq: int
    type: str


def find_entries(record: RequestRecord, read: Read, cancelled: Callable[[], bool]) -> list[Match]:
    """In the log's order; empty when there are none. Blocks: for a thread. Raises what `read` does."""
    begun = parse_time(record.ts)
    if begun is None:
        return []
    until = begun + timedelta(milliseconds=record.duration_ms) + AFTER
    after = _last_before(begun - BEFORE, read)
    before: Match | None = None
    while not cancelled():
        page = read(after, PAGE)
        for entry in page:
            moment = parse_time(entry.ts)
            if moment is not None and moment > until:
                return []
            if _leads_to(entry, record):
                before = Match(entry.seq, entry.type)
            elif _is_of(entry, record):
                return [*([before] if before else []), Match(entry.seq, entry.type)]
        if not page:
            break
        after = page[-1].seq
    return [before] if before and record.decision != "allowed" else []


def _last_before(moment: datetime, read: Read) -> int:
    """A number such that all entries up to it are older than `moment`."""

    def older(number: int) -> bool:
        page = read(number - 1, 1)
        found = parse_time(page[0].ts) if page else None
        return found is not None and found < moment

    low, step = 0, 1  # the entry `low` is older, or 0
    while older(low + step):
        low += step
        step *= 2
    while step > 1:
        step //= 2
        if older(low + step):
            low += step
    return low


def _is_of(entry: EntryLike, record: RequestRecord) -> bool:
    data = entry.data
    return (
        entry.type == "network"
        and data.get("url") == record.url
        and data.get("method") == record.method
        and data.get("status_code", 0) == record.status_code
        and data.get("duration_ms", record.duration_ms) == record.duration_ms
    )


def _leads_to(entry: EntryLike, record: RequestRecord) -> bool:
    if entry.type == "credential":
        return bool(record.grant) and (entry.data.get("name"), entry.data.get("host")) == (
            record.grant,
            record.host,
        )
    if entry.type == "policy" and record.decision != "allowed":
        message = str(entry.data.get("message", ""))
        return record.host in (str(entry.data.get("operation", "")), message.partition(":")[0])
    return False
