"""Closing runs whose supervisor died: nothing of theirs may stay alive or look unfinished.

The kernel tells which (the lock is free); the run's label tells what to remove; the audit log is closed
as `interrupted` and signed, so that a verifier sees an end and not a hole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from engine.audit import RecordedHead, append_and_close, container
from engine.errors import AuditError, MoatError
from engine.events import RequestRecord, RunInfo, RunState, timestamp
from engine.home import Home
from engine.run.metadata import read_metadata, supervisor_alive, try_lock, write_metadata
from engine.run.reading.library import AUDIT_DB, list_runs
from engine.run.records.open_file import finish_open
from engine.runtimes import Runtime

INTERRUPTED = "its supervisor died; the run was closed by a later command"


def dead_runs(home: Home) -> list[RunInfo]:
    """Runs that are not over by their metadata although no supervisor holds them. Only looks at files."""
    return [run for run in list_runs(home) if not run.state.ended and not supervisor_alive(home, run.id)]


async def reap(home: Home, connect: Callable[[str], Runtime]) -> list[RunInfo]:
    """Close every dead run; returns them as they now are. connect: opens a runtime by its name.

    Raises the first problem (the engine cannot be asked, the disk is full) after all were tried.
    """
    dead = dead_runs(home)
    if not dead:
        return []
    closed: list[RunInfo] = []
    problem: MoatError | None = None
    for runtime in dict.fromkeys(run.runtime for run in dead):
        try:
            async with connect(runtime) as engine:
                for run in dead:
                    if run.runtime != runtime:
                        continue
                    try:
                        closed += await _close(home, run.id, engine)
                    except MoatError as error:
                        problem = problem or error
        except MoatError as error:  # this one cannot be asked
            problem = problem or error
    if problem is not None:
        raise problem
    return closed


async def _close(home: Home, run_id: str, engine: Runtime) -> list[RunInfo]:
    lock = try_lock(home, run_id)
    if lock is None:  # another command is closing it right now
        return []
    try:
        run = read_metadata(home, run_id)
        if run.state.ended:  # its supervisor, or another command, came to the end since it was listed
            return []
        await engine.remove_run(run_id, keep_container=run.keep)
        closed = msgspec.structs.replace(
            run, state=RunState.INTERRUPTED, ended_at=timestamp(), error=run.error or INTERRUPTED
        )
        try:
            broken_off = await asyncio.to_thread(finish_open, home, run_id)
            await asyncio.to_thread(_close_log, home, run_id, broken_off)
        except MoatError as error:
            closed = msgspec.structs.replace(closed, error=f"{closed.error}; {error}")
        write_metadata(home, closed)
        return [closed]
    finally:
        lock.release()


def _close_log(home: Home, run_id: str, broken_off: Sequence[RequestRecord]) -> None:
    from engine.audit.finish import MOST_ADDED
    from engine.audit.keys import run_origin
    from engine.audit.read import read_last_checkpoint
    from engine.credentials import KeySource
    from engine.heads import closing
    from engine.run.records.records import network_entry

    path = home.run(run_id) / AUDIT_DB
    recorded = _recorded(home, run_id)
    told = broken_off[: MOST_ADDED - 1]
    untold = len(broken_off) - len(told)
    more = f"; {untold} more requests were broken off" if untold else ""
    with closing(home, KeySource(home), run_id) as last:
        append_and_close(
            home,
            path,
            [*map(network_entry, told), container("interrupted", reason=INTERRUPTED + more)],
            last.signer,
            origin=run_origin(last.origin, run_id),
            recorded=recorded,
        )
        if note := read_last_checkpoint(path):  # a version 1 log has none
            last.record(note)


def _recorded(home: Home, run_id: str) -> RecordedHead | None:
    """What the log must agree with before it is signed. Raises AuditError when it cannot be this run's."""
    from engine.heads import read_history
    from engine.run.reading.installation import recorded_fault

    history = read_history(home)
    if history is None:
        return None
    fault = recorded_fault(home, run_id, history)
    if fault.why:
        raise AuditError(f"the log is not signed: {fault.why}", remedy="Keep it as evidence.")
    run = history.runs.get(run_id)
    return RecordedHead(run.start, run.size, run.root) if run is not None and run.start else None
