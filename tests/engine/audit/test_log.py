"""AuditLog: group commit, durability before the answer, backpressure, the gate, one writer."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.run_keys import keys_of

from engine.audit import AuditLog, Signer, append_and_close, console, container, read_entries, verify_log
from engine.audit.store import Store
from engine.errors import AuditError, AuditGateClosed, HomeError
from engine.home import Home


class Brake:
    """Holds the writer before its next transaction until `release`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._go = threading.Event()
        original = Store.append

        def append(store: Store, pending):
            assert self._go.wait(20)
            return original(store, pending)

        monkeypatch.setattr(Store, "append", append)

    def release(self) -> None:
        self._go.set()


@pytest.fixture
def brake(monkeypatch: pytest.MonkeyPatch) -> Brake:
    return Brake(monkeypatch)


async def test_an_entry_is_durable_before_append_returns(home: Home, path: Path):
    async with await AuditLog.open(home, path) as log:
        for number in range(3):
            entry = await log.append(console(str(number)))
            other = sqlite3.connect(path)
            assert other.execute("SELECT max(seq), hash FROM entries").fetchone() == (number + 1, entry.hash)
            other.close()
            assert (log.seq, log.last_hash, log.commits) == (entry.seq, entry.hash, number + 1)


async def test_every_commit_is_synced(home: Home, path: Path, monkeypatch: pytest.MonkeyPatch):
    """Not "written to the page cache": the connection that commits says synchronous=FULL in WAL mode."""
    found = []
    original = Store.append

    def append(store: Store, pending):
        ask = store._connection.execute
        found.append((ask("PRAGMA synchronous").fetchone()[0], ask("PRAGMA journal_mode").fetchone()[0]))
        return original(store, pending)

    monkeypatch.setattr(Store, "append", append)
    async with await AuditLog.open(home, path) as log:
        await log.append(console("x"))
    assert found == [(2, "wal")]


async def test_what_waits_goes_into_one_transaction(home: Home, path: Path, brake: Brake):
    async with await AuditLog.open(home, path) as log, asyncio.TaskGroup() as group:
        tasks = [group.create_task(log.append(console(str(n)))) for n in range(200)]
        await asyncio.sleep(0)
        brake.release()
    entries = [task.result() for task in tasks]
    assert [entry.seq for entry in entries] == list(range(1, 201))
    assert log.commits <= 2  # the first may have gone alone
    assert verify_log(path).entry_count == 200


async def test_note_waits_for_a_place_and_drops_nothing(home: Home, path: Path, brake: Brake):
    async with await AuditLog.open(home, path, places=8) as log:
        for number in range(8):
            await log.note(console(str(number)))
        ninth = asyncio.ensure_future(log.note(console("8")))
        await asyncio.sleep(0.02)
        assert not ninth.done()
        brake.release()
        await asyncio.wait_for(ninth, 10)
        await log.flush()
        assert [entry.data["line"] for entry in read_entries(path)] == [str(n) for n in range(9)]


async def test_flush_and_close_make_notes_durable(home: Home, path: Path, signer: Signer):
    log = await AuditLog.open(home, path, keys=keys_of(signer))
    await log.note(console("a"))
    await log.flush()
    assert len(read_entries(path)) == 1
    await log.note(console("b"))
    await log.close()
    await log.close()
    verdict = verify_log(path, public_key=signer.public_key, finished=True)
    assert (verdict.valid, verdict.entry_count, verdict.closed) == (True, 2, True)
    assert [item.name for item in path.parent.iterdir()] == ["audit.db"]
    with pytest.raises(AuditGateClosed, match="was closed"):
        await log.append(console("late"))


async def test_a_slip_leaves_the_gate_open(home: Home, path: Path):
    async with await AuditLog.open(home, path) as log:
        with pytest.raises(AuditError, match="consol"):
            await log.append(("consol", {"line": "x"}))
        with pytest.raises(AuditError):
            await log.note(("network", {"method": "GET", "url": "u", "status_code": 1, "duration_ms": 2**60}))
        assert (await log.append(console("x"))).seq == 1


async def test_a_caller_that_gives_up_disturbs_nobody(home: Home, path: Path, brake: Brake):
    async with await AuditLog.open(home, path) as log:
        impatient = asyncio.ensure_future(log.append(console("1")))
        patient = asyncio.ensure_future(log.append(console("2")))
        await asyncio.sleep(0)
        impatient.cancel()
        brake.release()
        assert (await asyncio.wait_for(patient, 10)).seq == 2  # what was accepted is recorded all the same
        with pytest.raises(asyncio.CancelledError):
            await impatient


async def test_a_log_without_a_tree_resumes_where_it_ended_and_stays_so(
    home: Home, path: Path, signer: Signer
):
    async with await AuditLog.open(home, path) as log:
        first = await log.append(container("created"))
    async with await AuditLog.open(home, path, keys=keys_of(signer)) as log:
        assert (log.seq, log.last_hash) == (1, first.hash)
        second = await log.append(container("started"))
        assert (second.seq, second.prev) == (2, first.hash)
    await asyncio.to_thread(append_and_close, home, path, [], signer)
    verdict = verify_log(path, public_key=signer.public_key, finished=True)
    assert (verdict.valid, verdict.attestation_count) == (True, 1)
    with sqlite3.connect(path) as database:
        assert not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'checkpoints'").fetchall()
    database.close()


async def test_a_log_with_a_tree_is_taken_up_by_nobody(home: Home, path: Path, signer: Signer):
    async with await AuditLog.open(home, path, keys=keys_of(signer)) as log:
        await log.append(console("x"))
    before = path.read_bytes()
    for keys in (None, keys_of(signer)):
        with pytest.raises(AuditError, match="keys are gone"):
            await AuditLog.open(home, path, keys=keys)
    assert path.read_bytes() == before


async def test_a_clock_that_steps_back_is_levelled(home: Home, path: Path):
    start = datetime(2026, 1, 12, 10, 0, 0, 120_000, tzinfo=UTC)
    times = [start, start - timedelta(hours=1), start + timedelta(seconds=1)]
    async with await AuditLog.open(home, path, clock=lambda: times.pop(0)) as log:
        stamps = [(await log.append(console(str(n)))).ts for n in range(3)]
        times.append(start)
    assert stamps == ["2026-01-12T10:00:00.12Z", "2026-01-12T10:00:00.12Z", "2026-01-12T10:00:01.12Z"]
    early = start - timedelta(days=1)
    async with await AuditLog.open(home, path, clock=lambda: early) as log:
        assert (await log.append(console("later"))).ts == "2026-01-12T10:00:01.12Z"


async def test_a_second_writer_is_refused(home: Home, path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.audit.lock.PATIENCE", 0.05)
    async with await AuditLog.open(home, path) as log:
        with pytest.raises(AuditError, match="being written by another process"):
            await AuditLog.open(home, path)
        with pytest.raises(AuditError, match="being written by another process"):
            await asyncio.to_thread(append_and_close, home, path, [console("x")])
        assert (await log.append(console("x"))).seq == 1


async def test_a_tampered_tail_is_not_built_on(home: Home, written: Path, edit, signer: Signer):
    edit("UPDATE entries SET data = replace(data, 'line 7', 'line 8') WHERE seq = 10")
    before = verify_log(written)
    with pytest.raises(AuditError, match="invalid hash at seq 10: entry tampered"):
        await AuditLog.open(home, written)
    with pytest.raises(AuditError, match="seq 10"):
        await asyncio.to_thread(append_and_close, home, written, [console("x")], signer)
    assert verify_log(written) == before


async def test_what_is_no_database_is_an_error_and_stays_as_it_is(home: Home, path: Path):
    home.ensure_dir(path.parent)
    path.write_bytes(b"no database " * 100)
    with pytest.raises(AuditError, match="cannot be used as an audit log"):
        await AuditLog.open(home, path)
    assert path.read_bytes() == b"no database " * 100
    assert [item.name for item in path.parent.iterdir()] == ["audit.db"]


async def test_modes_hold_whatever_the_umask(home: Home, path: Path):
    before = os.umask(0)
    try:
        async with await AuditLog.open(home, path) as log:
            await log.append(console("x"))
            found = {item.name: stat.S_IMODE(item.stat().st_mode) for item in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert found == dict.fromkeys(["audit.db", "audit.db-wal", "audit.db-shm", "audit.db.lock"], 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["audit.db", "audit.db-wal", "audit.db-shm", "audit.db.lock"])
async def test_symlinks_are_refused(home: Home, path: Path, tmp_path: Path, name: str):
    home.ensure_dir(path.parent)
    target = tmp_path / "elsewhere"
    path.with_name(name).symlink_to(target)
    with pytest.raises(HomeError, match="symbolic link"):
        await AuditLog.open(home, path)
    assert not target.exists()


async def test_a_full_database_closes_the_gate_for_good(
    home: Home, path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
):
    prepare = Store._prepare

    def small(store: Store, *arguments) -> None:
        prepare(store, *arguments)
        store._connection.execute("PRAGMA max_page_count = 40")

    monkeypatch.setattr(Store, "_prepare", small)
    log = await AuditLog.open(home, path, keys=keys_of(signer))
    acknowledged = []

    async def fill() -> None:
        for number in range(200):
            acknowledged.append(await log.append(console(f"{number} " + "x" * 2000)))

    with pytest.raises(AuditGateClosed, match="SQLITE_FULL") as caught:
        await fill()
    assert caught.value.remedy
    assert "the disk is full" in log.closed_because
    assert acknowledged
    for _ in range(2):
        with pytest.raises(AuditGateClosed):
            await log.append(console("small"))
        with pytest.raises(AuditGateClosed):
            await log.note(console("small"))
        with pytest.raises(AuditGateClosed):
            await log.flush()
    await log.close()
    assert read_entries(path) == acknowledged
    assert verify_log(path).valid


async def test_notes_that_were_lost_are_counted_and_told(
    home: Home, path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(store: Store, pending):
        raise sqlite3.OperationalError("disk I/O error")

    log = await AuditLog.open(home, path)
    monkeypatch.setattr(Store, "append", fail)
    await log.note(console("lost"))
    with pytest.raises(AuditGateClosed, match="disk I/O error"):
        await log.flush()
    assert log.unwritten == 1
    await log.close()


async def test_after_a_failure_nothing_is_written_even_if_the_disk_recovers(
    home: Home, path: Path, monkeypatch: pytest.MonkeyPatch, brake: Brake
):
    monkeypatch.setattr("engine.audit.writer.MAX_BATCH", 1)
    braked, failures = Store.append, [sqlite3.OperationalError("disk I/O error")]

    def append(store: Store, pending):
        if failures:
            raise failures.pop()
        return braked(store, pending)

    log = await AuditLog.open(home, path)
    monkeypatch.setattr(Store, "append", append)
    brake.release()
    results = await asyncio.gather(*(log.append(console(str(n))) for n in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [AuditGateClosed] * 3
    await log.close()
    assert read_entries(path) == []


async def test_close_tells_what_could_not_be_written(
    home: Home, path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
):
    log = await AuditLog.open(home, path, keys=keys_of(signer))

    def fail(store: Store, reason, when):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "finish", fail)
    await log.append(console("x"))
    with pytest.raises(AuditGateClosed, match="disk I/O error"):
        await log.close()
    await asyncio.to_thread(append_and_close, home, path, [console("y")], signer)  # it was let go of
    assert verify_log(path, public_key=signer.public_key, finished=True).valid


@pytest.mark.parametrize("name", ["audit.db", "audit.db-wal"])
async def test_a_file_removed_under_the_writer_closes_the_gate(home: Home, path: Path, name: str):
    log = await AuditLog.open(home, path)
    await log.append(console("x"))
    path.with_name(name).unlink()
    with pytest.raises(AuditGateClosed, match="removed or replaced"):
        await log.append(console("y"))
    await log.close()


async def test_a_disk_that_does_not_answer_closes_the_gate(home: Home, path: Path, brake: Brake):
    log = await AuditLog.open(home, path, places=1, timeout=0.2)
    with pytest.raises(AuditGateClosed, match=r"no answer from the disk within 0\.2 s"):
        await log.append(console("x"))
    with pytest.raises(AuditGateClosed):
        await log.append(console("y"))
    brake.release()
    await log.close()


async def test_waiting_for_a_place_ends_when_the_gate_closes(
    home: Home, path: Path, monkeypatch: pytest.MonkeyPatch, brake: Brake
):
    log = await AuditLog.open(home, path, places=1)
    await log.note(console("1"))
    waiting = [asyncio.ensure_future(log.append(console(str(n)))) for n in range(3)]
    await asyncio.sleep(0)

    def fail(*_: object):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "_transaction", fail)
    brake.release()
    for task in waiting:
        with pytest.raises(AuditGateClosed):
            await asyncio.wait_for(task, 10)
    await log.close()
