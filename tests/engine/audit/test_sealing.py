"""A live log's checkpoints: made by its writer when nobody asks, told to others, and gone from it never."""

from __future__ import annotations

import asyncio
import sqlite3
import weakref
from pathlib import Path

import pytest
from support.run_keys import keys_of

from engine.audit import AuditLog, Signer, append_and_close, console, verify_log
from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.note import parse_note
from engine.audit.store import Store
from engine.errors import AuditError, AuditGateClosed
from engine.home import Home


def head(note: str) -> Checkpoint:
    return parse_checkpoint(parse_note(note.encode()).text)


def stored(path: Path) -> list[Checkpoint]:
    database = sqlite3.connect(path)
    rows = database.execute("SELECT note FROM checkpoints ORDER BY size").fetchall()
    database.close()
    return [head(note) for (note,) in rows]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds pass in a twentieth of one."""
    monkeypatch.setattr("engine.audit.sealer.INTERVAL", 0.05)
    monkeypatch.setattr("engine.audit.teller.PACE", 0.05)


async def test_a_writer_that_nobody_asks_seals_and_tells(home: Home, path: Path, signer: Signer, hasty: None):
    told: asyncio.Queue[Checkpoint] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def listener(note: str, size: int) -> None:
        loop.call_soon_threadsafe(told.put_nowait, head(note))

    log = await AuditLog.open(home, path, keys=keys_of(signer), on_checkpoint=listener)
    async with asyncio.timeout(20):
        for size in (1, 2, 3):
            await log.append(console(str(size)))
            assert (await told.get()).size == size
            assert stored(path)[-1].size == size  # durable before anybody is told
        await log.close("stopped")
        last = await told.get()
    assert (last.size, last.closed) == (3, "stopped")
    assert stored(path)[-1] == last
    assert verify_log(path, public_key=signer.public_key, finished=True).valid


async def test_a_listener_that_fails_disturbs_nobody(home: Home, path: Path, signer: Signer):
    def listener(note: str, size: int) -> None:
        raise OSError("no space left on device")

    async with await AuditLog.open(home, path, keys=keys_of(signer), on_checkpoint=listener) as log:
        assert (await log.append(console("x"))).seq == 1
    assert stored(path)[-1].closed == "exited"


async def test_a_key_is_replaced_while_nothing_is_written(
    home: Home, path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("engine.audit.sealer.ROTATION", 0.05)
    keys = keys_of(signer)
    async with await AuditLog.open(home, path, keys=keys) as log:
        await log.append(console("x"))
        async with asyncio.timeout(20):
            while keys.number < 3:  # noqa: ASYNC110 - the writer's thread tells nobody
                await asyncio.sleep(0.01)
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM keys").fetchone()[0] == keys.number + 1
    database.close()
    verdict = verify_log(path, public_key=signer.public_key, finished=True)
    assert (verdict.valid, verdict.closed) == (True, True)


async def test_a_checkpoint_that_cannot_be_written_closes_the_gate(
    home: Home, path: Path, signer: Signer, hasty: None, monkeypatch: pytest.MonkeyPatch
):
    log = await AuditLog.open(home, path, keys=keys_of(signer))
    await log.append(console("x"))

    def fail(store: Store, when):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "seal", fail)
    await log.append(console("y"))
    async with asyncio.timeout(20):
        while not log.closed_because:  # noqa: ASYNC110 - nobody waits for the gate to close
            await asyncio.sleep(0.01)
    with pytest.raises(AuditGateClosed, match="disk I/O error"):
        await log.append(console("z"))
    await log.close("exited")
    assert (stored(path)[-1].size, stored(path)[-1].closed) == (2, "failed")  # it did not end as the run did


async def test_a_log_whose_gate_closed_is_closed_over_what_is_durable(
    home: Home, path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
):
    log = await AuditLog.open(home, path, keys=keys_of(signer))
    await log.append(console("x"))
    with monkeypatch.context() as broken:

        def fail(store: Store, pending):
            raise sqlite3.OperationalError("disk I/O error")

        broken.setattr(Store, "append", fail)
        with pytest.raises(AuditGateClosed):
            await log.append(console("y"))
    await log.close("exited")
    assert [(found.size, found.closed) for found in stored(path)] == [(1, "failed")]
    verdict = verify_log(path, public_key=signer.public_key, finished=True)
    assert (verdict.valid, verdict.entry_count) == (True, 1)


async def test_nothing_is_added_behind_a_close_record(home: Home, path: Path, signer: Signer):
    async with await AuditLog.open(home, path, keys=keys_of(signer)) as log:
        await log.append(console("x"))
    with pytest.raises(AuditError, match="keys are gone"):
        await AuditLog.open(home, path, keys=keys_of(signer))
    assert await asyncio.to_thread(append_and_close, home, path, [console("y")], signer) == []


async def test_no_entry_is_older_than_the_key_that_seals_it(home: Home, path: Path, signer: Signer):
    keys = keys_of(signer, ts="2999-01-01T00:00:00Z")
    async with await AuditLog.open(home, path, keys=keys) as log:
        assert (await log.append(console("x"))).ts == "2999-01-01T00:00:00Z"


async def test_no_key_outlives_its_log(home: Home, path: Path, signer: Signer):
    keys = keys_of(signer)
    key = weakref.ref(keys.signer)
    log = await AuditLog.open(home, path, keys=keys)
    del keys
    await log.append(console("x"))
    assert key() is not None
    await log.close()
    assert key() is None
