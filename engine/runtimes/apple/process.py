"""One `container` command with streams that go on: the agent's own, or those of a command beside it.

The command carries bytes both ways and ends with the exit code of what it started. Its own terminal is one
that Moat makes; it looks at that terminal's size when it gets a WINCH.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from engine.errors import ContainerFailed
from engine.runtimes.apple.tool import Tool, missing
from engine.runtimes.streams import Ends, Streams

_LAST_WORDS = 4000  # bytes of what it complained of on its own account


class Attached:
    """A command that may not have begun. `streams` are there before it does: not a byte is missed."""

    def __init__(self, tool: Tool, *, stdin: bool, tty: bool) -> None:
        self._tool = tool
        self._tty = tty
        self._ends = Ends(stdin=stdin, tty=tty)
        self._theirs = tuple(os.dup(descriptor) for descriptor in self._ends.theirs)
        self.streams: Streams = self._ends.streams()
        self._process: asyncio.subprocess.Process | None = None
        self._complaint: asyncio.Task[bytes] | None = None

    async def begin(self, *words: str) -> None:
        """Raises RuntimeFailure when the program itself cannot be started."""
        stdin, stdout, stderr = self._theirs
        try:
            self._process = await asyncio.create_subprocess_exec(
                self._tool.path,
                *words,
                stdin=stdin,
                stdout=stdout,
                # its spinner must not be drawn into the agent's terminal
                stderr=asyncio.subprocess.PIPE if self._tty else stderr,
                env=self._tool.environ,
                start_new_session=True,
            )
        except OSError as error:
            raise missing(str(error)) from error
        finally:
            self.let_go()
        if self._process.stderr is not None:
            self._complaint = asyncio.ensure_future(_last(self._process.stderr))

    def let_go(self) -> None:
        """Close what the command would have got. Nobody writes to our ends then: they read their end."""
        for descriptor in self._theirs:
            os.close(descriptor)
        self._theirs = ()

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    async def wait(self) -> int:
        """Its exit code. Raises ContainerFailed when a signal ended the program, whose agent may live on."""
        assert self._process is not None
        code = await self._process.wait()
        if code < 0:
            raise ContainerFailed(
                "Apple's `container` program was killed",
                detail=f"signal {signal.Signals(-code).name}",
                remedy="Start the run again.",
            )
        return code

    async def last_words(self) -> str:
        """What it complained of, once it has ended. Takes what nobody read yet."""
        if self._complaint is not None:
            return (await self._complaint).decode(errors="replace")
        async for _ in self.streams:
            pass
        return self.streams.last_words.decode(errors="replace")

    def resize(self, height: int, width: int) -> None:
        self.streams.resize(height, width)
        self._signal(signal.SIGWINCH)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def close(self) -> None:
        """Let go of it; nothing of the command stays."""
        self.let_go()
        self.kill()
        if self._process is not None:
            await self._process.wait()
        if self._complaint is not None:
            await self._complaint
        await self.streams.close()


async def _last(stream: asyncio.StreamReader) -> bytes:
    kept = b""
    while data := await stream.read(_LAST_WORDS):
        kept = (kept + data)[-_LAST_WORDS:]
    return kept
