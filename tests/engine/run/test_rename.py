"""Renaming: ended runs only, and only to names that can be said."""

from __future__ import annotations

import pytest

from engine.errors import RunNotFound, RunStateError, UsageError
from engine.events import RunInfo, RunState
from engine.home import Home
from engine.run.metadata import METADATA, SupervisorLock, read_metadata, write_metadata
from engine.run.rename import rename_run

ENDED = RunInfo("run_aaaa1111", "review", "2026-01-12T10:00:00Z", RunState.EXITED, exit_code=3)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    write_metadata(home, ENDED)
    return home


def test_only_the_name_changes(home):
    renamed = rename_run(home, ENDED.id, "mine-2")
    assert renamed.name == "mine-2"
    assert read_metadata(home, ENDED.id) == renamed
    assert renamed.exit_code == 3
    rename_run(home, ENDED.id, "again")  # the lock was given back


@pytest.mark.parametrize("name", ["", "../x", "-x", "run_1", "a b", "a\n", "x" * 64])
def test_a_name_that_cannot_be(home, name):
    with pytest.raises(UsageError):
        rename_run(home, ENDED.id, name)
    assert read_metadata(home, ENDED.id) == ENDED


def test_a_live_run_is_refused(home):
    lock = SupervisorLock(home, ENDED.id)
    with pytest.raises(RunStateError):
        rename_run(home, ENDED.id, "mine")
    lock.release()
    write_metadata(home, RunInfo(ENDED.id, "review", ENDED.created_at, RunState.RUNNING))
    with pytest.raises(RunStateError):  # dead, and not closed yet
        rename_run(home, ENDED.id, "mine")


def test_a_run_that_is_not_there(home):
    with pytest.raises(RunNotFound):
        rename_run(home, "run_bbbb2222", "mine")
    assert not home.run("run_bbbb2222").exists()


def test_a_damaged_file_is_left_alone(home):
    home.write(home.run(ENDED.id) / METADATA, b"{")
    with pytest.raises(RunStateError):
        rename_run(home, ENDED.id, "mine")
    assert home.read(home.run(ENDED.id) / METADATA) == b"{"
