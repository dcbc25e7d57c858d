"""Reading heads.db without leaving a trace in it: what it says of every run, and its evidence. Blocking."""

from __future__ import annotations

import base64
import contextlib
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.audit.gate import utc_now
from engine.audit.keys import installation_origin
from engine.audit.merkle import inclusion_proof
from engine.audit.source import KeepsChanging, Unusable, fingerprint, read_log, wal
from engine.audit.tree import parse_frontier
from engine.audit.verify import shown_reason
from engine.errors import AuditError
from engine.heads.history import History, RecordedRun, Stored
from engine.heads.known import known_history
from engine.heads.sealed_key import log_is_begun, read_pin
from engine.heads.store import HEADS_DB, TABLES, HeadsLog, one_thread
from engine.home import Home

ATTEMPTS = 50  # at a copy between two appends, which take a few milliseconds
_CHUNK = 4096


def read_history(home: Home) -> History | None:
    """The whole log, verified; None when this installation has none. Takes a second for 150,000 events.

    Never raises for what is in the file: `History.fault` says what does not hold. HomeError when
    signing.pub is no key.
    """
    path = home.check(home.heads / HEADS_DB)
    try:
        key0 = read_pin(home)
    except FileNotFoundError:
        if not path.exists():
            return None
        return _faulty(b"", "the installation's first public key, heads/signing.pub, is missing")
    if not path.exists():
        return _faulty(key0, "the installation's log is missing") if log_is_begun(home) else None
    try:
        return known_history(
            path,
            key0,
            fingerprint(path),
            lambda known: _read(path, lambda connection, _live: _judged(connection, key0, known)),
        )
    except Unusable as error:
        return _faulty(key0, f"the installation's log cannot be read: {error.what}")
    except (sqlite3.Error, OSError, OverflowError) as error:
        return _faulty(key0, f"the installation's log is damaged: {shown_reason(error)}")


class HeadsState(msgspec.Struct, frozen=True):
    """events: in the log; keys: how often its key was replaced; problem: why nothing can be added to it."""

    events: int = 0
    keys: int = 0
    problem: str = ""


def look_at_heads(home: Home) -> HeadsState | None:
    """What a writer looks at before it adds anything, without the events before the last signed head.

    None when this installation has no log yet. Blocking, and quick however long the log is.
    """
    try:
        key0 = read_pin(home)
    except FileNotFoundError:
        return None
    path = home.check(home.heads / HEADS_DB)
    if not path.exists():
        return HeadsState(problem=f"{path} is missing") if log_is_begun(home) else None

    def look(connection: sqlite3.Connection, _live: bool) -> HeadsState:
        log = HeadsLog(connection, installation_origin(key0), key0, utc_now(), new=False)
        return HeadsState(log.size, log.key.number)

    try:
        return _read(path, look)
    except Unusable as error:
        return HeadsState(problem=f"{path} cannot be read: {error.what}")
    except AuditError as error:
        return HeadsState(problem=error.what)
    except (sqlite3.Error, OSError, OverflowError) as error:
        return HeadsState(problem=f"{path} is damaged: {shown_reason(error)}")


def recorded_heads(home: Home, run_id: str) -> RecordedRun | None:
    """What was recorded of a run; None when nothing was, or there is no log."""
    history = read_history(home)
    return history.runs.get(run_id) if history is not None else None


def installation_evidence(home: Home, run_id: str) -> dict[str, Any] | None:
    """The bundle's `installation` for a run: FORMAT.md, "The proof bundle". None when there is nothing sound.

    Of the run's start, close and (while it is open) newest head, those under a signed head.
    """
    history = read_history(home)
    if history is None or history.fault or not history.signed or run_id not in history.runs:
        return None
    run = history.runs[run_id]
    wanted = [seq for seq in (run.start_seq, run.close_seq or run.head_seq) if 0 < seq <= history.signed]
    leaves = history.leaves(history.signed)
    return {
        "key": _base64(history.key0),
        "keys": [str(note) for note in history.certificates],
        "checkpoint": history.checkpoint,
        "events": [
            {"body": history.bodies[seq], "proof": [_base64(p) for p in inclusion_proof(leaves, seq - 1)]}
            for seq in wanted
        ],
    }


def _judged(connection: sqlite3.Connection, key0: bytes, known: History | None) -> History:
    metadata = dict(connection.execute("SELECT key, value FROM metadata NOT INDEXED"))
    checkpoints = dict(connection.execute("SELECT size, note FROM checkpoints NOT INDEXED"))
    try:
        frontier, signed = (parse_frontier(str(metadata.get(name))) for name in ("frontier", "signed"))
    except ValueError:
        return _faulty(key0, "the installation's log does not say what its tree is")
    if not all(type(size) is int and isinstance(note, str) for size, note in checkpoints.items()):
        return _faulty(key0, "the installation's log holds a checkpoint that is none")
    stored = Stored(str(metadata.get("origin")), frontier, signed, checkpoints)
    history = (known.continued(stored) if known is not None else None) or History(key0, stored)
    rows = connection.execute(
        "SELECT seq, body FROM events NOT INDEXED WHERE seq > ? ORDER BY seq", (history.size,)
    )
    while not history.fault:
        chunk = list(itertools.islice(rows, _CHUNK))
        if not chunk:
            break
        history.feed(chunk)
    history.finish()
    return history


def _read[T](path: Path, work: Callable[[sqlite3.Connection, bool], T]) -> T:
    with one_thread():
        try:
            return read_log(path, work, tables=TABLES)
        except KeepsChanging:
            return _copied(path, work)


def _copied[T](path: Path, work: Callable[[sqlite3.Connection, bool], T]) -> T:
    """`work` on a private copy, for a log that is written to more often than it can be read."""
    with tempfile.TemporaryDirectory(prefix="moat-heads-") as directory:
        copy = Path(directory) / path.name
        for _ in range(ATTEMPTS):
            before = fingerprint(path)
            shutil.copyfile(path, copy)
            wal(copy).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(wal(path), wal(copy))
            if fingerprint(path) == before:
                return read_log(copy, work, tables=TABLES)
    raise Unusable(f"{path.name} keeps changing while it is read")


def _faulty(key0: bytes, fault: str) -> History:
    history = History(key0, Stored())
    history.fault = fault
    return history


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
