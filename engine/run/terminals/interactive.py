"""The person's terminal, joined to the agent's while an interactive run lasts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from engine.run.terminals.terminal import AgentIO

_READ = 4096
_CHUNKS = 16  # read ahead of what the agent takes


@contextlib.asynccontextmanager
async def joined(
    io: AgentIO,
    write: Callable[[bytes], Awaitable[None]],
    close_stdin: Callable[[], Awaitable[None]],
    resize: Callable[[int, int], Awaitable[None]],
) -> AsyncIterator[None]:
    """Carry io.stdin to the agent; with io.terminal, in raw mode and with its size followed."""
    async with asyncio.TaskGroup() as group:
        feeder = group.create_task(_feed(io.stdin, write, close_stdin)) if io.stdin is not None else None
        with _raw(io.terminal):
            sizes = group.create_task(_follow_size(io.terminal, resize)) if io.terminal is not None else None
            try:
                yield
            finally:
                for task in (feeder, sizes):
                    if task is not None:
                        task.cancel()


async def _feed(
    fd: int, write: Callable[[bytes], Awaitable[None]], close_stdin: Callable[[], Awaitable[None]]
) -> None:
    """A thread reads, because a regular file cannot be waited for; it dies with the process."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()  # bounded by the room
    room = threading.Semaphore(_CHUNKS)
    over = threading.Event()

    def read() -> None:
        data = b"-"
        while data:
            room.acquire()
            if over.is_set():
                return
            try:
                data = os.read(fd, _READ)
            except OSError:
                data = b""
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, data)
            except RuntimeError:
                return  # the loop is closed: all is over

    threading.Thread(target=read, name="moat-stdin", daemon=True).start()
    try:
        with contextlib.suppress(OSError, ConnectionError):
            while data := await chunks.get():
                await write(data)
                room.release()
            await close_stdin()
    finally:
        over.set()
        room.release()


async def _follow_size(fd: int, resize: Callable[[int, int], Awaitable[None]]) -> None:
    changed = asyncio.Event()
    changed.set()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            await changed.wait()
            changed.clear()
            with contextlib.suppress(Exception):  # the container or the terminal may just have ended
                size = os.get_terminal_size(fd)
                await resize(size.lines, size.columns)
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


@contextlib.contextmanager
def _raw(fd: int | None) -> Iterator[None]:
    if fd is None:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(fd)
    loop = asyncio.get_running_loop()
    tty.setraw(fd, termios.TCSADRAIN)
    # Whoever stopped us (kill -TSTP, from elsewhere) and brings us back has used the terminal meanwhile.
    loop.add_signal_handler(signal.SIGCONT, lambda: tty.setraw(fd, termios.TCSADRAIN))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGCONT)
        with contextlib.suppress(termios.error):  # the terminal was closed under us
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
