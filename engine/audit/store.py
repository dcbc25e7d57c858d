"""`audit.db` for its one writer: the schema, the transaction, the close. Blocking; owned by one thread.

An entry is durable when `append` returns: WAL with synchronous=FULL syncs the log at every commit
(https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from engine.audit.canonical import Entry, entry_hash
from engine.audit.chain import ChainChecker
from engine.audit.leaf import SEED_BYTES
from engine.audit.lock import WriterLock
from engine.audit.run_keys import RunKeys
from engine.audit.sealer import Sealer, Sealing, Ticks
from engine.audit.signer import Signer
from engine.audit.tree import Growth, Tree, frontier_json
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
TREE_SCHEMA = """
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL);
CREATE TABLE keys (number INTEGER PRIMARY KEY, note TEXT NOT NULL);
"""
BUSY_SECONDS = 5.0  # how long a checkpoint waits for readers

type Pending = tuple[datetime, str, dict[str, Any], str]  # when, type, data, data_json


class Store:
    """An open log. `seq` and `last_hash` are those of the last durable entry, 0 and "" when there is none.

    newest: size and note of the last checkpoint that was made here, when there is one.
    """

    def __init__(self, connection: sqlite3.Connection, lock: WriterLock, path: Path) -> None:
        self.path = path
        self.seq = 0
        self.last_hash = ""
        self.commits = 0
        self.newest: tuple[int, str] | None = None
        self._latest: datetime | None = None
        self._sealer: Sealer | None = None
        self._connection = connection
        self._lock = lock
        self._files: list[tuple[Path, os.stat_result]] = []

    @classmethod
    def open(
        cls,
        home: Home,
        path: Path,
        keys: RunKeys | None = None,
        *,
        ended: bool = False,
        ticks: Ticks = time.monotonic,
    ) -> Self:
        """Open or make the log, and go on where it ends. Whatever a killed writer left is recovered.

        keys: a log that has no entry yet gets a tree, which they seal; one that has stays as it is. ended:
        the run is over, so a log that has a tree may be opened again: its own keys are gone.
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
            store._prepare(keys, ended, ticks)
            return store
        except BaseException as error:
            if connection is not None:
                connection.close()
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise _not_a_log(path, error) from error
            raise

    def append(self, pending: Sequence[Pending]) -> list[Entry]:
        """All of `pending` in one transaction, durable on return, with the checkpoints that are due.

        Raises sqlite3.Error or AuditError when they are not; then none of them counts, and the caller
        must not append again, because the disk cannot be trusted any more.
        """
        entries = self.chained(pending)
        if self._sealer is None:
            self.commit(entries)
        else:
            self._sealed_commit(entries, self._sealer.prepare(entries, pending[-1][0]))
        return entries

    def chained(self, pending: Sequence[Pending]) -> list[Entry]:
        """`pending` as the entries that would follow; nothing is written."""
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
        return entries

    def due_in(self) -> float | None:
        """Seconds until `seal` has something to do; None for never."""
        return None if self._sealer is None else self._sealer.due_in()

    def seal(self, when: datetime) -> None:
        """Make the checkpoint, or replace the key, that has become due. Errors as `append`."""
        if self._sealer is not None:
            self._sealed_commit((), self._sealer.prepare((), when))

    def finish(self, reason: str, when: datetime) -> None:
        """Make the close record, and the attestation with the same key. An empty log has no end to sign."""
        if self._sealer is not None and self.seq:
            signer = self._sealer.keys.signer
            self._sealed_commit((), self._sealer.prepare((), when, reason), (signer, when))

    def commit(
        self,
        entries: Sequence[Entry] = (),
        growth: Growth | None = None,
        certificates: Sequence[tuple[int, str]] = (),
        attest: tuple[Signer, datetime] | None = None,
    ) -> None:
        """One transaction. certificates: number and note of new keys. attest: by whom and when the last
        entry's hash is signed; an empty log, or one signed at that entry already, stays as it is.
        """
        last = (entries[-1].seq, entries[-1].hash) if entries else (self.seq, self.last_hash)
        run = self._connection
        with self._transaction():
            run.executemany(
                "INSERT INTO entries (seq, ts, type, prev_hash, data, hash) VALUES (?, ?, ?, ?, ?, ?)",
                [(e.seq, e.ts, e.type, e.prev, e.data_json, e.hash) for e in entries],
            )
            if growth is not None:
                frontier = frontier_json(growth.frontier)
                run.execute("UPDATE metadata SET value = ? WHERE key = 'frontier'", (frontier,))
                if growth.checkpoints:  # the close record takes the place of a checkpoint of its size
                    run.executemany(
                        "INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)", growth.checkpoints
                    )
            if certificates:
                run.executemany("INSERT INTO keys (number, note) VALUES (?, ?)", certificates)
            if attest is not None and last[0]:
                self._attest(*last, *attest)
        self._check_files()
        self.commits += 1
        if entries:
            self.seq, self.last_hash = last
            self._latest = datetime.fromisoformat(entries[-1].ts)
        if growth is not None and growth.checkpoints:
            self.newest = growth.checkpoints[-1]

    def begin_tree(self, origin: str, certificate: str) -> Tree:
        """Give a log without entries its tree. certificate: of key 0."""
        with self._transaction():
            return self._begin_tree(origin, certificate)

    def rows(self, query: str) -> sqlite3.Cursor:
        """What a query finds, row by row."""
        return self._connection.execute(query)

    def metadata(self, key: str) -> str | None:
        row = self._connection.execute("SELECT value FROM metadata WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _sealed_commit(
        self, entries: Sequence[Entry], sealing: Sealing, attest: tuple[Signer, datetime] | None = None
    ) -> None:
        assert self._sealer is not None
        later = sealing.later
        certificates = [] if later is None else [(later.number, str(later.certificates[-1]))]
        self.commit(entries, sealing.growth, certificates, attest)
        self._sealer.done(sealing)

    def _attest(self, seq: int, last_hash: str, signer: Signer, when: datetime) -> None:
        held = self._connection.execute(
            "SELECT root_hash, public_key FROM attestations WHERE seq = ?", (seq,)
        ).fetchone()
        if held != (last_hash, signer.public_key):
            self._connection.execute(
                "INSERT OR REPLACE INTO attestations (seq, root_hash, timestamp, signature, public_key)"
                " VALUES (?, ?, ?, ?, ?)",
                (seq, last_hash, timestamp(when), signer.sign(last_hash), signer.public_key),
            )

    def close(self) -> None:
        """Move the WAL into audit.db, so that the one file is the whole log, and let go. Never raises.

        When that fails (a full disk, a reader that stays) audit.db and its -wal are the log together.
        """
        self._sealer = None  # and the run's last key with it
        try:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        finally:
            self._lock.release()

    def _prepare(self, keys: RunKeys | None, ended: bool, ticks: Ticks) -> None:
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
        with self._transaction():
            for statement in _statements(SCHEMA):
                run(statement)
            self._resume()
            if self.metadata("tree_seed") is not None:
                if not ended:
                    raise AuditError(
                        f"{self.path} was begun by a run whose keys are gone",
                        remedy="Nothing can be added to it; start a new run.",
                    )
            elif keys is not None and not self.seq:
                tree = self._begin_tree(keys.origin, str(keys.certificates[0]))
                self._sealer = Sealer(tree, keys, ticks)
                self._latest = datetime.fromisoformat(keys.since)  # no entry is older than its key
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

    def _begin_tree(self, origin: str, certificate: str) -> Tree:
        tree = Tree(origin, secrets.token_bytes(SEED_BYTES))
        for statement in _statements(TREE_SCHEMA):
            self._connection.execute(statement)
        _put(self._connection, "origin", origin)
        _put(self._connection, "tree_seed", tree.seed.hex())
        _put(self._connection, "frontier", frontier_json(tree.frontier))
        self._connection.execute("INSERT INTO keys (number, note) VALUES (0, ?)", (certificate,))
        return tree

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


def _put(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO metadata (key, value) VALUES (?, ?)", (key, value))


def _statements(schema: str) -> list[str]:
    return [statement for statement in schema.split(";") if statement.strip()]


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
