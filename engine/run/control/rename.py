"""Giving a run another name.

A live run's `metadata.json` is written by its supervisor from memory, which would put the old name back:
there the supervisor is asked. An ended run is renamed here, under the lock that its supervisor and the
reaper take too.
"""

from __future__ import annotations

import asyncio

import msgspec

from engine.errors import RunNotFound, RunStateError
from engine.events import ControlRequest, RunInfo
from engine.home import Home
from engine.run.control.control import ask
from engine.run.metadata import METADATA, read_metadata, try_lock, write_metadata
from engine.run.names import check_run_name


async def rename_run(home: Home, run_id: str, name: str) -> RunInfo:
    """The run as it is now. Raises UsageError for a name that cannot be, RunNotFound, and RunStateError
    when a live run does not take it or its metadata cannot be read. Its id, and so its audit log, stay."""
    check_run_name(name)
    if not (home.check(home.run(run_id)) / METADATA).exists():
        raise RunNotFound(f"no run is called {run_id!r}", remedy="See them all: moat list")
    renamed = await asyncio.to_thread(_rename_ended, home, run_id, name)
    if renamed is not None:
        return renamed
    try:
        reply = await ask(home, run_id, ControlRequest(op="rename", name=name))
    except RunStateError:
        # It may have ended just now; while it starts, and while it closes its log, it answers nobody.
        renamed = await asyncio.to_thread(_rename_ended, home, run_id, name)
        if renamed is None:
            raise
        return renamed
    if not reply.ok:
        raise RunStateError(f"run {run_id} was not renamed", detail=reply.error)
    return read_metadata(home, run_id)


def _rename_ended(home: Home, run_id: str, name: str) -> RunInfo | None:
    """None when the run has a supervisor."""
    lock = try_lock(home, run_id)
    if lock is None:
        return None
    try:
        run = read_metadata(home, run_id)
        if not run.created_at:  # what `read_metadata` shows in place of a damaged file
            raise RunStateError(f"run {run_id} cannot be renamed", detail=run.error)
        if not run.state.ended:
            raise RunStateError(
                f"run {run_id} has lost its supervisor", remedy="Rename it when it is closed: moat list"
            )
        renamed = msgspec.structs.replace(run, name=name)
        write_metadata(home, renamed)
        return renamed
    finally:
        lock.release()
