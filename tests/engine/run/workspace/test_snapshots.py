"""Snapshots of runs: at the start, asked for, put back with what was there kept first, and removed."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys

import msgspec
import pytest

from engine.errors import HomeError, MoatError, RunStateError, UsageError
from engine.events import RunInfo, RunState
from engine.home import Home
from engine.run.lifecycle import destroy_run
from engine.run.metadata import SupervisorLock, write_metadata
from engine.run.workspace import snapshots
from engine.run.workspace.snapshots import (
    list_snapshots,
    make_snapshot,
    remove_orphans,
    remove_snapshot,
    restore_snapshot,
)
from engine.workspace.snapshots.shelf import Shelf

RUN, OTHER = "run_aaaaaaaaaaaa", "run_bbbbbbbbbbbb"


@pytest.fixture
def workspace(tmp_path):
    place = tmp_path / "ws"
    place.mkdir(exist_ok=True)
    (place / "a.txt").write_text("one\n")
    return place


@pytest.fixture
def put_run(tmp_path, workspace):
    home = Home(tmp_path / "moat")

    def put(run_id=RUN, state=RunState.EXITED, **fields):
        info = RunInfo(id=run_id, name=run_id[4:], created_at="2026-01-12T10:00:00Z", state=state,
                       workspace=str(workspace), **fields)  # fmt: skip
        home.ensure_dir(home.run(run_id))
        write_metadata(home, info)
        return info

    put.home = home
    return put


async def test_the_start_of_a_run_is_kept_before_the_agent_begins(one_run, tmp_path):
    run = one_run()
    (tmp_path / "ws" / "a.txt").write_text("one\n")
    run.begin()
    await run.at("start")
    [info] = list_snapshots(run.home, run.metadata)
    assert (info.id, info.reason, info.files) == ("s1", "start", 1)
    await run.at("wait")
    (tmp_path / "ws" / "a.txt").write_text("two\n")
    (tmp_path / "ws" / "b.txt").write_text("new\n")
    made = await make_snapshot(run.home, run.metadata, "in between")
    with pytest.raises(RunStateError, match="at work"):
        await restore_snapshot(run.home, run.metadata, "s1")
    done = await restore_snapshot(run.home, run.metadata, "s1", force=True)
    run.engine.end()
    await run.result()
    run.over(RunState.EXITED)

    assert os.listdir(tmp_path / "ws") == ["a.txt"]
    assert (made.id, done.safety.id) == ("s2", "s3")
    entries = [entry.data for entry in run.entries()]
    [said] = [entry["reason"] for entry in entries if entry.get("action") == "snapshot"]
    assert said.startswith("s1 at the start: 1 files of 4 bytes, ")
    assert [(e["operation"], e["decision"]) for e in entries if e.get("scope") == "report"] == [
        ("snapshot s2", "made"), ("restore s1", "begun"), ("restore s1", "done"),
    ]  # fmt: skip


async def test_a_person_may_want_none_at_the_start(one_run, home):
    home.ensure_dir(home.root)
    home.write(home.config_file, b"snapshot_at_start: false\n")
    run = one_run()
    run.begin()
    await run.at("wait")
    run.engine.end()
    await run.result()

    assert list_snapshots(home, run.metadata) == []
    assert "no snapshot at the start" in run.entries()[0].data["message"]


async def test_one_that_cannot_be_kept_stops_no_run(one_run, monkeypatch):
    def full(*words, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots, "take", full)
    run = one_run()
    run.begin()
    await run.at("wait")
    run.engine.end()
    assert (await run.result()).state is RunState.EXITED
    assert any("no snapshot" in notice and "No space left" in notice for notice in run.notices)


async def test_what_was_there_is_kept_and_can_be_put_back(put_run, workspace):
    run, home = put_run(), put_run.home
    await make_snapshot(home, run)
    (workspace / "a.txt").write_text("two\n")
    (workspace / "new").mkdir()

    done = await restore_snapshot(home, run, "s1")

    assert (workspace / "a.txt").read_text() == "one\n"
    assert (done.safety.reason, done.safety.label) == ("safety", "before s1 was put back")
    await restore_snapshot(home, run, done.safety.id)
    assert (workspace / "a.txt").read_text() == "two\n"
    assert (workspace / "new").is_dir()


async def test_elsewhere(put_run, workspace, tmp_path):
    run, home = put_run(), put_run.home
    await make_snapshot(home, run)
    workspace.joinpath("a.txt").unlink()

    done = await restore_snapshot(home, run, "s1", to=tmp_path / "there")

    assert (tmp_path / "there/a.txt").read_text() == "one\n"
    assert done.safety is None
    assert os.listdir(workspace) == []
    for bad in (tmp_path / "there", home.root / "x", tmp_path / "there/a.txt"):
        with pytest.raises(UsageError):
            await restore_snapshot(home, run, "s1", to=bad)


async def test_another_run_at_work_in_the_workspace_counts(put_run):
    run, home = put_run(), put_run.home
    await make_snapshot(home, run)
    put_run(OTHER, RunState.RUNNING)
    lock = SupervisorLock(home, OTHER)
    try:
        with pytest.raises(RunStateError, match=OTHER[4:]):
            await restore_snapshot(home, run, "s1")
    finally:
        lock.release()


async def test_a_snapshot_whose_content_is_gone_changes_nothing(put_run, workspace):
    run, home = put_run(), put_run.home
    await make_snapshot(home, run)
    (workspace / "a.txt").write_text("two\n")
    for place in (Shelf.of(home, run.workspace).folder / "objects").rglob("*"):
        if place.is_file() and place.read_bytes() == b"one\n":
            place.unlink()

    with pytest.raises(HomeError, match="damaged"):
        await restore_snapshot(home, run, "s1")
    assert (workspace / "a.txt").read_text() == "two\n"


async def test_modes_and_what_removing_frees(put_run, workspace):
    home = put_run.home
    one, other = put_run(), put_run(OTHER)
    old = os.umask(0)
    try:
        await make_snapshot(home, one)
        (workspace / "only").write_bytes(b"x" * 5000)
        await make_snapshot(home, one)
        await make_snapshot(home, other)
    finally:
        os.umask(old)
    for place in (home.snapshots, *home.snapshots.rglob("*")):
        assert stat.S_IMODE(place.stat().st_mode) == (0o700 if place.is_dir() else 0o600), place

    assert remove_snapshot(home, one, "s2") < 5000, "the other run's needs it still"
    assert [info.id for info in list_snapshots(home, one)] == ["s1"]
    assert (await make_snapshot(home, one)).id == "s3", "no id is given twice"
    with pytest.raises(UsageError, match="no snapshot 's2'"):
        remove_snapshot(home, one, "s2")


async def test_they_go_with_the_run(put_run, home):
    put_run.home = home
    run = msgspec.structs.replace(put_run(), workspace=str(put_run().workspace))
    write_metadata(home, run)
    await make_snapshot(home, run)
    await destroy_run(home, run.id)

    assert list(home.snapshots.iterdir()) == []


async def test_those_of_a_run_that_was_taken_away_are_cleaned(put_run):
    import shutil

    home = put_run.home
    run = put_run()
    await make_snapshot(home, run)
    assert remove_orphans(home) == []
    shutil.rmtree(home.run(run.id))

    assert remove_orphans(home) == [f"removed the snapshots of run {run.id}, which is gone"]
    assert list(home.snapshots.iterdir()) == []


async def test_a_label_is_text(put_run):
    for label in ("x" * 201, "\x1b]0;x\x07", "two\nlines"):
        with pytest.raises(UsageError):
            await make_snapshot(put_run.home, put_run(), label)


async def test_a_workspace_that_is_gone_or_a_link(put_run, workspace, tmp_path):
    run, home = put_run(), put_run.home
    workspace.rename(tmp_path / "moved")
    with pytest.raises(MoatError, match="cannot be opened"):
        await make_snapshot(home, run)
    workspace.symlink_to(tmp_path / "moved")
    with pytest.raises(MoatError, match="cannot be opened"):
        await make_snapshot(home, run)


_RESTORE_AND_DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from engine.home import Home
from engine.run.metadata import read_metadata
from engine.run.workspace.snapshots import restore_snapshot
from engine.workspace.snapshots import restore
put, count = restore._Restoring._put, 0
def dying(self, folder, entry):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, folder, entry)
restore._Restoring._put = dying
home = Home(Path(sys.argv[1]))
asyncio.run(restore_snapshot(home, read_metadata(home, sys.argv[2]), "s1"))
"""


async def test_killed_half_way_nothing_is_lost(put_run, workspace):
    run, home = put_run(), put_run.home
    for number in range(6):
        (workspace / f"{number}.txt").write_text("old")
    await make_snapshot(home, run)
    for number in range(6):
        (workspace / f"{number}.txt").write_text(f"new {number}")
    (workspace / "added").write_text("added")

    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", _RESTORE_AND_DIE, str(home.root), run.id], check=False
    )

    assert done.returncode == -signal.SIGKILL
    held = {path.read_text() for path in workspace.glob("[0-9].txt")}
    assert "old" in held, "it had begun"
    assert "new 5" in held, "it had not ended"
    safety = list_snapshots(home, run)[-1]
    assert safety.reason == "safety"
    await restore_snapshot(home, run, safety.id)
    assert [(workspace / f"{number}.txt").read_text() for number in range(6)] == [
        f"new {number}" for number in range(6)
    ]
    assert (workspace / "added").read_text() == "added"
    await restore_snapshot(home, run, "s1")
    assert {path.read_text() for path in workspace.glob("[0-9].txt")} == {"old"}
    assert not [name for name in os.listdir(workspace) if name.startswith(".moat-")]
