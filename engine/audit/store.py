"""`audit.db` for its one writer: the schema, the transaction, the close. Blocking; owned by one thread.

An entry is durable when `append` returns: WAL with synchronous=FULL syncs the log at every commit
(https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from engine.audit.canonical import Entry, entry_hash
from engine.audit.chain import ChainChecker
from engine.audit.gate import gate_closed, prepare, utc_now
from engine.audit.lock import WriterLock
from engine.audit.signer import Signer
from engine.errors import AuditError
from engine.events import timestamp
from engine.home import Home

SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY, ts TEXT NOT NULL, type TEXT NOT NULL, prev_hash TEXT NOT NULL,
    data TEXT NOT NULL, hash TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS attestations (
    seq INTEGER PRIMARY KEY, root_hash TEXT NOT NULL, timestamp TEXT NOT NULL,
    signature BLOB NOT NULL, public_key BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS rekor_proofs (
    seq INTEGER PRIMARY KEY, log_index INTEGER NOT NULL, log_id TEXT NOT NULL, tree_size INTEGER NOT NULL,
    root_hash TEXT NOT NULL, hashes TEXT NOT NULL, timestamp TEXT NOT NULL, entry_uuid TEXT NOT NULL);
"""
BUSY_SECONDS = 5.0  # how long a checkpoint waits for readers

type Pending = tuple[datetime, str, dict[str, Any], str]  # when, type, data, data_json


class Store:
    """An open log. `seq` and `last_hash` are those of the last durable entry, 0 and "" when there is none."""

    def __init__(self, connection: sqlite3.Connection, lock: WriterLock, path: Path) -> None:
        self.path = path
        self.seq = 0
        self.last_hash = ""
        self.commits = 0
        self._latest: datetime | None = None
        self._connection = connection
        self._lock = lock
        self._files: list[tuple[Path, os.stat_result]] = []

    @classmethod
    def open(cls, home: Home, path: Path) -> Self:
        """Open or make the log, and go on where it ends. Whatever a killed writer left is recovered.

        Raises AuditError when another writer has it, when it is no audit log, or when its last entry was
        tampered with: nothing is built on that.
        """
        lock = WriterLock(home, path)
        connection: sqlite3.Connection | None = None
        try:
            for suffix in ("-wal", "-shm", "-journal"):
                home.check(path.with_name(path.name + suffix))
            # SQLite gives its -wal and -shm the mode of the database, so this one decides for all.
            os.close(home.open_private(path, os.O_RDWR | os.O_CREAT))
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            store = cls(connection, lock, path)
            store._prepare()
            return store
        except BaseException as error:
            if connection is not None:
                connection.close()
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise _not_a_log(path, error) from error
            raise

    def append(self, pending: Sequence[Pending]) -> list[Entry]:
        """All of `pending` in one transaction, durable on return.

        Raises sqlite3.Error or AuditError when they are not; then none of them counts, and the caller
        must not append again, because the disk cannot be trusted any more.
        """
        entries = []
        seq, previous, latest = self.seq, self.last_hash, self._latest
        for when, kind, data, data_json in pending:
            # A clock that was set back must not make the log look reordered.
            latest = when if latest is None or when > latest else latest
            seq += 1
            ts = timestamp(latest)
            digest = entry_hash(seq, ts, kind, previous, data_json)
            entries.append(Entry(seq, ts, kind, previous, data, data_json, digest))
            previous = digest
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO entries (seq, ts, type, prev_hash, data, hash) VALUES (?, ?, ?, ?, ?, ?)",
                [(e.seq, e.ts, e.type, e.prev, e.data_json, e.hash) for e in entries],
            )
        self._check_files()
        self.commits += 1
        self.seq, self.last_hash, self._latest = seq, previous, latest
        return entries

    def attest(self, signer: Signer, when: datetime) -> None:
        """Sign the last entry's hash; an empty log, or one signed at that entry already, stays as it is."""
        if not self.seq:
            return
        public_key = signer.public_key
        held = self._connection.execute(
            "SELECT root_hash, public_key FROM attestations WHERE seq = ?", (self.seq,)
        ).fetchone()
        if held == (self.last_hash, public_key):
            return
        signature = signer.sign(self.last_hash)
        with self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO attestations (seq, root_hash, timestamp, signature, public_key)"
                " VALUES (?, ?, ?, ?, ?)",
                (self.seq, self.last_hash, timestamp(when), signature, public_key),
            )

    def close(self) -> None:
        """Move the WAL into audit.db, so that the one file is the whole log, and let go. Never raises.

        When that fails (a full disk, a reader that stays) audit.db and its -wal are the log together.
        """
        try:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        finally:
            self._lock.release()

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA trusted_schema = OFF")
        mode = run("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise AuditError(
                f"{self.path} cannot be kept in SQLite's WAL mode (the file system allows {mode!r})",
                remedy="Put MOAT_HOME on a local file system.",
            )
        run("PRAGMA synchronous = FULL")
        run("PRAGMA fullfsync = ON")  # macOS: fsync alone leaves the data in the drive's cache
        run("PRAGMA checkpoint_fullfsync = ON")
        self._connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
        self._resume()
        _sync_directory(self.path.parent)
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            with contextlib.suppress(FileNotFoundError):
                self._files.append((path, os.lstat(path)))

    def _resume(self) -> None:
        """Take up seq, hash and time of the last entry, after making sure that it is what was written."""
        rows = self._connection.execute(
            "SELECT seq, ts, type, prev_hash, data, hash FROM entries ORDER BY seq DESC LIMIT 2"
        ).fetchall()
        if not rows:
            return
        before, last_hash = (rows[1][0], rows[1][5]) if len(rows) == 2 else (0, "")
        tail = ChainChecker.at(before if isinstance(before, int) else 0, last_hash)
        tail.feed(rows[:1])
        if tail.failure is not None:
            raise AuditError(
                f"{self.path} was changed after it was written: {tail.failure.error}",
                remedy="Nothing was added to it; keep it as evidence and start a new run.",
            )
        self.seq, self.last_hash = tail.count, tail.last_hash
        with contextlib.suppress(ValueError):
            self._latest = datetime.fromisoformat(rows[0][1])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _check_files(self) -> None:
        """A file that somebody unlinked still takes writes; what goes there is not durable."""
        for path, opened in self._files:
            try:
                same = os.path.samestat(os.lstat(path), opened)
            except OSError:
                same = False
            if not same:
                raise AuditError(f"{path} was removed or replaced while the run was writing it")


def append_and_close(
    home: Home,
    path: Path,
    entries: Iterable[tuple[str, dict[str, Any]]],
    signer: Signer | None = None,
) -> list[Entry]:
    """Finish the log of a run whose writer died: recover, append, sign, close. Blocking.

    A log that was closed before gets a later attestation for its new end. Raises AuditError when there
    is no log (its removal must not be papered over by a fresh one), when it has a living writer, or when
    it is damaged; AuditGateClosed when the entries could not be made durable.
    """
    if not path.exists():
        raise AuditError(f"there is no audit log at {path}", remedy="It was removed, or its run never began.")
    now = utc_now()
    pending: list[Pending] = [(now, *prepare(entry)) for entry in entries]
    store = Store.open(home, path)
    try:
        written = store.append(pending) if pending else []
        if signer is not None:
            store.attest(signer, now)
        return written
    except (sqlite3.Error, AuditError) as error:
        raise gate_closed(path, error) from error
    finally:
        store.close()


def _not_a_log(path: Path, error: sqlite3.Error) -> AuditError:
    return AuditError(
        f"{path} cannot be used as an audit log",
        detail=str(error),
        remedy="Check the disk's free space; a damaged file is evidence: keep it and start a new run.",
    )


def _sync_directory(path: Path) -> None:
    """The names of audit.db and its -wal must outlive a power cut as well as their contents do."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
