"""Where the texts of a workspace are kept while its run lasts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


class Contents:
    """A file without a name: the kernel holds it in memory while there is some, and it is gone with the
    process, however that ends. One thread at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".workspace-", buffering=0)  # noqa: SIM115
        self.size = 0

    def keep(self, data: bytes) -> int:
        """Where it lies from now on. Raises OSError when the disk is full."""
        at = self.size
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self.size += len(data)
        return at

    def read(self, at: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, at)

    def close(self) -> None:
        self._file.close()
