"""A directory as a witness: a stick, a share, another user's folder. Kept there: heads, never a secret.

DIR/ID/checkpoint       the newest head
DIR/ID/history          every head that was ever put there, one note after the other
"""

from __future__ import annotations

import asyncio
import os
import tempfile
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
        mine.mkdir(exist_ok=True)
        there = _newest(mine / NEWEST)
        if there is not None:
            if not head.contains(there):
                raise AnchorConflict(
                    f"the head of size {there.size} in {mine / NEWEST} is no part of this installation's log",
                    remedy="One of them was rewritten, or restored from a copy: keep both and compare.",
                )
            if there.size == head.checkpoint.size:
                return head.note
        with open(mine / HISTORY, "a", encoding="utf-8") as history:
            history.write(head.note + "\n")
            history.flush()
            os.fsync(history.fileno())
        fd, temporary = tempfile.mkstemp(dir=mine, prefix=f".{NEWEST}.")
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(head.note)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, mine / NEWEST)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise AnchorFailed(f"{directory} cannot be written: {error.strerror}") from error
    return head.note


def _newest(path: Path) -> Checkpoint | None:
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    try:
        return parse_checkpoint(parse_note(data).text)
    except BadNote as error:
        raise AnchorConflict(
            f"{path} is not a head that was put there", remedy="Look at it, then move it away."
        ) from error
