"""A directory as a witness: a stick, a share, another user's folder. Kept there: heads, never a secret.

DIR/ID/checkpoint       the newest head
DIR/ID/history          every head that was ever put there, one note after the other
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from engine.anchors.head import AnchorConflict, Anchored, AnchorFailed, Head, Kind
from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.note import BadNote, parse_note

NEWEST = "checkpoint"
HISTORY = "history"
_MOST_BYTES = 1 << 20


class DirectoryWitness:
    kind: Kind = "directory"

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._path = path

    async def anchor(self, head: Head, before: Anchored) -> str:
        return await asyncio.to_thread(write_head, self._path, head)


def write_head(directory: Path, head: Head) -> str:
    """Put `head` into `directory`, after making sure that the one there is part of it. Blocking.

    Raises AnchorFailed when the directory is not there or not writable (a stick that is not plugged in must
    not become a directory of that name), AnchorConflict when another history is there.
    """
    mine = directory / head.checkpoint.origin.rpartition("/")[2]
    try:
        if not directory.is_dir():
            raise AnchorFailed(f"{directory} is not there", remedy="It is tried again at the next run.")
        with contextlib.suppress(FileExistsError):
            mine.mkdir()
        folder = os.open(mine, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            there = _newest(folder, mine / NEWEST)
            if there is not None:
                if not head.contains(there):
                    raise AnchorConflict(
                        f"the head of size {there.size} in {mine / NEWEST} is no part of this "
                        "installation's log",
                        remedy="One of them was rewritten, or restored from a copy: keep both and compare.",
                    )
                if there.size == head.checkpoint.size:
                    return head.note
            _write(_opened(folder, HISTORY, os.O_WRONLY | os.O_APPEND | os.O_CREAT), head.note + "\n")
            temporary = f".{NEWEST}.{secrets.token_hex(8)}"
            try:
                _write(_opened(folder, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), head.note)
                os.replace(temporary, NEWEST, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
                raise
        finally:
            os.close(folder)
    except OSError as error:
        raise AnchorFailed(f"{directory} cannot be written: {error.strerror}") from error
    return head.note


def _opened(folder: int, name: str, flags: int) -> int:
    """A regular file of the folder. Others write there too: over a link a head would get into any file of
    this user's, and a pipe would never let go.
    """
    fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, f"{name} is no file")
    return fd


def _write(fd: int, text: str) -> None:
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _newest(folder: int, path: Path) -> Checkpoint | None:
    try:
        with os.fdopen(_opened(folder, NEWEST, os.O_RDONLY), "rb") as file:
            data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    try:
        return parse_checkpoint(parse_note(data).text)
    except BadNote as error:
        raise AnchorConflict(
            f"{path} is not a head that was put there", remedy="Look at it, then move it away."
        ) from error
