"""Giving the real terminal to another program, whole, and taking it back.

Textual resumes only after a body that did not fail, and repaints that pile up meanwhile would fill its
writer; both are seen to here. The loop goes on: readers read, and what they find is painted at the return.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import termios
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from textual.app import App

_STREAMS = (0, 1, 2)
_MOST_SAID = 4096  # bytes kept of what the program wrote to stderr, its last ones
_END = 5.0  # seconds a program may take to end when the screen itself is being closed


class Ended(NamedTuple):
    code: int
    said: str  # on stderr, which is not the terminal


class Handover:
    """How a screen gives its terminal away. A test puts another in its place."""

    def possible(self, app: App[Any]) -> bool:
        """False where there is no terminal to give: in a browser, in a test."""
        driver = app._driver
        return driver is not None and driver.can_suspend

    async def give(
        self, app: App[Any], command: Sequence[str], environment: Mapping[str, str], heading: str
    ) -> Ended:
        """Run `command` on the terminal to its end. heading: a line printed before it, plain text."""
        with _interrupts_ignored(), app.batch_update(), _suspended(app):
            os.write(1, f"{heading}\n".encode(errors="replace"))
            process = await asyncio.create_subprocess_exec(
                *command, env=dict(environment), stderr=asyncio.subprocess.PIPE
            )
            try:
                said = await _last_of(process.stderr)
                code = await process.wait()
            finally:
                await _end(process)
        return Ended(code, said)


@contextlib.contextmanager
def _suspended(app: App[Any]) -> Iterator[None]:
    failure: BaseException | None = None
    with app.suspend():
        try:
            with _modes_kept():
                yield
        except BaseException as error:  # a cancellation too: the terminal is taken back first
            failure = error
    if failure is not None:
        raise failure


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A ctrl-c is the program's. By a handler and not SIG_IGN, which the program would inherit."""
    numbers = (signal.SIGINT, signal.SIGQUIT)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _modes_kept() -> Iterator[None]:
    """Whatever the program does to the terminal's modes, or to a descriptor that it shares, is undone."""
    flags = {fd: fcntl.fcntl(fd, fcntl.F_GETFL) for fd in _STREAMS}
    modes = None
    with contextlib.suppress(termios.error):
        modes = termios.tcgetattr(0)
    try:
        yield
    finally:
        for fd, flag in flags.items():
            fcntl.fcntl(fd, fcntl.F_SETFL, flag)
        if modes is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(0, termios.TCSANOW, modes)


async def _last_of(stream: asyncio.StreamReader | None) -> str:
    said = b""
    if stream is not None:
        while data := await stream.read(_MOST_SAID):
            said = (said + data)[-_MOST_SAID:]
    return said.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Only when the wait for it was cut short."""
    for stop in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END):
                await process.wait()
