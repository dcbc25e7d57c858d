"""Sessions over the real control socket, on a scripted engine."""

from __future__ import annotations

import asyncio
import os

import pytest

from engine.errors import ContainerFailed, RunStateError
from engine.events import ControlRequest, RunState
from engine.proxy.spec import Injection
from engine.run import supervisor
from engine.run.control.control import ask, open_talk
from engine.run.granted.injections import Granted
from engine.run.terminals import sessions
from engine.run.terminals.frames import WINDOW, Kind, encode
from engine.run.terminals.joining import attach_run, exec_in_run
from engine.run.terminals.terminal import AgentIO


class Person:
    """Pipes instead of a terminal: what is typed, and what is seen."""

    def __init__(self, typed=b"", *, end=True):
        self.reader, self.writer = os.pipe()
        self.seen = {"stdout": bytearray(), "stderr": bytearray()}
        self.notices = []
        os.write(self.writer, typed)
        if end:
            os.close(self.writer)
        self.io = AgentIO(self.seen["stdout"].extend, self.seen["stderr"].extend, stdin=self.reader)

    def exec(self, run, *command):
        return asyncio.ensure_future(
            exec_in_run(run.home, run.id, command, self.io, {"TERM": "xterm"}, self.notices.append)
        )

    def attach(self, run):
        return asyncio.ensure_future(attach_run(run.home, run.id, self.io, {}, self.notices.append))


async def until(what, timeout=10):
    async with asyncio.timeout(timeout):
        while not what():  # noqa: ASYNC110 - files and fakes have no event to wait for
            await asyncio.sleep(0.005)


async def running(run):
    run.begin()
    await run.at("wait")
    await until(lambda: run.metadata.state is RunState.RUNNING)


def audited(run, kind):
    return [entry.data for entry in run.entries() if entry.type == kind]


async def test_a_command_gets_its_input_and_gives_its_output_and_code(one_run):
    run = one_run(granted=Granted((), (Injection("github", (), (), secrets=("s3cret-value",)),)))
    await running(run)
    person = Person(b"question\n")
    session = person.exec(run, "tool", "--token=s3cret-value")
    await until(lambda: run.engine.execs)
    (command,) = run.engine.execs
    async with asyncio.timeout(10):
        await command.stdin_closed.wait()
    assert command.given == b"question\n"
    command.feed(b"out\x00\xff")
    command.feed(b"err", "stderr")
    command.finish(7)
    assert await session == 7
    assert person.seen == {"stdout": b"out\x00\xff", "stderr": b"err"}
    assert (command.spec.tty, command.spec.env) == (False, {})
    run.engine.end(0)
    await run.result()
    run.over(RunState.EXITED)
    assert audited(run, "exec") == [
        {"command": ["tool", "--token=[REDACTED]"], "has_stdin": True, "exit_code": 7}
    ]
    started = [data for data in audited(run, "policy") if data["scope"] == "exec"]
    assert [data["message"] for data in started] == ["tool '--token=[REDACTED]'"]


async def test_input_that_is_not_read_stands_in_the_way_of_nothing(one_run):
    run = one_run()
    await running(run)
    _, _, writer = await open_talk(run.home, run.id, ControlRequest(op="exec", stdin=True, tty=True), 5)
    (command,) = run.engine.execs
    command.reads.clear()
    writer.write(encode(Kind.INPUT, bytes(60_000)) * (WINDOW // 60_000))
    writer.write(encode(Kind.SIGNAL, b"INT") + encode(Kind.RESIZE, b"\0\x1e\0\x64"))
    async with asyncio.timeout(10):
        assert await command.signals.get() == "INT"
    await until(lambda: (30, 100) in command.sizes)
    writer.close()  # and that the terminal leaves is noticed too: the command is hung up
    async with asyncio.timeout(10):
        assert await command.signals.get() == "HUP"
    await until(lambda: audited(run, "exec"))
    assert audited(run, "exec")[0]["exit_code"] == 129
    assert not command.open
    run.engine.end(0)
    await run.result()
    run.over(RunState.EXITED)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff" * 64,
        encode(Kind.EXIT),
        encode(Kind.SIGNAL, b"KILL; rm"),
        encode(Kind.INPUT, bytes(60_000)) * 6,
    ],
)
async def test_nonsense_ends_the_session_and_not_the_run(one_run, nonsense):
    run = one_run()
    await running(run)
    _, _, writer = await open_talk(run.home, run.id, ControlRequest(op="exec", stdin=True), 5)
    (command,) = run.engine.execs
    command.reads.clear()
    writer.write(nonsense)
    async with asyncio.timeout(10):
        assert await command.signals.get() == "HUP"
    assert (await ask(run.home, run.id, ControlRequest(op="ping"))).ok
    writer.close()
    run.engine.end(0)
    await run.result()
    run.over(RunState.EXITED)


async def test_a_viewer_that_stalls_slows_its_command_and_not_the_run(one_run, monkeypatch):
    monkeypatch.setattr(sessions, "_LAST_WORDS", 0.2)
    run = one_run()
    await running(run)
    _, _, writer = await open_talk(run.home, run.id, ControlRequest(op="exec"), 5)
    (command,) = run.engine.execs
    for _ in range(64):
        command.feed(bytes(60_000))
    await until(lambda: command._pieces.qsize() < 64)
    run.engine.attachment.feed(b"the agent goes on\n")
    await until(lambda: b"goes on" in (run.home.run(run.id) / "logs.jsonl").read_bytes())
    assert command._pieces.qsize() > 32
    run.engine.end(0)
    assert (await run.result()).exit_code == 0  # nobody takes the output, and it ends all the same
    run.over(RunState.EXITED)
    assert audited(run, "exec")[0]["exit_code"] == sessions.UNKNOWN
    writer.close()


async def test_what_cannot_be_started_says_why_and_is_recorded(one_run):
    run = one_run()
    await running(run)
    run.engine.fails["exec"] = ContainerFailed("no such thing", detail="d", remedy="mend it")
    with pytest.raises(RunStateError, match="no such thing") as caught:
        await Person().exec(run, "x")
    assert caught.value.remedy == "mend it"
    run.engine.end(0)
    await run.result()
    run.over(RunState.EXITED)
    assert audited(run, "exec")[0]["exit_code"] == sessions.UNKNOWN
    with pytest.raises(RunStateError, match="has ended"):
        await Person().exec(run, "x")


async def test_nothing_is_run_that_cannot_be_recorded(one_run, monkeypatch):
    logs = []
    real = supervisor.AuditLog.open

    async def opened(*args, **kwargs):
        logs.append(await real(*args, **kwargs))
        return logs[-1]

    monkeypatch.setattr(supervisor.AuditLog, "open", opened)
    run = one_run(interactive=True)
    await running(run)
    logs[0].closed_because = "the disk is full"
    for session in (Person().exec(run, "x"), Person().attach(run)):
        with pytest.raises(RunStateError, match="audit"):
            await session
    assert run.engine.execs == []
    run.engine.end(0)
    await run.result()
    run.over(RunState.EXITED, signed=False)


async def test_attached_terminals_share_the_agent_and_leave_it(one_run):
    run = one_run(interactive=True)
    await running(run)
    first, second = Person(b"hello ", end=False), Person(b"you\n", end=False)
    sessions = [first.attach(run), second.attach(run)]
    await until(lambda: len(run.engine.attachment.given) == len("hello you\n"))
    run.engine.attachment.feed(b"seen by both")
    await until(lambda: first.seen["stdout"] == second.seen["stdout"] == b"seen by both")
    sessions[0].cancel()
    await asyncio.wait(sessions[:1])
    await until(lambda: len([d for d in audited(run, "policy") if d["operation"] == "detach"]) == 1)
    assert run.metadata.state is RunState.RUNNING
    run.engine.attachment.feed(b", by one")
    run.engine.end(5)
    assert await sessions[1] == 5
    assert second.seen["stdout"] == b"seen by both, by one"
    assert (await run.result()).exit_code == 5
    run.over(RunState.EXITED)
    assert b"seen by both, by one" in (run.home.run(run.id) / "logs.jsonl").read_bytes()


async def test_a_terminal_of_its_own_size_makes_the_agent_draw_again(one_run):
    run = one_run(interactive=True, tty=True)
    await running(run)
    assert run.engine.sizes == [(24, 80)]
    request = ControlRequest(op="attach", stdin=True, tty=True, height=30, width=100)
    reply, _, writer = await open_talk(run.home, run.id, request, 5)
    assert reply.tty
    await until(lambda: run.engine.sizes[1:] == [(31, 101), (30, 100)])
    writer.write(encode(Kind.END_OF_INPUT))  # a terminal that is gone does not end the agent's input
    writer.close()
    await until(lambda: [d for d in audited(run, "policy") if d["operation"] == "detach"])
    assert not run.engine.attachment.stdin_closed.is_set()
    run.engine.end(0)
    await run.result()
    run.over(RunState.EXITED)


async def test_only_an_interactive_run_can_be_attached_to(one_run):
    run = one_run()
    await running(run)
    with pytest.raises(RunStateError, match="not started with --interactive") as caught:
        await Person().attach(run)
    assert f"moat exec {run.id}" in caught.value.remedy
    run.engine.end(0)
    await run.result()
