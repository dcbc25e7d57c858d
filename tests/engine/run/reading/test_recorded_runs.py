"""What the installation's log learns of a real run, and what it keeps a later command from signing."""

from __future__ import annotations

import shutil

import pytest
from support.fake_runtime import FakeRuntime

from engine.audit import console
from engine.audit.gate import prepare, utc_now
from engine.audit.read import read_last_checkpoint
from engine.audit.store import Store
from engine.credentials import KeySource
from engine.events import RunInfo, RunState, timestamp
from engine.heads import begin_run, read_history, record_head
from engine.run import lifecycle
from engine.run.metadata import SupervisorLock, write_metadata

DEAD = "run_aaaaaaaaaaaa"


async def test_a_run_is_recorded_from_its_start_to_its_close(one_run):
    run = one_run()
    run.begin()
    await run.at("wait")
    assert read_history(run.home).runs[run.id].start
    run.engine.end(0)
    await run.result()
    history = read_history(run.home)
    recorded = history.runs[run.id]
    assert (history.fault, recorded.fault) == ("", "")
    assert recorded.closed == read_last_checkpoint(run.home.run(run.id) / "audit.db")
    assert recorded.size == len(run.entries())
    assert history.signed == history.size
    assert run.notices == []


async def test_a_log_that_cannot_be_told_is_said_and_the_run_goes_on(one_run):
    run = one_run()
    run.begin()
    await run.at("wait")
    (run.home.heads / "heads.db").unlink()
    run.engine.end(0)
    await run.result()
    run.over(RunState.EXITED)
    assert [line for line in run.notices if "does not learn how far" in line] == run.notices
    assert len(run.notices) == 1


async def test_a_start_that_cannot_be_recorded_starts_nothing(one_run):
    first = one_run()
    first.begin()
    await first.at("wait")
    first.engine.end(0)
    await first.result()
    (first.home.heads / "heads.db").unlink()
    run = one_run()
    run.begin()
    with pytest.raises(Exception, match=r"heads\.db is missing"):
        await run.result()
    assert not run.engine.calls
    assert run.metadata.state is RunState.FAILED


@pytest.fixture
def dead(home, monkeypatch):
    """The log of a run whose supervisor was killed after its first entry."""
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    monkeypatch.setattr(lifecycle, "_opened", lambda runtime: FakeRuntime())
    write_metadata(home, RunInfo(id=DEAD, name="n", created_at=timestamp(), state=RunState.RUNNING))
    SupervisorLock(home, DEAD).release()
    path = home.run(DEAD) / "audit.db"
    store = Store.open(home, path, begin_run(home, KeySource(home), DEAD))
    store.append([(utc_now(), *prepare(console("line")))])
    store.close()
    return path


async def test_a_dead_runs_close_record_is_recorded(home, dead):
    await lifecycle.reap(home)
    history = read_history(home)
    recorded = history.runs[DEAD]
    assert (history.fault, recorded.fault) == ("", "")
    assert recorded.closed == read_last_checkpoint(dead)
    assert "closed interrupted" in recorded.closed


async def test_an_older_copy_of_a_dead_runs_log_is_not_signed(home, dead):
    longer = read_last_checkpoint(dead).replace("\n1\n", "\n9\n", 1)
    record_head(home, DEAD, longer)  # told before the tail was cut off
    (run,) = await lifecycle.reap(home)
    assert "was changed after it was written" in run.error
    assert not read_history(home).runs[DEAD].closed


async def test_a_dead_runs_log_from_elsewhere_is_not_signed(home, dead):
    shutil.rmtree(home.heads)
    begin_run(home, KeySource(home), "run_other")
    (run,) = await lifecycle.reap(home)
    assert "knows nothing of this run" in run.error
    assert "interrupted" not in read_last_checkpoint(dead)
