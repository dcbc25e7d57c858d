"""Entries of a log for a viewer, live or finished, without verifying and without changing anything."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.audit.canonical import Entry
from engine.audit.source import Unusable, read_log
from engine.audit.verify import shown_reason
from engine.errors import AuditError

_parse = msgspec.json.Decoder(dict[str, Any]).decode
_MAX_SEQ = 2**63 - 1


def read_entries(path: Path, after: int = 0, limit: int = 1000, types: Sequence[str] = ()) -> list[Entry]:
    """Up to `limit` entries with a seq beyond `after`, in order; of the given types only, if any. Blocking.

    Raises AuditError when the log is missing or damaged or an entry cannot be taken apart.
    """
    chosen = f"AND +type IN ({', '.join('?' * len(types))})" if types else ""
    # `+type`: never through an index, which could have been made to skip what the table holds.
    query = (
        "SELECT seq, ts, type, prev_hash, data, hash FROM entries NOT INDEXED"
        f" WHERE seq > ? {chosen} ORDER BY seq LIMIT ?"
    )
    arguments = (min(max(after, 0), _MAX_SEQ), *types, min(max(limit, 0), _MAX_SEQ))
    with explained(path):
        return read_log(
            path, lambda connection, _live: [entry_of(row) for row in connection.execute(query, arguments)]
        )


def read_newest(path: Path, limit: int = 256, types: Sequence[str] = ()) -> list[Entry]:
    """The last `limit` entries, in order; of the given types only, if any. Blocking, and as `read_entries`.

    Takes no longer in a log of a million entries than in a short one, unless those types are rare in it.
    """
    chosen = f"WHERE +type IN ({', '.join('?' * len(types))})" if types else ""
    query = (
        "SELECT seq, ts, type, prev_hash, data, hash FROM entries NOT INDEXED"
        f" {chosen} ORDER BY seq DESC LIMIT ?"
    )
    arguments = (*types, min(max(limit, 0), _MAX_SEQ))
    with explained(path):
        found = read_log(
            path, lambda connection, _live: [entry_of(row) for row in connection.execute(query, arguments)]
        )
    return found[::-1]


class Birth(msgspec.Struct, frozen=True):
    """How a log began. ts: of its first entry, "" when there is none yet; tree: it is a version 2 log."""

    ts: str
    tree: bool


def read_birth(path: Path) -> Birth:
    """Blocking; raises AuditError when the log is missing or damaged."""

    def work(connection: sqlite3.Connection, _live: bool) -> Birth:
        first = connection.execute("SELECT ts FROM entries NOT INDEXED ORDER BY seq LIMIT 1").fetchone()
        seed = connection.execute("SELECT 1 FROM metadata NOT INDEXED WHERE key = 'tree_seed'").fetchone()
        return Birth(first[0] if first and isinstance(first[0], str) else "", seed is not None)

    with explained(path):
        return read_log(path, work)


def read_last_checkpoint(path: Path) -> str:
    """The note of the largest, which is the close record of a closed log; "" when there is none, as in a
    version 1 log. Blocking.

    Raises AuditError when the log is missing or damaged.
    """

    def work(connection: sqlite3.Connection, _live: bool) -> str:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if ("checkpoints",) not in tables.fetchall():
            return ""
        rows = connection.execute("SELECT note FROM checkpoints NOT INDEXED ORDER BY size DESC LIMIT 1")
        return "".join(note for (note,) in rows if isinstance(note, str))

    with explained(path):
        return read_log(path, work)


def entry_of(row: tuple[Any, ...]) -> Entry:
    """One row as an Entry; AuditError naming its seq when it is not one."""
    seq, ts, kind, prev, data_json, digest = row
    if type(seq) is int and all(isinstance(part, str) for part in row[1:]):
        try:
            return Entry(seq, ts, kind, prev, _parse(data_json), data_json, digest)
        except (msgspec.DecodeError, RecursionError):
            pass
    raise AuditError(f"audit entry {seq!r} was tampered with: it is no entry", remedy=_REMEDY)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what SQLite says about a file into an AuditError."""
    try:
        yield
    except Unusable as error:
        raise AuditError(f"no audit log can be read from {path}: {error.what}", remedy=_REMEDY) from error
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise AuditError(
            f"the audit log {path} is damaged", detail=shown_reason(error), remedy=_REMEDY
        ) from error


_REMEDY = "Keep the file as evidence; `moat audit` says where the log breaks."
