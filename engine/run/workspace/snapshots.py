"""Snapshots of a run's workspace: make one, list them, put one back, remove them.

At the start of a run its supervisor makes one; all others are made by a command of the person's, which
reports what it did to the log of a run that is live.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine.errors import HomeError, MoatError, RunStateError, UsageError
from engine.events import RunInfo, timestamp
from engine.home import Home
from engine.run.metadata import supervisor_alive
from engine.run.names import is_run_id
from engine.run.reading.library import list_runs
from engine.run.records.reports import report
from engine.workspace.folders import open_root
from engine.workspace.listing import FILE, FOLDER, LINK
from engine.workspace.snapshots.blobs import Blobs
from engine.workspace.snapshots.info import ASKED, SAFETY, START, SnapshotInfo
from engine.workspace.snapshots.restore import Plan, Restored, needed, plan, restore
from engine.workspace.snapshots.shelf import Shelf, shelves
from engine.workspace.snapshots.table import Table
from engine.workspace.snapshots.take import ASKED as AS_ASKED
from engine.workspace.snapshots.take import AT_START, Limits, take

_LONGEST_LABEL = 200  # characters
_EMPTY = "Name a new or an empty directory."
_START_PATIENCE = 0.5  # seconds a run that starts waits for another command on the same shelf


class Restoration(msgspec.Struct, frozen=True):
    """safety: what lay there before; None where nothing did."""

    snapshot: SnapshotInfo
    place: str
    safety: SnapshotInfo | None
    done: Restored


def list_snapshots(home: Home, run: RunInfo) -> list[SnapshotInfo]:
    """Of one run, oldest first. Blocking."""
    return Shelf.of(home, run.workspace).infos(run.id)


async def make_snapshot(home: Home, run: RunInfo, label: str = "") -> SnapshotInfo:
    """Keep what lies in the run's workspace now. Raises MoatError."""
    if len(label) > _LONGEST_LABEL or not label.isprintable():
        raise UsageError(f"a label has at most {_LONGEST_LABEL} characters, and no control characters")
    with _opened(run.workspace) as root:
        made, _ = await asyncio.to_thread(_take, home, run, root, ASKED, label, AS_ASKED)
    if supervisor_alive(home, run.id):
        await report(home, run.id, f"snapshot {made.id}", "made", told(made))
    return made


def snapshot_at_start(home: Home, run: RunInfo, still_wanted: Callable[[], bool]) -> SnapshotInfo | None:
    """Cheaply: what is too much is left out, and said in it. None when nobody waited. Blocking."""
    with _opened(run.workspace) as root:
        made, _ = _take(home, run, root, START, "", AT_START, still_wanted)
    return made if made.id else None


async def restore_snapshot(
    home: Home, run: RunInfo, snapshot: str, *, to: Path | None = None, force: bool = False
) -> Restoration:
    """Put a snapshot back, into the run's workspace or the new directory `to`. Raises MoatError.

    What lies in the workspace is kept in a snapshot of its own before anything is changed. force: also
    while a run is at work there.
    """
    shelf = Shelf.of(home, run.workspace)
    wanted = _named(shelf, run, snapshot)
    if to is not None:
        with shelf.locked(), _new_folder(home, to) as root:
            done = await asyncio.to_thread(_put, shelf, root, wanted, None)
        return Restoration(wanted, str(to), None, done)
    live = [other for other in list_runs(home) if _at_work(home, other, run.workspace)]
    if live and not force:
        raise RunStateError(
            f"run {live[0].name} is at work in {run.workspace}",
            remedy=f"Stop it (moat stop {live[0].id}), use --to DIR, or add --force.",
        )
    with _opened(run.workspace) as root, shelf.locked():
        safety, now = await asyncio.to_thread(
            _take, home, run, root, SAFETY, f"before {wanted.id} was put back", AS_ASKED
        )
        said = f"of run {run.id} into its workspace; what was there is snapshot {safety.id} of that run"
        for other in live:
            await report(home, other.id, f"restore {wanted.id}", "begun", said)
        done = await asyncio.to_thread(_put, shelf, root, wanted, now)
        for other in live:
            counts = f"{done.written} written, {done.deleted} deleted, {done.failed} failed"
            await report(home, other.id, f"restore {wanted.id}", "done", counts)
    return Restoration(wanted, run.workspace, safety, done)


def remove_snapshot(home: Home, run: RunInfo, snapshot: str) -> int:
    """Returns the bytes that became free. Blocking."""
    shelf = Shelf.of(home, run.workspace)
    return shelf.remove(run.id, _named(shelf, run, snapshot).id)


def remove_snapshots(home: Home, run_id: str) -> None:
    """All of a run, wherever its workspace was. Blocking."""
    for shelf in shelves(home):
        if (shelf.folder / run_id).is_dir():
            shelf.remove(run_id)


def remove_orphans(home: Home) -> list[str]:
    """The snapshots of runs whose directory is gone; returns a line for each run. Blocking."""
    done = []
    for shelf in shelves(home):
        for run_id in shelf.runs():
            if is_run_id(run_id) and not home.run(run_id).is_dir():
                shelf.remove(run_id)
                done.append(f"removed the snapshots of run {run_id}, which is gone")
    return done


def told(made: SnapshotInfo) -> str:
    """In words, for an audit entry."""
    left = sum(item.count for item in made.left_out)
    parts = [f"{made.files} files of {made.bytes} bytes, {made.stored} bytes stored for them"]
    parts += [f"{left} left out"] if left else []
    parts += [f"{made.torn} changed while they were read"] if made.torn else []
    return "; ".join(parts)


def _take(
    home: Home,
    run: RunInfo,
    root: int,
    reason: str,
    label: str,
    limits: Limits,
    still_wanted: Callable[[], bool] = lambda: True,
) -> tuple[SnapshotInfo, Table]:
    """A snapshot on its shelf, and its table; without an id when it was not wanted any more."""
    shelf = Shelf.of(home, run.workspace)
    durable = reason == SAFETY
    begun, at = time.time_ns(), timestamp()
    try:
        with (
            shelf.locked(patience=_START_PATIENCE) if reason == START else shelf.locked(),
            shelf.blobs(durable=durable) as blobs,
        ):
            known, since = _known(shelf, blobs)
            taken = take(root, blobs, limits, known.by_path, since)
            info = SnapshotInfo(
                id="",
                run_id=run.id,
                workspace=run.workspace,
                at=at,
                reason=reason,
                taken=begun,
                table="",
                label=label,
                files=taken.counts[FILE],
                folders=taken.counts[FOLDER],
                links=taken.counts[LINK],
                bytes=taken.size,
                torn=len(taken.torn),
                left_out=taken.left_out,
            )
            if still_wanted():
                info = shelf.add(blobs, info, taken.table, durable=durable)
            return info, taken.table
    except OSError as error:
        raise HomeError(
            f"no snapshot of {run.workspace} could be kept: {error.strerror or error}",
            remedy=f"Look at the disk that holds {home.root}.",
        ) from error


def _known(shelf: Shelf, blobs: Blobs) -> tuple[Table, int]:
    """What need not be read again. A damaged table only costs the reading."""
    newest = shelf.newest()
    if newest is None:
        return Table(), 0
    try:
        return shelf.table(blobs, newest), newest.taken
    except HomeError:
        return Table(), 0


def _put(shelf: Shelf, root: int, wanted: SnapshotInfo, now: Table | None) -> Restored:
    with shelf.blobs() as blobs:
        steps: Plan = plan(shelf.table(blobs, wanted), now or Table())
        missing = sum(not blobs.has(digest) for digest in needed(steps))
        if missing:
            raise HomeError(
                f"the snapshot {wanted.id} of run {wanted.run_id} is damaged: {missing} contents are missing",
                remedy="Nothing was changed.",
            )
        return restore(root, steps, blobs)


def _named(shelf: Shelf, run: RunInfo, snapshot: str) -> SnapshotInfo:
    infos = shelf.infos(run.id)
    for info in infos:
        if info.id == snapshot:
            return info
    there = ", ".join(info.id for info in infos[-8:])
    raise UsageError(
        f"run {run.name} has no snapshot {snapshot!r}",
        remedy=f"It has {there}." if there else f"Make one: moat snapshot {run.id}",
    )


def _at_work(home: Home, run: RunInfo, workspace: str) -> bool:
    return not run.state.ended and run.workspace == workspace and supervisor_alive(home, run.id)


@contextlib.contextmanager
def _opened(workspace: str) -> Iterator[int]:
    try:
        root = open_root(workspace)
    except OSError as error:
        raise MoatError(
            f"the workspace {workspace or '(unknown)'} cannot be opened: {error.strerror}",
            remedy="It may have been moved or removed; moat restore … --to DIR puts a snapshot elsewhere.",
        ) from error
    try:
        yield root
    finally:
        os.close(root)


@contextlib.contextmanager
def _new_folder(home: Home, to: Path) -> Iterator[int]:
    """A directory that is empty, or made here."""
    place = Path(os.path.abspath(to))
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        root = open_root(str(place.resolve()))
    except OSError as error:
        raise UsageError(f"--to {to}: {error.strerror}", remedy=_EMPTY) from error
    try:
        if place.resolve().is_relative_to(home.root.resolve()):
            raise UsageError(f"--to {to} lies in Moat's own home", remedy="Name another directory.")
        if os.listdir(root):
            raise UsageError(f"--to {to} is not empty", remedy=_EMPTY)
        yield root
    finally:
        os.close(root)
