"""How a run's audit log is sealed from its first entry to its end, whoever makes that end."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from support.fake_runtime import FakeRuntime

from engine.audit import container, read_entries
from engine.audit.checkpoint import parse_checkpoint
from engine.audit.gate import prepare, utc_now
from engine.audit.note import parse_note
from engine.audit.store import Store
from engine.credentials import KeySource
from engine.errors import CredentialUnreadable, RuntimeUnavailable
from engine.events import RequestRecord, RunInfo, RunState
from engine.heads import begin_run
from engine.run import lifecycle, reaper
from engine.run.metadata import SupervisorLock, write_metadata
from engine.run.reading.library import verify_run
from engine.run.records.reports import report

DEAD = "run_aaaaaaaaaaaa"


def closed(path) -> list[str]:
    """Of each checkpoint, why it closed the log."""
    database = sqlite3.connect(path)
    rows = database.execute("SELECT note FROM checkpoints ORDER BY size").fetchall()
    database.close()
    return [parse_checkpoint(parse_note(note.encode()).text).closed for (note,) in rows]


@pytest.mark.parametrize("end", ["exited", "stopped", "failed"])
async def test_the_close_record_says_how_the_run_ended(one_run, end):
    run = one_run()
    if end == "failed":
        run.engine.fails["enter"] = RuntimeUnavailable("no Docker engine answers")
    run.begin()
    if end == "failed":
        with pytest.raises(RuntimeUnavailable):
            await run.result()
    else:
        await run.at("wait")
        if end == "stopped":
            run.supervisor.request_stop()
        else:
            run.engine.end(0)
        await run.result()
    run.over(RunState(end))
    *before, last = closed(run.home.run(run.id) / "audit.db")
    assert last == end
    assert not any(before)


async def test_without_keys_nothing_is_started(one_run, monkeypatch):
    run = one_run()

    def locked():
        raise CredentialUnreadable("the keychain is locked")

    monkeypatch.setattr(run.keys, "load_or_create", locked)
    run.begin()
    with pytest.raises(CredentialUnreadable):
        await run.result()
    run.over(RunState.FAILED, signed=False)
    assert not run.engine.calls
    assert not (run.home.run(run.id) / "audit.db").exists()


async def test_another_process_reports_to_a_live_run(one_run):
    run = one_run()
    run.begin()
    await run.at("wait")
    await report(run.home, run.id, "deploy", "allow")
    run.engine.end(0)
    await run.result()
    assert [entry.data["operation"] for entry in run.entries() if entry.data.get("scope") == "report"] == [
        "deploy"
    ]
    run.over(RunState.EXITED)


@pytest.fixture
def dead(home, monkeypatch):
    """A run whose supervisor was killed while its agent ran."""
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    monkeypatch.setattr(lifecycle, "_opened", lambda runtime: FakeRuntime())
    home.ensure_dir(home.run(DEAD))
    write_metadata(
        home, RunInfo(id=DEAD, name="n", created_at="2026-01-01T00:00:00Z", state=RunState.RUNNING)
    )
    SupervisorLock(home, DEAD).release()
    path = home.run(DEAD) / "audit.db"
    store = Store.open(home, path, begin_run(home, KeySource(home), DEAD))
    store.append([(utc_now(), *prepare(container("started")))])
    store.close()
    return path


async def test_a_killed_run_is_closed_by_the_next_command(home, dead):
    (run,) = await lifecycle.reap(home)
    assert "changed" not in run.error
    assert closed(dead) == ["", "interrupted"]
    assert verify_run(home, DEAD).closed


async def test_a_killed_runs_log_that_was_changed_is_not_signed(home, dead):
    database = sqlite3.connect(dead, isolation_level=None)
    database.execute("DELETE FROM checkpoints")
    database.close()
    before = dead.read_bytes()
    (run,) = await lifecycle.reap(home)
    assert run.state is RunState.INTERRUPTED
    assert "was changed after it was written" in run.error
    assert dead.read_bytes() == before


async def test_of_very_many_requests_that_were_broken_off_the_rest_is_counted(home, dead, monkeypatch):
    requests = [RequestRecord(id=str(n), ts="", method="GET", url=f"https://h/{n}") for n in range(300)]
    monkeypatch.setattr(reaper, "finish_open", lambda home, run_id: requests)
    await lifecycle.reap(home)
    entries = await asyncio.to_thread(read_entries, dead)
    assert len(entries) == 1 + 256
    assert entries[-1].data["reason"].endswith("; 45 more requests were broken off")
    assert verify_run(home, DEAD).closed
