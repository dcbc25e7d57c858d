"""A lock between the processes of one installation, on a file of the home."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from engine.errors import MoatError
from engine.home import Home

_PAUSE = 0.01  # seconds between two tries: the kernel's own wait would know no limit


@contextlib.contextmanager
def file_lock(home: Home, path: Path, patience: float, late: MoatError) -> Iterator[None]:
    """Held during the block by one process, and one thread of it, at a time; it dies with its holder.

    Blocking. Raises `late` after `patience` seconds. The file stays; nothing is in it.
    """
    fd = home.open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise late from None
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(fd)
