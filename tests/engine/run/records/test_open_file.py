"""The file of open requests: what viewers read, and what becomes of it when the supervisor dies."""

from __future__ import annotations

import msgspec
import pytest

from engine.audit import read_entries
from engine.events import RequestRecord, timestamp
from engine.home import Home
from engine.run.metadata import SupervisorLock
from engine.run.reading.tail import NETWORK, RequestTail
from engine.run.records.open_file import BROKEN_OFF, OPEN, OpenFile, finish_open, read_open

RUN = "run_0123456789ab"


def record(number: int) -> RequestRecord:
    return RequestRecord(id=f"req_{number}", ts=timestamp(), method="GET", url="https://a.test/", bytes_in=7)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.run(RUN))
    return home


def test_open_while_the_supervisor_lives_and_broken_off_when_it_is_dead(home):
    lock = SupervisorLock(home, RUN)
    file = OpenFile(home, RUN)
    file.write([record(1), record(2)])
    view = read_open(home, RUN)
    assert view.live
    assert [(request.id, request.error) for request in view.requests] == [("req_1", ""), ("req_2", "")]
    assert (home.run(RUN) / OPEN).stat().st_mode & 0o777 == 0o600
    lock.release()
    view = read_open(home, RUN)
    assert not view.live
    assert {request.error for request in view.requests} == {BROKEN_OFF}


def test_nothing_stays_after_a_regular_end(home):
    file = OpenFile(home, RUN)
    file.write([record(1)])
    file.close()
    file.write([])
    assert not (home.run(RUN) / OPEN).exists()
    assert read_open(home, RUN).requests == ()


@pytest.mark.parametrize("damage", [b"", b'{"id":', b"\xff\n", b"[]\n"])
def test_a_damaged_file_says_nothing(home, damage):
    (home.run(RUN) / OPEN).write_bytes(damage)
    assert read_open(home, RUN).requests == ()


def test_a_dead_run_gets_one_finished_record_of_each(home):
    OpenFile(home, RUN).write([record(1), record(2)])
    line = msgspec.json.encode(record(1)) + b"\n"
    (home.run(RUN) / NETWORK).write_bytes(line + b'{"id":"torn')  # 1 ended just before the supervisor did
    assert [request.id for request in finish_open(home, RUN)] == ["req_2"]
    tail = RequestTail(home, RUN)
    assert [(request.id, request.error) for request in tail.read()] == [("req_1", ""), ("req_2", BROKEN_OFF)]
    assert tail.skipped == 1
    assert finish_open(home, RUN) == []
    assert not (home.run(RUN) / OPEN).exists()


async def test_the_reaper_writes_them_into_both_logs(home, monkeypatch):
    from support.fake_runtime import FakeRuntime

    from engine.audit import AuditLog, policy
    from engine.events import RunInfo, RunState
    from engine.run import lifecycle
    from engine.run.metadata import write_metadata

    monkeypatch.setattr(lifecycle, "_opened", lambda runtime: FakeRuntime())
    async with await AuditLog.open(home, home.run(RUN) / "audit.db") as audit:
        await audit.append(policy("run", "start", "allow"))
    write_metadata(home, RunInfo(id=RUN, name="n", created_at=timestamp(), state=RunState.RUNNING))
    OpenFile(home, RUN).write([record(1)])
    await lifecycle.reap(home)
    assert [request.error for request in RequestTail(home, RUN).read()] == [BROKEN_OFF]
    entries = read_entries(home.run(RUN) / "audit.db")
    assert [entry.type for entry in entries] == ["policy", "network", "container"]
    assert entries[1].data["error"] == BROKEN_OFF
