"""How much of the disk a tree takes that an agent made: bounded in time, over no link."""

from __future__ import annotations

import os
import time

import msgspec

from engine.workspace.folders import Folders

_BLOCK = 512  # bytes; what st_blocks counts in, whatever the file system (stat(3type))


class Usage(msgspec.Struct, frozen=True):
    """size: bytes on the disk. whole: whether nothing was left out, for want of time, or too deep."""

    size: int
    whole: bool


def disk_usage(root: int, deadline: float) -> Usage:
    """Of all below `root`, a descriptor. deadline: of time.monotonic()."""
    size, whole, waiting = 0, True, [""]
    with Folders(root) as folders:
        while waiting:
            path = waiting.pop()
            if time.monotonic() > deadline:
                return Usage(size, whole=False)
            try:
                with os.scandir(folders.open(path)) as entries:
                    for entry in entries:
                        found = entry.stat(follow_symlinks=False)
                        size += found.st_blocks * _BLOCK
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(f"{path}/{entry.name}" if path else entry.name)
                        if time.monotonic() > deadline:
                            return Usage(size, whole=False)
            except OSError:
                whole = False
    return Usage(size, whole)
