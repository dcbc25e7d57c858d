"""`heads.db` for those who append to it: several processes, one transaction at a time. Blocking.

What is signed here never contradicts what was signed before: every transaction begins by building the
tree again from the last signed head, and refuses to go on when that is not what the file says.
An event is durable when the transaction has ended: WAL with synchronous=FULL.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.keys import Certificate, parse_certificate
from engine.audit.merkle import Frontier, leaf_hash
from engine.audit.note import NoteKey, parse_note, verified_by
from engine.audit.signer import Signer
from engine.audit.tree import frontier_json, parse_frontier
from engine.errors import AuditError
from engine.events import timestamp
from engine.heads.event import KEY, Event, parse_event
from engine.home import Home

HEADS_DB = "heads.db"
TABLES = ("metadata", "events", "checkpoints")
SCHEMA = """
CREATE TABLE IF NOT EXISTS metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL);
"""
THREAD_SECONDS = 30.0
BUSY_SECONDS = 10.0  # how long a transaction waits for those of other processes

_one_thread = threading.Lock()


class HeadsMissing(AuditError):
    """There is no heads.db."""


class KeyState(msgspec.Struct, frozen=True):
    """The current key. number: from 0; seq: of the event with its certificate, 0 for key 0.

    made: the clock's time at its making, which unlike the log's times may lie after the present.
    """

    number: int
    seq: int
    made: str


class HeadsLog:
    """An open transaction. origin: `moat/ID`; size: events so far; now: the log's time, for what is added.

    public_key: of the current key, 32 bytes.
    """

    def __init__(
        self, connection: sqlite3.Connection, origin: str, key0: bytes, clock: datetime, *, new: bool
    ) -> None:
        self.origin = origin
        self.clock = clock
        self._connection = connection
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        found = dict(connection.execute("SELECT key, value FROM metadata")) if tables >= set(TABLES) else {}
        if not new and "key" not in found:
            raise _changed("it was emptied")
        if found.setdefault("origin", origin) != origin:
            raise _changed(f"it is the log of {found['origin']!r}, and this installation is {origin}")
        self._frontier = _frontier(found.get("frontier"))
        self._signed = _frontier(found.get("signed"))
        self.key = _key_state(found.get("key"), clock)
        self.public_key = self._current_key(key0)
        self._check()
        last = self._event(self.size) if self.size else None
        # A clock that was set back must not make the log look reordered.
        level = datetime.fromisoformat(last.ts) if last else clock
        self.now = timestamp(max(clock, level))

    @property
    def size(self) -> int:
        return self._frontier.size

    def append(self, event: str, run: str = "", note: str = "") -> Event:
        written = Event(event=event, note=note, run=run, seq=self.size + 1, ts=self.now)
        body = written.body()
        self._connection.execute("INSERT INTO events (seq, body) VALUES (?, ?)", (written.seq, body))
        self._frontier.add(leaf_hash(body.encode()))
        return written

    def change_key(self, current: Signer, following: Signer) -> None:
        """From here on `following` signs, because `current` says so.

        What there is by then is signed by `current` once more: nobody who comes later can write it anew.
        """
        self.sign(current)
        certificate = Certificate(self.origin, self.key.number + 1, following.public_key, self.size, self.now)
        event = self.append(KEY, note=str(certificate.sign(current)))
        self.key = KeyState(certificate.number, event.seq, timestamp(self.clock))
        self.public_key = following.public_key

    def sign(self, signer: Signer) -> None:
        """The head as it stands, by the current key; one that was signed before stays as it is."""
        if self.size == self._signed.size:
            return
        if signer.public_key != self.public_key:
            raise ValueError("only the current key signs for the installation")
        note = Checkpoint(self.origin, self.size, self._frontier.root()).sign(signer)
        self._connection.execute(
            "INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)", (self.size, str(note))
        )
        self._signed = self._frontier.copy()

    def save(self) -> None:
        """What belongs to the events, into the same transaction."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO metadata (key, value) VALUES (?, ?)",
            [
                ("origin", self.origin),
                ("frontier", frontier_json(self._frontier)),
                ("signed", frontier_json(self._signed)),
                ("key", msgspec.json.encode(self.key).decode()),
            ],
        )

    def _check(self) -> None:
        """That the file holds what it held after the last transaction, from the last signed head on."""
        (highest,) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        signed = self._connection.execute(
            "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1"
        ).fetchone()
        if highest != self.size or self._signed.size > self.size:
            raise _changed(f"it should hold {self.size} events and ends at {highest!r}")
        if (signed[0] if signed else 0) != self._signed.size:
            raise _changed("the head that was signed last is not among its checkpoints")
        if signed:
            key = NoteKey(self.origin, self.public_key)
            note = parse_note(str(signed[1]).encode())
            head = parse_checkpoint(note.text)
            same = (head.origin, head.size, head.root) == (
                self.origin,
                self._signed.size,
                self._signed.root(),
            )
            if not same or not verified_by(note, [key]):
                raise _changed("the head that was signed last is another one")
        grown = self._signed.copy()
        rows = self._connection.execute(
            "SELECT seq, body FROM events NOT INDEXED WHERE seq > ? ORDER BY seq", (self._signed.size,)
        )
        for seq, body in rows:
            if seq != grown.size + 1 or not isinstance(body, str):
                raise _changed(f"event {grown.size + 1} is missing")
            grown.add(leaf_hash(body.encode()))
        if grown.root() != self._frontier.root():
            raise _changed(f"its events after {self._signed.size} are not those that were written")

    def _current_key(self, key0: bytes) -> bytes:
        if not self.key.number:
            return key0
        certificate = parse_certificate(parse_note(self._event(self.key.seq).note.encode()).text)
        if (certificate.origin, certificate.number) != (self.origin, self.key.number):
            raise _changed(f"event {self.key.seq} does not introduce key {self.key.number}")
        return certificate.public_key

    def _event(self, seq: int) -> Event:
        row = self._connection.execute("SELECT body FROM events WHERE seq = ?", (seq,)).fetchone()
        return parse_event(row[0] if row else None, seq)


@contextlib.contextmanager
def heads_log(
    home: Home, origin: str, key0: bytes, clock: datetime, *, create: bool = False
) -> Iterator[HeadsLog]:
    """A transaction on heads.db; what was appended is durable after the block, all of it or nothing.

    key0: the installation's first public key. Raises HeadsMissing when there is none and `create` is not
    said, AuditError when it cannot be used or was changed by somebody.
    """
    path = home.check(home.heads / HEADS_DB)
    for suffix in ("-wal", "-shm", "-journal"):
        home.check(path.with_name(path.name + suffix))
    try:
        with one_thread():
            if create:
                # SQLite gives its -wal and -shm the mode of the database, so this one decides for all.
                os.close(home.open_private(path, os.O_RDWR | os.O_CREAT))
            elif not path.exists():
                raise HeadsMissing(
                    f"the installation's log {path} is missing",
                    remedy="Bring it back, or move heads/ away to begin as a new installation.",
                )
            with contextlib.closing(_connected(path)) as connection:
                if create:
                    connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    log = HeadsLog(connection, origin, key0, clock, new=create)
                    yield log
                    log.save()
                    connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        raise AuditError(
            f"the installation's log {path} cannot be written",
            detail=f"{error} ({name})" if name else str(error),
            remedy="Check the disk's free space; a damaged file is evidence: keep it. moat doctor says more.",
        ) from error


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Of this process, nobody else has heads.db open.

    SQLite's locks between processes are POSIX locks: the process loses all of a file's as soon as it closes
    any descriptor of it that SQLite does not know of, such as that of a copy being made.
    """
    if not _one_thread.acquire(timeout=THREAD_SECONDS):
        raise AuditError(
            f"heads/{HEADS_DB} was not let go of within {THREAD_SECONDS:g} s", remedy="Try again."
        )
    try:
        yield
    finally:
        _one_thread.release()


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    try:
        run = connection.execute
        run("PRAGMA trusted_schema = OFF")
        if run("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise AuditError(
                f"{path} cannot be kept in SQLite's WAL mode",
                remedy="Put MOAT_HOME on a local file system.",
            )
        run("PRAGMA synchronous = FULL")
        run("PRAGMA fullfsync = ON")  # macOS: fsync alone leaves the data in the drive's cache
        run("PRAGMA checkpoint_fullfsync = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _frontier(text: object) -> Frontier:
    if text is None:
        return Frontier()
    try:
        return parse_frontier(str(text))
    except ValueError as error:
        raise _changed("it does not say what its tree is") from error


def _key_state(text: object, clock: datetime) -> KeyState:
    if text is None:
        return KeyState(0, 0, timestamp(clock))
    try:
        return msgspec.json.decode(str(text), type=KeyState)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _changed("it does not say which key is the current one") from error


def _changed(why: str) -> AuditError:
    return AuditError(
        f"the installation's log heads/{HEADS_DB} was changed, put back or replaced: {why}",
        remedy="Nothing is added to it. Bring the right one back, or move heads/ away to begin anew.",
    )
