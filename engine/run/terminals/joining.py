"""A terminal's own end of a session: run a command in a live run, or attach to its agent.

The other end is the run's supervisor (engine/run/terminals/sessions.py); nothing here touches a container.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec

from engine.errors import MoatError, RunStateError
from engine.events import ControlRequest
from engine.home import Home
from engine.run.control.control import open_talk
from engine.run.metadata import read_metadata
from engine.run.terminals.carry import Carrier
from engine.run.terminals.detach_keys import DetachKeys
from engine.run.terminals.frames import (
    PIECE,
    WINDOW,
    Decoder,
    Frame,
    Kind,
    NotAFrame,
    encode,
    number_of,
    size,
)
from engine.run.terminals.interactive import joined
from engine.run.terminals.terminal import AgentIO
from engine.run.terminals.terminal_modes import TerminalModes
from engine.runtimes import Stream

_ANSWER = 60.0  # seconds; the supervisor starts the command before it answers
_STREAMS: dict[Kind, Stream] = {Kind.STDOUT: "stdout", Kind.STDERR: "stderr"}
_FORWARDED = {signal.SIGINT: "INT", signal.SIGQUIT: "QUIT"}
_HANDLED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


async def exec_in_run(
    home: Home,
    run_id: str,
    command: tuple[str, ...],
    io: AgentIO,
    environ: Mapping[str, str],
    notice: Callable[[str], None],
) -> int:
    """Run `command` (a shell when empty) beside the agent of a live run; returns its exit code.

    SIGINT and SIGQUIT go to the command. SIGTERM and SIGHUP leave, and the command is hung up; the answer
    is then 128 + the signal. Raises RunStateError when the run is not live.
    """
    request = _request("exec", io, environ, command=command)
    async with _session(home, run_id, request) as session:
        left = await _converse(session, io, session.write, notice, _FORWARDED)
    return session.exit_code if left is None else left


async def attach_run(
    home: Home, run_id: str, io: AgentIO, environ: Mapping[str, str], notice: Callable[[str], None]
) -> int | None:
    """Join the agent of a live interactive run; returns its exit code, or None when the person left it.

    The detach keys and the end of a terminal's input leave, and so do signals (the answer is then 128 + the
    signal); the agent goes on.
    """
    request = _request("attach", io, environ)
    keys = DetachKeys()
    async with _session(home, run_id, request) as session:
        if not session.tty:  # its input comes in lines, and this terminal goes on making them
            io = dataclasses.replace(io, terminal=None)

        async def typed(data: bytes) -> None:
            await session.write(keys.feed(data) if io.terminal is not None else data)
            if keys.pressed:
                session.leave(0)

        left = await _converse(session, io, typed, notice, {})
    return session.exit_code if left is None else left or None


def _request(
    op: str, io: AgentIO, environ: Mapping[str, str], command: tuple[str, ...] = ()
) -> ControlRequest:
    height = width = 0
    if io.terminal is not None:
        with contextlib.suppress(OSError):
            width, height = os.get_terminal_size(io.terminal)
    return ControlRequest(
        op=op,
        command=command,
        stdin=io.stdin is not None,
        tty=io.terminal is not None,
        term=environ.get("TERM", ""),
        height=height,
        width=width,
    )


class _Session:
    """The connection as an attachment: iterating gives output until the exit code is known."""

    def __init__(
        self, run: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tty: bool
    ) -> None:
        self._run = run
        self._reader = reader
        self._writer = writer
        # Another descriptor of the same connection: a transport whose write fails takes along what has come.
        self._out = socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))
        self._out.setblocking(False)
        self._one_at_a_time = asyncio.Lock()
        self._room = WINDOW
        self._taken = asyncio.Event()
        self.tty = tty
        self.exit_code = 0
        self.left: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def leave(self, code: int) -> None:
        if not self.left.done():
            self.left.set_result(code)

    async def __aiter__(self) -> AsyncIterator[tuple[Stream, bytes]]:
        decoder = Decoder()
        try:
            while data := await self._reader.read(PIECE):
                for frame in decoder.feed(data):
                    if frame.kind in _STREAMS:
                        yield _STREAMS[frame.kind], frame.payload
                    elif self._is_last(frame):
                        return
        except (OSError, NotAFrame) as error:
            raise self._broken(str(error)) from error
        raise self._broken("The connection was closed.")

    def _is_last(self, frame: Frame) -> bool:
        match frame.kind:
            case Kind.TAKEN:
                self._room += number_of(frame)
                self._taken.set()
                return False
            case Kind.EXIT:
                self.exit_code = number_of(frame)
                return True
            case Kind.FAILURE:
                what, detail, remedy = msgspec.json.decode(frame.payload, type=tuple[str, str, str])
                raise RunStateError(what, detail=detail, remedy=remedy)
        raise NotAFrame(f"{frame.kind.name} from a supervisor")

    def _broken(self, detail: str) -> MoatError:
        return RunStateError(
            f"the session with run {self._run} broke off",
            detail=detail,
            remedy="See whether it lives: moat list",
        )

    async def write(self, data: bytes) -> None:
        """Waits while the program has not taken what was sent before. Once all is over it goes nowhere."""
        while data:
            while self._room <= 0:
                self._taken.clear()
                await self._taken.wait()
            piece = data[: min(self._room, PIECE)]
            data = data[len(piece) :]
            self._room -= len(piece)
            await self._send(Kind.INPUT, piece)

    async def close_stdin(self) -> None:
        if self.tty:
            self.leave(0)  # the terminal is gone
        await self._send(Kind.END_OF_INPUT)

    async def resize(self, height: int, width: int) -> None:
        await self._send(Kind.RESIZE, size(height, width))

    async def signal(self, name: str) -> None:
        await self._send(Kind.SIGNAL, name.encode("ascii"))

    async def _send(self, kind: Kind, payload: bytes = b"") -> None:
        with contextlib.suppress(OSError):  # the end of the output tells
            async with self._one_at_a_time:
                await asyncio.get_running_loop().sock_sendall(self._out, encode(kind, payload))

    async def close(self) -> None:
        self.end()

    def end(self) -> None:
        self._out.close()
        self._writer.close()


@contextlib.asynccontextmanager
async def _session(home: Home, run_id: str, request: ControlRequest) -> AsyncIterator[_Session]:
    run = read_metadata(home, run_id)
    if run.state.ended:
        raise RunStateError(
            f"run {run.name} has ended", remedy="Start it again, or see the others: moat list"
        )
    reply, reader, writer = await open_talk(home, run_id, request, _ANSWER)
    try:
        if not reply.ok:
            raise RunStateError(reply.error, detail=reply.detail, remedy=reply.remedy)
        session = _Session(run.name, reader, writer, tty=reply.tty)
        try:
            yield session
        finally:
            session.end()
    finally:
        writer.close()


async def _converse(
    session: _Session,
    io: AgentIO,
    typed: Callable[[bytes], Awaitable[None]],
    notice: Callable[[str], None],
    forwarded: Mapping[signal.Signals, str],
) -> int | None:
    """Until the program ends (None), or until the person or a signal leaves it."""
    modes = TerminalModes()

    def show(data: bytes) -> None:
        modes.feed(data)
        stdout(data)

    stdout = io.stdout
    if io.terminal is not None:
        io = dataclasses.replace(io, stdout=show)
    async with asyncio.TaskGroup() as group:
        carrying = group.create_task(_carry(Carrier(session, io, _keep_nothing, notice)))
        with _signals(session, forwarded, group):
            async with joined(io, typed, session.close_stdin, session.resize):
                ends: set[asyncio.Future[Any]] = {carrying, session.left}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        carrying.cancel()
    if restored := modes.restore():
        stdout(restored)
    if session.left.done():
        return session.left.result()
    if failure := carrying.result():
        raise failure
    return None


async def _carry(carrier: Carrier) -> MoatError | None:
    """Returned and not raised, so that no task group wraps it."""
    try:
        await carrier.carry()
    except MoatError as error:
        return error
    return None


async def _keep_nothing(stream: str, data: bytes) -> None:
    """The run's own files are the supervisor's."""


@contextlib.contextmanager
def _signals(
    session: _Session, forwarded: Mapping[signal.Signals, str], group: asyncio.TaskGroup
) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handled = [number for number in _HANDLED if signal.getsignal(number) is not signal.SIG_IGN]
    for number in handled:
        if number in forwarded:
            loop.add_signal_handler(number, _send_on, group, session, forwarded[number])
        else:
            loop.add_signal_handler(number, session.leave, 128 + number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def _send_on(group: asyncio.TaskGroup, session: _Session, name: str) -> None:
    group.create_task(session.signal(name))
