"""The agent's streams in one run's life: nothing that reads or fails to read them holds up anything else."""

import asyncio
import errno
import os
import threading

import pytest

from engine.errors import RuntimeUnavailable
from engine.events import ControlRequest, RunState
from engine.run.control.control import ask
from engine.run.reading.tail import LogTail
from engine.run.terminals.terminal import AgentIO

PATIENCE_IN_THREAD = 30


async def test_the_output_breaks(one_run):
    run = one_run()
    await run.running()
    run.engine.attachment.feed(b"half")
    run.engine.attachment.feed(RuntimeUnavailable("Docker broke off the agent's output"))
    with pytest.raises(RuntimeUnavailable):
        await run.result()
    run.over(RunState.FAILED)
    assert [line.line for line in LogTail(run.home, run.id).read()] == ["half"]


async def test_a_sink_that_breaks_leaves_the_agent_alone(one_run):
    def broken(data):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    run = one_run(AgentIO(stdout=broken))
    await run.running()
    for _ in range(3):
        run.engine.attachment.feed(b"x\n")
    run.engine.end(0)
    assert (await run.result()).state is RunState.EXITED
    run.over(RunState.EXITED)
    (notice,) = run.notices
    assert "stdout" in notice
    assert len(LogTail(run.home, run.id).read()) == 3


async def test_a_blocked_sink_stalls_neither_control_nor_stop(one_run):
    release, entered = threading.Event(), threading.Event()

    def blocked(data):
        entered.set()
        release.wait(PATIENCE_IN_THREAD)

    run = one_run(AgentIO(stdout=blocked))
    await run.running()
    run.engine.attachment.feed(b"x\n")
    assert await asyncio.to_thread(entered.wait, 10)
    assert (await ask(run.home, run.id, ControlRequest(op="ping"))).ok
    run.supervisor.request_stop()
    info = await run.result()  # the reader never reads again, and is not waited for
    assert info.state is RunState.STOPPED
    run.over(RunState.STOPPED)
    assert "not being read" in run.notices[0]
    assert len(LogTail(run.home, run.id).read()) == 1
    release.set()


@pytest.mark.parametrize("kill", [False, True])
async def test_a_stalled_reader_cannot_hold_up_an_engine_that_waits_for_it(one_run, kill):
    """Docker tells of the end of an agent, even of a killed one, only when its output was taken."""
    release, entered = threading.Event(), threading.Event()

    def blocked(data):
        entered.set()
        release.wait(PATIENCE_IN_THREAD)

    run = one_run(AgentIO(stdout=blocked))
    run.engine.end_waits_for_output = True
    await run.running()
    for number in range(5):
        run.engine.attachment.feed(f"{number}\n".encode())
    assert await asyncio.to_thread(entered.wait, 10)
    run.supervisor.request_stop(kill=kill)
    assert (await run.result()).state is RunState.STOPPED
    run.over(RunState.STOPPED)
    assert len(LogTail(run.home, run.id).read()) == 5  # the files have it all
    release.set()


async def test_a_slow_reader_gets_every_byte_after_the_agents_end(one_run):
    """The bound is on the engine's silence; the reader may take as long as it likes."""
    release, heard = threading.Event(), []

    def slow(data):
        release.wait(PATIENCE_IN_THREAD)
        heard.append(data)

    run = one_run(AgentIO(stdout=slow))
    await run.running()
    for _ in range(20):
        run.engine.attachment.feed(b"x" * 100)
    run.engine.end(0)
    done, _ = await asyncio.wait({run.task}, timeout=2.2)  # more than twice the silence allowed
    assert not done
    release.set()
    await run.result()
    assert b"".join(heard) == b"x" * 2000
    run.over(RunState.EXITED)


async def test_an_output_that_never_ends_is_given_up(one_run):
    run = one_run()
    await run.running()
    run.engine.attachment.feed(b"x\n")
    run.engine.end(0, output_too=False)
    assert (await run.result()).state is RunState.EXITED
    run.over(RunState.EXITED)
    assert len(LogTail(run.home, run.id).read()) == 1
    assert len(run.notices) == 1


async def test_a_stop_after_the_agents_own_end_does_not_rename_it(one_run):
    release = threading.Event()
    run = one_run(AgentIO(stdout=lambda data: release.wait(PATIENCE_IN_THREAD)))
    await run.running()
    run.engine.attachment.feed(b"x\n")
    run.engine.end(5)
    async with asyncio.timeout(10):
        while run.engine.sockets[0].fileno() != -1:  # noqa: ASYNC110 - the proxy closes when the end was heard
            await asyncio.sleep(0.001)
    run.supervisor.request_stop(kill=True)
    info = await run.result()
    release.set()
    assert (info.state, info.exit_code) == (RunState.EXITED, 5)


async def test_five_megabytes_without_a_line_end(one_run):
    heard = []
    run = one_run(AgentIO(stdout=heard.append))
    await run.running()
    for _ in range(80):
        run.engine.attachment.feed(b"a" * 65536)
    run.engine.end(0)
    await run.result()
    assert sum(map(len, heard)) == 80 * 65536
    run.over(RunState.EXITED)
    assert sum(len(line.line) for line in LogTail(run.home, run.id).read()) == 80 * 65536


async def test_stdin_ends(one_run):
    reader, writer = os.pipe()
    os.write(writer, b"question\n")
    os.close(writer)
    run = one_run(AgentIO(stdin=reader), interactive=True)
    await run.running()
    async with asyncio.timeout(10):
        await run.engine.attachment.stdin_closed.wait()
    assert run.engine.attachment.given == b"question\n"
    run.engine.end(0)
    await run.result()
    run.over(RunState.EXITED)
    os.close(reader)
