"""One run's life on a scripted engine: whatever fails, and whenever it is stopped, it ends whole."""

import asyncio

import pytest
from support.fake_runtime import STEPS

from engine.errors import ContainerFailed, HomeError, ImageUnavailable, ProxyError, RuntimeUnavailable
from engine.events import ControlRequest, RunState
from engine.proxy import ProxyServer
from engine.run import metadata, supervisor
from engine.run.control.control import ask
from engine.run.terminals.terminal import AgentIO


async def test_a_run_that_ends_by_itself(one_run):
    heard = []
    run = one_run(AgentIO(stdout=heard.append))
    await run.running()
    assert run.metadata.state is RunState.RUNNING
    run.engine.attachment.feed(b"hello\n")
    run.engine.end(3)
    info = await run.result()
    assert (info.state, info.exit_code, heard) == (RunState.EXITED, 3, [b"hello\n"])
    run.over(RunState.EXITED)
    kinds = [(entry.type, entry.data.get("action")) for entry in run.entries()]
    assert kinds[0] == ("policy", "run") or kinds[0][0] == "policy"
    assert kinds[-2:] == [("container", "exited"), ("container", "workspace")]


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_of_the_start_fails(one_run, step):
    run = one_run()
    kind = ImageUnavailable if step == "ensure_image" else RuntimeUnavailable
    run.engine.fails[step] = kind(f"{step} went wrong", remedy="mend it")
    run.begin()
    with pytest.raises(kind, match=f"{step} went wrong"):
        await run.result()
    run.over(RunState.FAILED)
    assert f"{step} went wrong" in run.metadata.error
    assert run.entries()[-1].data["action"] == "failed"
    assert run.notices == []


async def test_the_proxy_fails_to_start(one_run, monkeypatch):
    async def start(self, *sockets):
        raise ProxyError("no proxy today")

    monkeypatch.setattr(ProxyServer, "start", start)
    run = one_run()
    run.begin()
    with pytest.raises(ProxyError):
        await run.result()
    run.over(RunState.FAILED)


async def test_the_container_fails_to_start_while_the_proxy_starts(one_run, monkeypatch):
    begun = asyncio.Event()
    real = ProxyServer.start

    async def start(self, *sockets):
        begun.set()
        await real(self, *sockets)
        await asyncio.Event().wait()

    monkeypatch.setattr(ProxyServer, "start", start)
    run = one_run()
    run.engine.held["start"] = begun
    run.engine.fails["start"] = ContainerFailed("it would not start")
    run.begin()
    with pytest.raises(ContainerFailed):
        await run.result()
    run.over(RunState.FAILED)


@pytest.mark.parametrize("step", STEPS)
async def test_a_stop_at_every_step_of_the_start(one_run, step):
    run = one_run()
    run.engine.held[step] = asyncio.Event()
    run.begin()
    await run.at(step)
    run.supervisor.request_stop()
    for _ in range(20):  # let the stop be heard first: a step that is through is not taken back
        await asyncio.sleep(0)
    run.engine.held[step].set()
    info = await run.result()
    assert (info.state, info.exit_code) == (RunState.STOPPED, None)
    run.over(RunState.STOPPED)
    # The agent may have started when the stop came during `start`.
    actions = [entry.data.get("action") for entry in run.entries()]
    assert actions[-1 - (actions[-1] == "workspace")] == "stopped"


@pytest.mark.parametrize("step", ["create_network", "create"])
async def test_what_the_engine_makes_after_a_stop_is_removed_too(one_run, step):
    """The daemon finishes what it was asked for, whoever still listens."""
    run = one_run()
    run.engine.held[step] = asyncio.Event()
    run.begin()
    await run.at(step)
    run.supervisor.request_stop()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not run.task.done()
    run.engine.held[step].set()
    await run.result()
    run.over(RunState.STOPPED)


async def test_a_stop_before_anything(one_run):
    run = one_run()
    run.supervisor.request_stop()
    run.begin()
    assert (await run.result()).state is RunState.STOPPED
    run.over(RunState.STOPPED)
    assert run.engine.calls == []
    assert run.notices == []  # the error says it


async def test_a_failure_that_comes_with_the_stop_is_not_the_runs(one_run):
    run = one_run()
    run.engine.held["start"] = asyncio.Event()
    run.begin()
    await run.at("start")
    run.engine.fails["start"] = ContainerFailed("too late")
    run.engine.held["start"].set()
    run.supervisor.request_stop()
    assert (await run.result()).state is RunState.STOPPED
    run.over(RunState.STOPPED)


async def test_two_interrupts_within_the_start(one_run):
    run = one_run()
    run.engine.held["create"] = asyncio.Event()
    run.begin()
    await run.at("create")
    run.supervisor.interrupt()
    run.supervisor.interrupt()
    run.engine.held["create"].set()
    await run.result()
    run.over(RunState.STOPPED)


async def test_stop_asks_and_a_second_interrupt_kills(one_run):
    run = one_run()
    run.engine.stop_ends_it = False
    run.engine.held["stop"] = asyncio.Event()
    await run.running()
    run.supervisor.interrupt()
    await run.at("stop")
    assert run.metadata.state is RunState.STOPPING
    run.supervisor.request_stop()  # a second TERM, or `moat stop` again, is no reason to kill
    for _ in range(20):
        await asyncio.sleep(0)
    assert "kill" not in run.engine.calls
    run.supervisor.interrupt()
    info = await run.result()
    assert "kill" in run.engine.calls
    assert (info.state, info.exit_code) == (RunState.STOPPED, 137)
    run.over(RunState.STOPPED)


async def test_kill_over_the_control_socket(one_run):
    run = one_run()
    run.engine.stop_ends_it = False
    await run.running()
    assert (await ask(run.home, run.id, ControlRequest(op="ping"))).ok
    await ask(run.home, run.id, ControlRequest(op="kill"))
    assert (await run.result()).exit_code == 137
    assert "stop" not in run.engine.calls
    run.over(RunState.STOPPED)


async def test_the_control_socket_answers_while_it_starts(one_run):
    run = one_run()
    run.engine.held["enter"] = asyncio.Event()
    run.begin()
    await run.at("enter")
    assert (await ask(run.home, run.id, ControlRequest(op="stop"))).ok
    assert (await run.result()).state is RunState.STOPPED
    run.over(RunState.STOPPED)


async def test_an_agent_that_cannot_be_killed(one_run, monkeypatch):
    monkeypatch.setattr(supervisor, "_DIE", 0.05)
    run = one_run()
    run.engine.stop_ends_it = False
    await run.running()
    run.supervisor.request_stop()
    with pytest.raises(ContainerFailed, match="did not end"):
        await run.result()
    run.over(RunState.FAILED)


async def test_the_daemon_dies_in_the_middle(one_run, monkeypatch):
    closed = []
    real = ProxyServer.close

    async def close(self):
        closed.append(True)
        await real(self)

    monkeypatch.setattr(ProxyServer, "close", close)
    run = one_run()
    run.engine.held["wait"] = asyncio.Event()
    run.engine.fails["wait"] = RuntimeUnavailable("the daemon is gone", remedy="start it")
    run.engine.held["remove_run"] = asyncio.Event()
    await run.running()
    run.engine.held["wait"].set()
    await run.at("remove_run")
    assert closed  # before anything that may take long
    assert not run.engine.attachment.open
    run.engine.held["remove_run"].set()
    with pytest.raises(RuntimeUnavailable):
        await run.result()
    run.over(RunState.FAILED)
    assert "the daemon is gone" in run.metadata.error


async def test_removing_fails(one_run):
    run = one_run()
    run.engine.fails["remove_run"] = RuntimeUnavailable("not now")
    await run.running()
    run.engine.end(0)
    assert (await run.result()).state is RunState.EXITED
    assert run.metadata.state is RunState.EXITED
    (notice,) = run.notices
    assert "not now" in notice
    assert "moat clean" in notice


async def test_removing_hangs(one_run, monkeypatch):
    monkeypatch.setattr(supervisor, "_REMOVE", 0.05)
    run = one_run()
    run.engine.held["remove_run"] = asyncio.Event()
    await run.running()
    run.engine.end(0)
    assert (await run.result()).state is RunState.EXITED
    (notice,) = run.notices
    assert "moat clean" in notice
    assert "0.05 s" in notice


async def test_the_final_state_comes_after_the_removal_and_the_signature(one_run):
    run = one_run()
    run.engine.held["remove_run"] = asyncio.Event()
    await run.running()
    run.engine.end(0)
    await run.at("remove_run")
    assert run.metadata.state is RunState.RUNNING
    run.engine.held["remove_run"].set()
    await run.result()
    run.over(RunState.EXITED)


async def test_keep_keeps_the_container_and_nothing_else(one_run):
    run = one_run(keep=True)
    await run.running()
    run.engine.end(0)
    await run.result()
    assert run.engine.containers == {run.id}
    assert not run.engine.networks


async def test_the_first_metadata_write_fails(one_run, monkeypatch):
    run = one_run()
    monkeypatch.setattr(supervisor, "write_metadata", full_disk)
    run.begin()
    with pytest.raises(HomeError, match="disk is full"):
        await run.result()
    assert run.engine.calls == []


@pytest.mark.parametrize("when", ["running", "stopping", "ended"])
async def test_a_later_metadata_write_fails(one_run, monkeypatch, when):
    """A full disk does not end a run that goes well."""
    run = one_run()
    if when == "running":
        run.engine.held["start"] = asyncio.Event()
        run.begin()
        await run.at("start")
        monkeypatch.setattr(supervisor, "write_metadata", full_disk)
        run.engine.held["start"].set()
        await run.at("wait")
    else:
        await run.running()
        monkeypatch.setattr(supervisor, "write_metadata", full_disk)
    if when == "stopping":
        run.supervisor.request_stop()
    else:
        run.engine.end(0)
    info = await run.result()
    assert info.state.ended
    assert run.notices
    assert all("disk is full" in notice for notice in run.notices)
    assert len(run.notices) == 1  # said once
    assert not run.engine.containers
    monkeypatch.setattr(supervisor, "write_metadata", metadata.write_metadata)


def full_disk(home, info):
    raise HomeError("the disk is full: metadata.json could not be written")


async def test_an_agent_that_is_gone_at_once(one_run):
    run = one_run()
    run.engine.end(0)
    run.begin()
    assert (await run.result()).exit_code == 0
    run.over(RunState.EXITED)


async def test_the_audit_gate_closes_in_the_middle(one_run, monkeypatch):
    run = one_run()
    logs = []
    real = supervisor.AuditLog.open

    async def opened(*args, **kwargs):
        logs.append(await real(*args, **kwargs))
        return logs[-1]

    monkeypatch.setattr(supervisor.AuditLog, "open", opened)
    await run.running()
    logs[0].closed_because = "the disk is full"
    for _ in range(3):
        run.engine.attachment.feed(b"goes on\n")
    run.engine.end(0)
    info = await run.result()
    assert (info.state, info.exit_code) == (RunState.EXITED, 0)
    (notice,) = run.notices
    assert "no credential is used from now on" in notice
    run.over(RunState.EXITED, signed=False)


async def test_the_callers_callback_fails(one_run):
    def broken(info):
        raise MemoryError

    run = one_run(on_running=broken)
    run.begin()
    with pytest.raises(MemoryError):
        await run.result()
    run.over(RunState.FAILED)
