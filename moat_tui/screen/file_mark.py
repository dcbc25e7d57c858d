"""Whether a file has changed, told without reading it."""

from __future__ import annotations

import os
from pathlib import Path


def file_mark(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does: (inode, size, modified at); None when there is no file."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
