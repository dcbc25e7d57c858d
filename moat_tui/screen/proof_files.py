"""Proof bundles as files: how one is called and how it is written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from moat_tui.screen.named_files import file_name

PROOF = "-proof.json"
DOSSIER = "-dossier.html"


def default_name(run_name: str, ending: str = PROOF) -> str:
    """A file name for a run's bundle or dossier."""
    return file_name(run_name, ending)


def write_whole(path: Path, data: bytes, *, replace: bool) -> None:
    """`data` in a new private file, whole or not at all. Blocking.

    Raises FileExistsError when something has this name and `replace` is not set, else OSError.
    """
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=".moat-proof-")  # 0600
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # fails, in one step, when the name is taken
            os.unlink(temporary)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
