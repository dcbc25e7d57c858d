"""Renaming: an ended run by its file, a live one by its supervisor, and only to names that can be said."""

from __future__ import annotations

import pytest

from engine.errors import HomeError, RunNotFound, RunStateError, UsageError
from engine.events import RunInfo, RunState
from engine.home import Home
from engine.run import supervisor
from engine.run.control.rename import rename_run
from engine.run.metadata import METADATA, SupervisorLock, read_metadata, write_metadata

ENDED = RunInfo("run_aaaa1111", "review", "2026-01-12T10:00:00Z", RunState.EXITED, exit_code=3)


@pytest.fixture
def ended(tmp_path):
    home = Home(tmp_path / "other")
    write_metadata(home, ENDED)
    return home


async def test_only_the_name_changes(ended):
    renamed = await rename_run(ended, ENDED.id, "mine-2")
    assert renamed.name == "mine-2"
    assert read_metadata(ended, ENDED.id) == renamed
    assert renamed.exit_code == 3
    await rename_run(ended, ENDED.id, "again")  # the lock was given back


@pytest.mark.parametrize("name", ["", "../x", "-x", "run_1", "a b", "a\n", "x" * 64])
async def test_a_name_that_cannot_be(ended, name):
    with pytest.raises(UsageError):
        await rename_run(ended, ENDED.id, name)
    assert read_metadata(ended, ENDED.id) == ENDED


async def test_a_live_run_keeps_its_new_name_when_its_state_changes(one_run, monkeypatch):
    run = one_run()
    run.begin()
    await run.at("wait")
    assert (await rename_run(run.home, run.id, "mine-2")).name == "mine-2"
    with monkeypatch.context() as full:
        full.setattr(supervisor, "write_metadata", full_disk)
        with pytest.raises(RunStateError, match="disk is full"):
            await rename_run(run.home, run.id, "not-written")
    run.engine.end(0)
    await run.result()
    assert (run.metadata.name, run.metadata.state) == ("mine-2", RunState.EXITED)
    assert (await rename_run(run.home, run.id, "after")).name == "after"


async def test_a_live_run_that_answers_nobody_is_left_alone(ended):
    lock = SupervisorLock(ended, ENDED.id)
    with pytest.raises(RunStateError, match="does not answer"):
        await rename_run(ended, ENDED.id, "mine")
    lock.release()
    write_metadata(ended, RunInfo(ENDED.id, "review", ENDED.created_at, RunState.RUNNING))
    with pytest.raises(RunStateError, match="supervisor"):  # dead, and not closed yet
        await rename_run(ended, ENDED.id, "mine")


async def test_a_run_that_is_not_there(ended):
    with pytest.raises(RunNotFound):
        await rename_run(ended, "run_bbbb2222", "mine")
    assert not ended.run("run_bbbb2222").exists()


async def test_a_damaged_file_is_left_alone(ended):
    ended.write(ended.run(ENDED.id) / METADATA, b"{")
    with pytest.raises(RunStateError):
        await rename_run(ended, ENDED.id, "mine")
    assert ended.read(ended.run(ENDED.id) / METADATA) == b"{"


def full_disk(home, info):
    raise HomeError("the disk is full")
