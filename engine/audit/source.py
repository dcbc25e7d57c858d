"""Reading `audit.db` without leaving a trace in it: a log is evidence, also while somebody looks at it.

Three cases, told apart by the -wal next to it and by the writer's lock:
 - finished (no -wal, or an empty one): opened `immutable`, so SQLite makes no -wal or -shm beside it;
 - live: opened read-only, sharing the -shm that the writer has already made;
 - left by a killed writer (-wal, nobody writing): SQLite would have to recover it, which writes. So a
   private copy is recovered and read.
Sources: https://www.sqlite.org/wal.html#read_only_databases, https://www.sqlite.org/uri.html.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from engine.audit.lock import no_writer
from engine.errors import AuditError

ATTEMPTS = 5
BUSY_SECONDS = 5.0
BIRTH_SECONDS = 0.02
MAX_VALUE = 64 * 1024 * 1024  # bytes in one value; a damaged length must not ask for gigabytes

TABLES = ("entries", "metadata", "attestations", "rekor_proofs")
TREE_TABLES = ("checkpoints", "keys")  # a version 1 log may lack them


class Unusable(AuditError):
    """The file is not a complete audit log; `what` says in which way."""


class KeepsChanging(Unusable):
    """Somebody writes to it, again and again, while it is read."""


def read_log[T](
    path: Path,
    work: Callable[[sqlite3.Connection, bool], T],
    *,
    tables: Sequence[str] = TABLES,
) -> T:
    """`work(connection, live)` on one consistent view of the log. Blocking.

    Raises Unusable when there is no file, no database, or not all of its tables; sqlite3.Error from
    `work` passes through. Work is done again when the log went from one case to another meanwhile.
    """
    for attempt in range(ATTEMPTS):
        before = fingerprint(path)
        try:
            with _opened(path) as (connection, live):
                _check_tables(connection, tables)
                result = work(connection, live)
        except (sqlite3.Error, Unusable, OSError):
            if attempt + 1 < ATTEMPTS and (fingerprint(path) != before or _being_made(path)):
                continue
            raise
        if live or fingerprint(path) == before:
            return result
    raise KeepsChanging(f"{path.name} keeps changing while it is read")


def _being_made(path: Path) -> bool:
    """A writer is there and may not have made its tables yet; gives it a moment."""
    with no_writer(path) as unwritten:
        pass
    if not unwritten:
        time.sleep(BIRTH_SECONDS)
    return not unwritten


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[sqlite3.Connection, bool]]:
    if not path.is_file():
        raise Unusable(f"{path.name} is missing")
    if not _size(wal(path)):
        if not _size(path):
            raise Unusable(f"{path.name} is empty")
        with no_writer(path) as unwritten, _connected(path, "mode=ro&immutable=1") as connection:
            yield connection, not unwritten
        return
    with contextlib.ExitStack() as stack:
        alone = stack.enter_context(contextlib.ExitStack())
        if not alone.enter_context(no_writer(path)):
            yield stack.enter_context(_connected(path, "mode=ro")), True
            return
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="moat-audit-"))) / path.name
        shutil.copyfile(path, copy)
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(wal(path), wal(copy))
        alone.close()  # the copy is whole: a writer need not wait any longer
        yield stack.enter_context(_connected(copy, "mode=rw")), False


@contextlib.contextmanager
def _connected(path: Path, options: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def _check_tables(connection: sqlite3.Connection, tables: Sequence[str]) -> None:
    """All of them are there and are tables: a view could show a verifier one thing and a reader another."""
    found = dict(
        connection.execute("SELECT name, type || ' ' || substr(coalesce(sql, ''), 1, 14) FROM sqlite_schema")
    )
    for name in (*tables, *(name for name in TREE_TABLES if name in found)):
        kind = found.get(name)
        if kind is None:
            raise Unusable(f"table {name} is missing")
        if not kind.lower().startswith("table create table"):
            raise Unusable(f"{name} is not an ordinary table")


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def fingerprint(path: Path) -> list[tuple[int, int, int]]:
    prints = []
    for part in (path, wal(path)):
        try:
            found = part.lstat()
        except OSError:
            prints.append((0, 0, 0))
        else:
            prints.append((found.st_ino, found.st_size, found.st_mtime_ns))
    return prints
