"""The sessions of one run: terminals that are attached to its agent, and commands beside it.

    exec    a command of its own in the container; when its terminal leaves, it is hung up
    attach  the agent's own input and output, for an interactive run; its terminal comes and goes

Each is asked for on the control socket, recorded in the audit log before it begins, and ends with the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shlex
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from engine.audit import exec as exec_entry
from engine.audit import policy
from engine.errors import MoatError, RunStateError, RuntimeFailure
from engine.events import ControlReply, ControlRequest
from engine.run.control.control import send_reply
from engine.run.launch import Launched
from engine.run.records.records import RunRecords
from engine.run.spec import RunSpec
from engine.run.terminals.frames import Kind, number
from engine.run.terminals.peer import Peer
from engine.run.terminals.viewers import Viewer
from engine.runtimes import Exec, ExecSpec

# Not every image has bash, and a shell without line editing is no pleasure.
SHELL = ("/bin/sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; fi; exec sh")
UNKNOWN = -1  # the exit code of a command that the run's end or its container took away

_MOST = 32  # sessions at a time
_MARK = "MOAT_EXEC_ID"
_LAST_WORDS = 3.0  # seconds that sessions have, once their program ended, to tell their terminals
_SEEN = 0.1  # seconds between two sizes; a program that learns of both at once sees no change
_FIRST_SIZE = (24, 80)
_HANG_UP = 3.0  # seconds a command that was hung up may take until its exit code is given up
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
_KINDS = {"stdout": Kind.STDOUT, "stderr": Kind.STDERR}


class Sessions:
    """`async with` while the agent runs; at the end every session is over and recorded."""

    def __init__(
        self, spec: RunSpec, launched: Launched, records: RunRecords, notice: Callable[[str], None]
    ) -> None:
        self._spec = spec
        self._launched = launched
        self._container = launched.container
        self._records = records
        self._notice = notice
        self._viewers: set[Viewer] = set()
        self._open: set[asyncio.Task[None]] = set()
        self._closing = False
        self._exit_code = UNKNOWN

    async def output(self, stream: str, data: bytes) -> None:
        """What the agent printed: to whoever is attached, then to the run's files."""
        for viewer in self._viewers:
            viewer.show(stream, data)
        await self._records.output(stream, data)

    def agent_ended(self, exit_code: int) -> None:
        self._exit_code = exit_code

    async def __aenter__(self) -> Self:
        if self._spec.tty:  # until a terminal comes, a size that programs can draw for: it begins as 0 by 0
            with contextlib.suppress(RuntimeFailure):
                await self._container.resize(*_FIRST_SIZE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        for viewer in self._viewers:
            viewer.end()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=_LAST_WORDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def converse(
        self, request: ControlRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hold one session, from the answer to its request to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            self._check(request)
            if request.op == "attach":
                await self._attach(request, Peer(reader, writer), writer)
            else:
                await self._exec(request, Peer(reader, writer), writer)
        except MoatError as error:
            reply = ControlReply(ok=False, error=error.what, detail=error.detail, remedy=error.remedy)
            await send_reply(writer, reply)
        except Exception as error:  # a defect of ours; the run does not depend on it
            self._notice(f"a terminal's session failed: {type(error).__name__}")
        finally:
            self._open.discard(task)

    def _check(self, request: ControlRequest) -> None:
        if self._closing:
            raise RunStateError(f"run {self._spec.name} has just ended")
        if len(self._open) > _MOST:
            raise RunStateError(
                f"run {self._spec.name} has {_MOST} sessions already", remedy="End one first."
            )
        if request.op == "attach" and not self._spec.interactive:
            raise RunStateError(
                f"run {self._spec.name} was not started with --interactive",
                remedy=f"Open a shell beside its agent: moat exec {self._spec.id}",
            )

    # A terminal of the agent's

    async def _attach(self, request: ControlRequest, peer: Peer, writer: asyncio.StreamWriter) -> None:
        await self._records.commit(policy("terminal", "attach", "allow"))
        viewer = Viewer()
        self._viewers.add(viewer)
        try:
            with contextlib.suppress(OSError):
                await send_reply(writer, ControlReply(ok=True, tty=self._spec.tty))
                await self._redraw(request)
                await _first(
                    self._show(viewer, peer), peer.receive(_Agent(self._launched, tty=self._spec.tty))
                )
        finally:
            self._viewers.discard(viewer)
            await self._records.note(policy("terminal", "detach", "allow"))

    async def _show(self, viewer: Viewer, peer: Peer) -> None:
        with contextlib.suppress(OSError):
            async for stream, data in viewer:
                await peer.send(_KINDS[stream], data)
            if not viewer.fell_behind:
                await peer.send(Kind.EXIT, number(self._exit_code))
                return
            await peer.fail(
                RunStateError(
                    "this terminal did not take the agent's output and was left behind",
                    remedy=f"Attach again: moat attach {self._spec.id}",
                )
            )

    async def _redraw(self, request: ControlRequest) -> None:
        """A program draws its picture again when its terminal's size changes, and only then."""
        if self._spec.tty and request.height > 0 and request.width > 0:
            with contextlib.suppress(RuntimeFailure):
                await self._container.resize(request.height + 1, request.width + 1)
                await asyncio.sleep(_SEEN)
                await self._container.resize(request.height, request.width)

    # A command beside the agent

    async def _exec(self, request: ControlRequest, peer: Peer, writer: asyncio.StreamWriter) -> None:
        command = request.command or SHELL
        shown = [self._records.masker.mask(word) for word in command]
        await self._records.commit(policy("exec", "start", "allow", message=shlex.join(shown)))
        exit_code = UNKNOWN
        try:
            running = await self._container.exec(
                ExecSpec(
                    command=command,
                    mark=f"{_MARK}={secrets.token_hex(16)}",
                    env={"TERM": request.term} if request.tty and _TERM.fullmatch(request.term) else {},
                    stdin=request.stdin,
                    tty=request.tty,
                )
            )
            try:
                await running.resize(request.height, request.width)
                told = None
                with contextlib.suppress(OSError):
                    await send_reply(writer, ControlReply(ok=True, tty=request.tty))
                    told = await _first(self._tell(running, peer), peer.receive(running))
                exit_code = await self._hung_up(running) if told is None else told
            finally:
                await running.close()
        finally:
            await self._records.note(exec_entry(shown, has_stdin=request.stdin, exit_code=exit_code))

    async def _tell(self, running: Exec, peer: Peer) -> int | None:
        """Carry its output, and tell the exit code at its end. None when the terminal is gone."""
        try:
            async for stream, data in running:
                await peer.send(_KINDS[stream], data)
            code = await running.wait()
            await peer.send(Kind.EXIT, number(code))
            return code
        except OSError:
            return None
        except MoatError as error:
            ended = RunStateError(f"run {self._spec.name} ended, and the command with it")
            with contextlib.suppress(OSError):
                await peer.fail(ended if self._closing else error)
            return UNKNOWN

    async def _hung_up(self, running: Exec) -> int:
        """Hang up a command whose terminal has left, as a closed terminal does; its exit code if it obeys."""
        with contextlib.suppress(RuntimeFailure, TimeoutError):
            async with asyncio.timeout(_HANG_UP):
                await running.signal("HUP")
                return await running.wait()
        return UNKNOWN


class _Agent:
    """The agent as a session's program. A terminal that leaves takes nothing along."""

    def __init__(self, launched: Launched, *, tty: bool) -> None:
        self.write = launched.attachment.write
        self.resize = launched.container.resize
        self._close_stdin = launched.attachment.close_stdin
        self._tty = tty

    async def close_stdin(self) -> None:
        """A terminal's input ends because the terminal has gone, and then it is not the agent's end."""
        if not self._tty:
            await self._close_stdin()

    async def signal(self, name: str) -> None:
        """None reach the agent: a ctrl-c typed in its terminal is a key, and elsewhere means to leave."""


async def _first[T](work: Coroutine[Any, Any, T], leaving: Coroutine[Any, Any, None]) -> T | None:
    """What `work` gives; None when the terminal left before it was done."""
    async with asyncio.TaskGroup() as group:
        working, left = group.create_task(work), group.create_task(leaving)
        await asyncio.wait({working, left}, return_when=asyncio.FIRST_COMPLETED)
        done = working.done()
        working.cancel()
        left.cancel()
    return working.result() if done else None
