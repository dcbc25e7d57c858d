"""Acting on runs from outside, and closing those whose supervisor died."""

import asyncio
import gc
import os
import signal

import pytest
from support.fake_runtime import FakeRuntime

from engine.audit import AuditLog, policy, read_entries, verify_log
from engine.errors import HomeError, RunStateError, RuntimeUnavailable, UsageError
from engine.events import RunInfo, RunState
from engine.run import lifecycle, prepare, reaper, supervisor
from engine.run.metadata import SupervisorLock, read_metadata, write_metadata
from engine.run.reading.library import find_run, list_runs
from engine.run.request import RunRequest
from engine.run.terminals.terminal import AgentIO

A, B = "run_aaaaaaaaaaaa", "run_aabbbbbbbbbb"


@pytest.fixture(autouse=True)
def file_key(monkeypatch):
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")


@pytest.fixture
async def engine(monkeypatch):
    engine = FakeRuntime()
    monkeypatch.setattr(lifecycle, "_opened", lambda runtime: engine)
    return engine


async def born(home, run_id, state=RunState.RUNNING, *, log=True, **more):
    home.ensure_dir(home.run(run_id))
    if log:
        async with await AuditLog.open(home, home.run(run_id) / "audit.db") as audit:
            await audit.append(policy("run", "start", "allow"))
    info = RunInfo(id=run_id, name="n", created_at="2026-01-01T00:00:00Z", state=state, **more)
    write_metadata(home, info)
    return SupervisorLock(home, run_id)


async def test_a_dead_run_is_closed_signed_and_removed(home, engine):
    (await born(home, A)).release()
    engine.containers, engine.networks = {A}, {A}
    (closed,) = await lifecycle.reap(home)
    assert (closed.state, closed.error) == (RunState.INTERRUPTED, reaper.INTERRUPTED)
    assert not engine.containers
    assert not engine.networks
    assert read_entries(home.run(A) / "audit.db")[-1].data["action"] == "interrupted"
    assert verify_log(home.run(A) / "audit.db", finished=True).valid
    assert await lifecycle.reap(home) == []


async def test_concurrent_reapers_close_a_run_once(home, engine):
    (await born(home, A)).release()
    engine.held["remove_run"] = asyncio.Event()
    first = asyncio.ensure_future(lifecycle.reap(home))
    await asyncio.wait_for(engine.reached["remove_run"].wait(), 10)
    assert await lifecycle.reap(home) == []
    engine.held["remove_run"].set()
    assert len(await first) == 1
    assert [e.data.get("action") for e in read_entries(home.run(A) / "audit.db")].count("interrupted") == 1


async def test_a_run_that_ended_since_it_was_listed_is_left_alone(home, engine, monkeypatch):
    (await born(home, A)).release()
    stale = reaper.dead_runs(home)
    write_metadata(home, RunInfo(id=A, name="n", created_at="x", state=RunState.EXITED, exit_code=3))
    monkeypatch.setattr(reaper, "dead_runs", lambda home: stale)
    assert await lifecycle.reap(home) == []
    assert read_metadata(home, A).state is RunState.EXITED
    assert "remove_run" not in engine.calls


@pytest.mark.parametrize("damage", ["missing", "corrupt", "empty"])
async def test_a_dead_run_with_a_bad_log_is_closed_all_the_same(home, engine, damage):
    (await born(home, A, log=False)).release()
    if damage != "missing":
        (home.run(A) / "audit.db").write_bytes(b"no database at all" * 100 if damage == "corrupt" else b"")
    (closed,) = await lifecycle.reap(home)
    assert closed.state is RunState.INTERRUPTED
    assert read_metadata(home, A).state is RunState.INTERRUPTED
    if damage != "empty":
        assert "audit" in closed.error


async def test_one_run_that_cannot_be_closed_does_not_keep_the_others(home, engine, monkeypatch):
    for run in (A, B):
        (await born(home, run)).release()

    def write(home, info):
        if info.id == B:
            raise HomeError("the disk is full")
        write_metadata(home, info)

    monkeypatch.setattr(reaper, "write_metadata", write)
    with pytest.raises(HomeError):
        await lifecycle.reap(home)
    assert read_metadata(home, A).state is RunState.INTERRUPTED
    assert read_metadata(home, B).state is RunState.RUNNING


async def test_a_dead_run_keeps_its_container_where_that_was_wished(home, engine):
    (await born(home, A, keep=True)).release()
    engine.containers, engine.networks = {A}, {A}
    await lifecycle.reap(home)
    assert engine.containers == {A}
    assert not engine.networks


async def test_docker_down_leaves_runs_to_be_read(home, engine):
    (await born(home, A)).release()
    engine.fails["enter"] = RuntimeUnavailable("no Docker engine answers")
    with pytest.raises(RuntimeUnavailable):
        await lifecycle.reap(home)
    assert list_runs(home)[0].state is RunState.RUNNING


async def test_a_run_killed_before_its_first_write(home, engine):
    home.ensure_dir(home.run(A))
    assert find_run(home, A).state is RunState.FAILED
    assert await lifecycle.reap(home) == []
    lock = SupervisorLock(home, A)
    assert find_run(home, A).state is RunState.STARTING  # being born, not broken
    lock.release()
    await lifecycle.destroy_run(home, A)
    assert list_runs(home) == []


def test_a_directory_beside_the_runs_is_not_one(home):
    for name in ("run_a.bak", "run_ copy", "other", "run_"):
        home.ensure_dir(home.runs)
        (home.runs / name).mkdir()
    assert list_runs(home) == []


@pytest.mark.parametrize("metadata", [None, b"{", b"null"])
async def test_clean_asks_the_lock_and_never_the_metadata(home, engine, metadata):
    """A container can carry the label of a run whose metadata is not there yet, or is damaged."""
    home.ensure_dir(home.run(A))
    lock = SupervisorLock(home, A)
    if metadata is not None:
        home.write(home.run(A) / "metadata.json", metadata)
    engine.containers = {A, B}
    assert await lifecycle.clean(home) == [f"removed container moat-{B}"]
    assert engine.containers == {A}
    lock.release()


async def test_clean_leaves_what_carries_a_label_it_cannot_understand(home, engine):
    engine.containers = {"../x", A}
    await lifecycle.clean(home)
    assert engine.containers == {"../x"}


async def test_clean_asks_nobody_for_runtimes_that_are_not_here(home, engine, monkeypatch):
    """Where no run has been yet, only the runtime that one would use has to be there."""
    opened = lifecycle._opened

    def only_dockers(runtime):
        if runtime == "docker":
            return opened(runtime)
        raise RuntimeUnavailable(f"there is no {runtime}")

    monkeypatch.setattr(lifecycle, "_opened", only_dockers)
    assert await lifecycle.clean(home) == []

    def nobodys(runtime):
        raise RuntimeUnavailable(f"there is no {runtime}")

    monkeypatch.setattr(lifecycle, "_opened", nobodys)
    with pytest.raises(RuntimeUnavailable, match="there is no docker"):
        await lifecycle.clean(home)


async def test_clean_removes_kept_containers_of_ended_runs(home, engine):
    (await born(home, A, state=RunState.EXITED, keep=True)).release()
    engine.containers = {A}
    assert await lifecycle.clean(home) == [f"removed container moat-{A}"]


async def test_destroy_removes_a_kept_container_first(home, engine):
    (await born(home, A, state=RunState.EXITED, keep=True)).release()
    engine.containers = {A}
    engine.fails["enter"] = RuntimeUnavailable("down")
    with pytest.raises(RuntimeUnavailable):
        await lifecycle.destroy_run(home, A)
    assert home.run(A).exists()
    del engine.fails["enter"]
    await lifecycle.destroy_run(home, A)
    assert not engine.containers
    assert not home.run(A).exists()


async def test_destroy_refuses_a_live_run_whatever_its_metadata_says(home, engine):
    lock = await born(home, A, state=RunState.EXITED)
    with pytest.raises(RunStateError):
        await lifecycle.destroy_run(home, A)
    lock.release()


async def test_stop_of_a_dead_run_closes_it(home, engine):
    (await born(home, A)).release()
    assert (await lifecycle.stop_run(home, A)).state is RunState.INTERRUPTED


async def test_stop_waits_for_the_socket_of_a_run_that_was_just_born(one_run, monkeypatch):
    run = one_run()
    opening, go_on, unheard = asyncio.Event(), asyncio.Event(), asyncio.Event()
    real_open, real_ask = supervisor.AuditLog.open, lifecycle.ask

    async def slow_open(*args, **kwargs):
        opening.set()
        await go_on.wait()
        return await real_open(*args, **kwargs)

    async def ask(*args):
        try:
            return await real_ask(*args)
        except RunStateError:
            unheard.set()
            raise

    monkeypatch.setattr(supervisor.AuditLog, "open", slow_open)
    monkeypatch.setattr(lifecycle, "ask", ask)
    run.begin()
    await opening.wait()
    stopping = asyncio.ensure_future(lifecycle.stop_run(run.home, run.id, timeout=20))
    await asyncio.wait_for(unheard.wait(), 10)
    run.engine.held["enter"] = asyncio.Event()
    go_on.set()
    assert (await stopping).state is RunState.STOPPED
    run.over(RunState.STOPPED)


async def test_stop_says_when_it_takes_too_long(home, engine):
    lock = await born(home, A)
    with pytest.raises(RunStateError, match="has not ended"):
        await lifecycle.stop_run(home, A, timeout=0.2)
    lock.release()


def test_find_by_name_prefix_and_ambiguity(home):
    for number, (run, name) in enumerate([(A, "twin"), (B, "twin")]):
        home.ensure_dir(home.run(run))
        write_metadata(home, RunInfo(id=run, name=name, created_at=f"2026-01-0{number + 1}T00:00:00Z"))
    assert find_run(home, "twin").id == B  # the newest
    assert find_run(home, "run_aaa").id == find_run(home, "aaa").id == A
    assert find_run(home).id == B
    with pytest.raises(Exception, match="2 runs start with 'aa'"):
        find_run(home, "aa")
    with pytest.raises(Exception, match="no run is called 'zz'"):
        find_run(home, "zz")


class Attached:
    """run_attached with a supervisor that only waits."""

    def __init__(self, monkeypatch):
        self.asked = []
        self.enabled = []
        self.running = asyncio.Event()
        self.over = asyncio.Event()

        async def prepared(home, request, io, notice, on_running):
            self.enabled.append(gc.isenabled())
            self.on_running = on_running
            return self

        monkeypatch.setattr(prepare, "prepare", prepared)

    def interrupt(self):
        self.asked.append("interrupt")

    def request_stop(self):
        self.asked.append("stop")

    async def run(self, connect):
        self.on_running(None)
        self.enabled.append(gc.isenabled())
        self.running.set()
        await self.over.wait()


async def test_signals_stop_an_attached_run(home, monkeypatch):
    attached = Attached(monkeypatch)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    task = asyncio.ensure_future(lifecycle.run_attached(home, RunRequest(), AgentIO(), print))
    await attached.running.wait()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asked = len(attached.asked)
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            while len(attached.asked) == asked:  # noqa: ASYNC110 - a signal handler has no event
                await asyncio.sleep(0.001)
    attached.over.set()
    await task
    assert attached.asked == ["interrupt", "stop", "stop"]
    assert attached.enabled == [False, True]  # off while starting, on again while the agent runs
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


async def test_nohup_outlives_its_terminal(home, monkeypatch):
    attached = Attached(monkeypatch)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        task = asyncio.ensure_future(lifecycle.run_attached(home, RunRequest(), AgentIO(), print))
        await attached.running.wait()
        os.kill(os.getpid(), signal.SIGHUP)
        attached.over.set()
        await task
    finally:
        signal.signal(signal.SIGHUP, before)
    assert attached.asked == []


async def test_the_collector_is_as_before_after_a_start_that_was_refused(home, tmp_path):
    assert gc.isenabled()
    with pytest.raises(UsageError):
        await lifecycle.run_attached(
            home, RunRequest(workspace=str(tmp_path), policy="loose", command=("x",)), AgentIO(), print
        )
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
