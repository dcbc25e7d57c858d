"""The supervisor's end of one session: frames from a terminal, and frames to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Protocol

import msgspec

from engine.errors import MoatError, RuntimeFailure
from engine.run.terminals.frames import WINDOW, Decoder, Frame, Kind, NotAFrame, encode, number, size_of

_READ = 64 * 1024
_LONGEST = 2000  # characters of an explanation's part
_SIGNALS = frozenset({"INT", "QUIT", "TERM", "HUP"})


class Program(Protocol):
    """What a terminal is joined to."""

    async def write(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def resize(self, height: int, width: int) -> None: ...
    async def signal(self, name: str) -> None: ...


class Peer:
    """One terminal. Sending waits while it takes nothing; receiving never waits for the program."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._input: asyncio.Queue[bytes] = asyncio.Queue()  # bounded by the window
        self._waiting = 0

    async def send(self, kind: Kind, payload: bytes = b"") -> None:
        """Raises OSError when the terminal is gone."""
        self._writer.write(encode(kind, payload))
        await self._writer.drain()

    async def fail(self, error: MoatError) -> None:
        parts = [text[:_LONGEST] for text in (error.what, error.detail, error.remedy)]
        await self.send(Kind.FAILURE, msgspec.json.encode(parts))

    async def receive(self, program: Program) -> None:
        """Give the program what comes, until the terminal has left or sends what is no frame."""
        async with asyncio.TaskGroup() as group:
            giving = group.create_task(self._give(program))
            decoder = Decoder()
            try:
                while data := await self._reader.read(_READ):
                    for frame in decoder.feed(data):
                        await self._take(frame, program)
            except (NotAFrame, OSError):
                pass  # as good as gone
            giving.cancel()

    async def _take(self, frame: Frame, program: Program) -> None:
        match frame.kind:
            case Kind.INPUT:
                self._waiting += len(frame.payload)
                if self._waiting > WINDOW:
                    raise NotAFrame("more input than the window holds")
                if frame.payload:
                    self._input.put_nowait(frame.payload)
            case Kind.END_OF_INPUT:
                self._input.put_nowait(b"")
            case Kind.RESIZE:
                await _try(program.resize(*size_of(frame)))
            case Kind.SIGNAL:
                name = frame.payload.decode("ascii", "replace")
                if name not in _SIGNALS:
                    raise NotAFrame("an unknown signal")
                await _try(program.signal(name))
            case _:
                raise NotAFrame(f"{frame.kind.name} from a terminal")

    async def _give(self, program: Program) -> None:
        while data := await self._input.get():
            await program.write(data)
            self._waiting -= len(data)
            try:
                await self.send(Kind.TAKEN, number(len(data)))
            except OSError:
                return
        await program.close_stdin()


async def _try(request: Awaitable[None]) -> None:
    """The program may just have ended, or its image have nothing to signal it with."""
    with contextlib.suppress(RuntimeFailure):
        await request
