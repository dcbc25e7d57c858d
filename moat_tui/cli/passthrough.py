"""The agent's bytes, out of this process exactly as they came in, unbuffered and unmixed."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

STDOUT = 1
STDERR = 2


class Outlet:
    """Writes every byte to one descriptor, until its reader goes away; `gone` is then called, once.

    It blocks while the reader is slow, which is what slows the agent down.
    """

    def __init__(self, fd: int, gone: Callable[[], None]) -> None:
        self._fd = fd
        self._gone = gone
        self._open = True
        self.problem = ""  # why it stopped early, when it was not the reader's leaving

    def __call__(self, data: bytes) -> None:
        if not self._open:
            return
        try:
            write_all(self._fd, data)
        except OSError as error:
            self._open = False
            if not isinstance(error, BrokenPipeError):
                self.problem = error.strerror or type(error).__name__
            self._gone()


def write_all(fd: int, data: bytes) -> None:
    """All of `data` to `fd`, through short writes and through a descriptor someone made non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            waiter = select.poll()
            waiter.register(fd, select.POLLOUT)
            waiter.poll()


def stop_this_run() -> None:
    """Ask our own supervisor to stop the agent, as a broken pipe stops any program in a pipeline.

    Without a handler there is no supervisor yet or any more, and nothing to stop.
    """
    if callable(signal.getsignal(signal.SIGTERM)):
        os.kill(os.getpid(), signal.SIGTERM)


def carry_on() -> None:
    """stderr has no reader: the agent's work does not depend on it."""
