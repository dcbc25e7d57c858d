"""Giving an ended run another name.

A live run's `metadata.json` is written by its supervisor from memory, which would put the old name back;
so only an ended run is renamed, under the lock that its supervisor and the reaper take too.
"""

from __future__ import annotations

import msgspec

from engine.errors import RunNotFound, RunStateError
from engine.events import RunInfo
from engine.home import Home
from engine.run.metadata import METADATA, read_metadata, try_lock, write_metadata
from engine.run.names import check_run_name


def rename_run(home: Home, run_id: str, name: str) -> RunInfo:
    """The run as it is now. Raises UsageError for a name that cannot be, RunNotFound, and RunStateError
    while it is live or its metadata cannot be read. Its id, and so its audit log, stay. Blocking."""
    check_run_name(name)
    if not (home.check(home.run(run_id)) / METADATA).exists():
        raise RunNotFound(f"no run is called {run_id!r}", remedy="See them all: moat list")
    lock = try_lock(home, run_id)
    if lock is None:
        raise _live(run_id)
    try:
        run = read_metadata(home, run_id)
        if not run.state.ended:
            raise _live(run_id)
        if not run.created_at:  # what `read_metadata` shows in place of a damaged file
            raise RunStateError(f"run {run_id} cannot be renamed", detail=run.error)
        renamed = msgspec.structs.replace(run, name=name)
        write_metadata(home, renamed)
        return renamed
    finally:
        lock.release()


def _live(run_id: str) -> RunStateError:
    return RunStateError(f"run {run_id} is live", remedy="Rename it once it has ended.")
