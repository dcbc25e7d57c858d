"""Going down a tree that somebody hostile may have made: by descriptors, a name at a time, over no link."""

from __future__ import annotations

import os
import stat
from types import TracebackType
from typing import Self

DEEPEST = 64  # folders inside one another that are gone into

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a pipe that took a file's name meanwhile must not be waited for. Files do not care.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def open_root(path: str) -> int:
    """The workspace itself: where it lies is the person's word, so its parents may be links."""
    return os.open(path, _FOLDER)


class Folders:
    """Opens folders below `root`, a descriptor that stays the caller's. At most DEEPEST are open at once."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._names: list[str] = []
        self._open: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keep(0)

    def open(self, path: str) -> int:
        """A descriptor of the folder `path` ("" is the root itself), good until the next call.

        Raises OSError for what is no folder (any more), cannot be read, or lies too deep.
        """
        names = path.split("/") if path else []
        if len(names) > DEEPEST:
            raise OSError(f"more than {DEEPEST} folders deep")
        same = 0
        for mine, wanted in zip(self._names, names, strict=False):
            if mine != wanted:
                break
            same += 1
        self._keep(same)
        for name in names[same:]:
            self._open.append(os.open(name, _FOLDER, dir_fd=self._here()))
            self._names.append(name)
        return self._here()

    def _here(self) -> int:
        return self._open[-1] if self._open else self._root

    def _keep(self, count: int) -> None:
        while len(self._open) > count:
            os.close(self._open.pop())
            self._names.pop()


def open_file(folder: int, name: str) -> int:
    """A descriptor of a regular file; raises OSError for anything else under this name."""
    fd = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("not a regular file")
    return fd


def read_file(folder: int, name: str, most: int) -> bytes | None:
    """What a regular file holds; None when that is more than `most` bytes."""
    fd = open_file(folder, name)
    try:
        pieces: list[bytes] = []
        left = most + 1
        while left > 0 and (piece := os.read(fd, left)):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(fd)
    return b"".join(pieces) if left > 0 else None
