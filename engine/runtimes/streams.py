"""The standard streams of a process that Moat itself started: three pipes, or one terminal.

Nothing is read while the caller is busy, so a process that prints faster than it is read waits in its write.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
import termios
from collections.abc import AsyncIterator, Iterable

from engine.runtimes.spec import Stream

READ_SIZE = 64 * 1024  # bytes
_LAST_WORDS = 1000  # bytes kept of what came last on stderr


class Streams:
    """stdin, None for none, and what is printed, by descriptor. All are closed here; a terminal is both.

    last_words: the end of what came by stderr, or by the terminal.
    """

    def __init__(self, stdin: int | None, outputs: dict[int, Stream], *, terminal: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._stdin = stdin
        self._outputs = dict(outputs)
        self._terminal = stdin if terminal else None
        self._busy = asyncio.Lock()
        self.last_words = b""
        self._over = asyncio.Event()
        for descriptor in {*outputs, *([stdin] if stdin is not None else [])}:
            os.set_blocking(descriptor, False)

    async def __aiter__(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """What it prints, whole and in order, until every process of it has closed its output."""
        while self._outputs:
            for descriptor in await self._readable(self._outputs):
                stream = self._outputs[descriptor]
                try:
                    data = os.read(descriptor, READ_SIZE)
                except BlockingIOError:
                    continue
                except OSError as error:
                    if error.errno != errno.EIO:  # what a terminal says when nobody has it any more
                        raise
                    data = b""
                if data:
                    if stream == "stderr" or self._terminal is not None:
                        self.last_words = (self.last_words + data)[-_LAST_WORDS:]
                    yield stream, data
                else:
                    self._end(descriptor)

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it does not read. After its end it goes nowhere."""
        rest = memoryview(data)
        async with self._busy:
            while rest and self._stdin is not None:
                try:
                    rest = rest[os.write(self._stdin, rest) :]
                except BlockingIOError:
                    await self._writable(self._stdin)
                except OSError:
                    self._close_stdin()

    async def close_stdin(self) -> None:
        """It reads end-of-file; its output goes on. A terminal has no such end."""
        async with self._busy:
            self._close_stdin()

    async def close(self) -> None:
        self._close_stdin()
        for descriptor in list(self._outputs):
            self._end(descriptor)

    def resize(self, height: int, width: int) -> None:
        """In characters. Nothing happens without a terminal, or when it is gone."""
        if self._terminal is not None and height > 0 and width > 0:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def _end(self, descriptor: int) -> None:
        del self._outputs[descriptor]
        self._loop.remove_reader(descriptor)
        if descriptor == self._terminal:
            self._terminal = self._stdin = None
        os.close(descriptor)
        if not self._outputs:
            self._over.set()

    async def over(self, patience: float) -> None:
        """Wait until somebody has read it to its end, for `patience` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._over.wait()

    def _close_stdin(self) -> None:
        if self._stdin is not None and self._terminal is None:
            self._loop.remove_writer(self._stdin)
            os.close(self._stdin)
            self._stdin = None

    async def _readable(self, descriptors: Iterable[int]) -> list[int]:
        ready: list[int] = []
        some = asyncio.Event()

        def tell(descriptor: int) -> None:
            ready.append(descriptor)
            self._loop.remove_reader(descriptor)
            some.set()

        watched = list(descriptors)
        for descriptor in watched:
            self._loop.add_reader(descriptor, tell, descriptor)
        try:
            await some.wait()
        finally:
            for descriptor in watched:
                if descriptor in self._outputs:
                    self._loop.remove_reader(descriptor)
        return ready

    async def _writable(self, descriptor: int) -> None:
        free = asyncio.Event()
        self._loop.add_writer(descriptor, free.set)
        try:
            await free.wait()
        finally:
            self._loop.remove_writer(descriptor)


class Ends:
    """Both ends of a new process's streams: `theirs` for it, stdin first, and `streams` makes ours."""

    def __init__(self, *, stdin: bool, tty: bool) -> None:
        """stdin: whether it gets input; without, it reads end-of-file at once."""
        self._tty = tty
        self.theirs: tuple[int, ...]
        if tty:
            self._master, slave = os.openpty()
            os.set_inheritable(self._master, False)
            self.theirs = (slave, slave, slave)
            return
        # Not /dev/null: through its descriptor root could change the host's own.
        given, ours = os.pipe()
        if not stdin:
            os.close(ours)
        self._stdin = ours if stdin else None
        (self._stdout, out), (self._stderr, err) = os.pipe(), os.pipe()
        self.theirs = (given, out, err)

    def streams(self) -> Streams:
        """Ours, once theirs were handed over; closes theirs here."""
        for descriptor in set(self.theirs):
            os.close(descriptor)
        if self._tty:
            return Streams(self._master, {self._master: "stdout"}, terminal=True)
        return Streams(self._stdin, {self._stdout: "stdout", self._stderr: "stderr"}, terminal=False)
