"""A log of any length, looked at a page at a time: what there is, where pages begin, where an entry stands.

Everything is counted inside SQLite, which lets other threads run meanwhile; no call loads more than one
number for each page. Nothing here verifies: a log that was tampered with is counted as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.audit.read import explained
from engine.audit.source import read_log


class AuditCounts(msgspec.Struct, frozen=True):
    """How many entries of each type there are; last: the highest seq, 0 for none."""

    types: dict[str, int]
    last: int = 0


class AuditPages(msgspec.Struct, frozen=True):
    """starts: seq of the first entry of every page, in order; total: entries on all of them."""

    starts: tuple[int, ...]
    total: int = 0


def count_entries(path: Path, after: int = 0) -> AuditCounts:
    """Of the entries with a seq beyond `after`. Blocking; AuditError when the log cannot be read."""
    query = "SELECT type, count(*), max(seq) FROM entries NOT INDEXED WHERE seq > ? GROUP BY type"
    rows = _asked(path, query, (after,))
    return AuditCounts(
        {str(kind): number for kind, number, _ in rows},
        max((last for _, _, last in rows if isinstance(last, int)), default=0),
    )


def find_pages(path: Path, types: Sequence[str] = (), after: int = 0, size: int = 256) -> AuditPages:
    """The pages of `size` entries of the given types (none: all) with a seq beyond `after`. Blocking."""
    condition, arguments = _condition(types)
    size = max(2, size)
    # The rest of the last page is counted by itself: a count beside every row costs as much again.
    starting = (
        "SELECT seq FROM (SELECT seq, row_number() OVER (ORDER BY seq) AS place FROM entries NOT INDEXED"
        f" WHERE seq > ? {condition}) WHERE place % ? = 1"
    )
    counting = f"SELECT count(*) FROM entries NOT INDEXED WHERE seq >= ? {condition}"

    def work(connection: sqlite3.Connection, _live: bool) -> AuditPages:
        rows = connection.execute(starting, (after, *arguments, size)).fetchall()
        starts = tuple(sorted(seq for (seq,) in rows))
        if not starts:
            return AuditPages(())
        rest = connection.execute(counting, (starts[-1], *arguments)).fetchone()[0]
        return AuditPages(starts, (len(starts) - 1) * size + rest)

    with explained(path):
        return read_log(path, work)


def place_of(path: Path, seq: int, types: Sequence[str] = ()) -> int:
    """How many entries of the given types (none: all) come before `seq`. Blocking."""
    condition, arguments = _condition(types)
    query = f"SELECT count(*) FROM entries NOT INDEXED WHERE seq < ? {condition}"
    return int(_asked(path, query, (seq, *arguments))[0][0])


def _condition(types: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    # `+type`: never through an index, which could have been made to skip what the table holds.
    return (f"AND +type IN ({', '.join('?' * len(types))})", tuple(types)) if types else ("", ())


def _asked(path: Path, query: str, arguments: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    def work(connection: sqlite3.Connection, _live: bool) -> list[tuple[Any, ...]]:
        return connection.execute(query, arguments).fetchall()

    with explained(path):
        return read_log(path, work)
