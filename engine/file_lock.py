"""A lock between the processes of one installation, on a file of the home."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from engine.errors import MoatError
from engine.home import Home

_PAUSE = 0.01  # seconds between two tries: the kernel's own wait would know no limit
_AWAITED_PAUSE = 0.1
_LOOKS_IN_HALF_A_MINUTE = 300


@contextlib.contextmanager
def file_lock(home: Home, path: Path, patience: float, late: MoatError) -> Iterator[None]:
    """Held during the block by one process, and one thread of it, at a time; it dies with its holder.

    Blocking. Raises `late` after `patience` seconds. The file stays; nothing is in it.
    """
    fd = home.open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        deadline = time.monotonic() + patience
        while not _taken(fd):
            if time.monotonic() > deadline:
                raise late
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(fd)


@contextlib.asynccontextmanager
async def awaited_file_lock(
    home: Home, path: Path, patience: float, late: MoatError, waiting: Callable[[], None]
) -> AsyncIterator[None]:
    """As file_lock, for what others may hold for minutes: a cancellation ends the wait.

    waiting: called when somebody else holds it, and again every half minute.
    """
    fd = home.open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        looks = 0
        try:
            async with asyncio.timeout(patience):
                while not _taken(fd):  # a file lock of another process: there is nothing to await
                    if looks % _LOOKS_IN_HALF_A_MINUTE == 0:
                        waiting()
                    looks += 1
                    await asyncio.sleep(_AWAITED_PAUSE)
        except TimeoutError:
            raise late from None
        yield
    finally:
        os.close(fd)


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
