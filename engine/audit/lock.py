"""One writer per log: an exclusive `flock` on `audit.db.lock`, which exists only while somebody writes.

Its own file, because SQLite's locks on audit.db are POSIX locks: they vanish as soon as any descriptor
of that file is closed in the process, ours included. A killed process loses its flock with its life.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from engine.errors import AuditError
from engine.home import Home

PATIENCE = 0.5  # seconds; a reader that copies a dead run's log holds the lock for a moment


def lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


class WriterLock:
    """Held from construction to `release`. Raises AuditError when another writer has it."""

    def __init__(self, home: Home, path: Path) -> None:
        self._path = lock_path(path)
        deadline = time.monotonic() + PATIENCE
        while True:
            fd = home.open_private(self._path, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                if time.monotonic() > deadline:
                    raise AuditError(
                        f"{path} is being written by another process",
                        remedy="A run has one writer; stop the run first.",
                    ) from None
                time.sleep(0.02)
                continue
            if _is_at(fd, self._path):
                self._fd = fd
                return
            os.close(fd)  # its last holder unlinked it between our open and our lock

    def release(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(self._fd)
            self._fd = -1


@contextlib.contextmanager
def no_writer(path: Path) -> Iterator[bool]:
    """Whether nobody writes the log at `path`; while True is held, nobody can start to."""
    try:
        fd = os.open(lock_path(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield True
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    return False
