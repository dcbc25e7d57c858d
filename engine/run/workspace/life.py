"""What is done with a workspace around the life of a container: a snapshot and a first look before it, a
record after it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.audit import container
from engine.config import WORKSPACE
from engine.errors import MoatError
from engine.events import RunInfo
from engine.home import Home
from engine.run.spec import RunSpec
from engine.run.workspace.record import WorkspaceWatch

if TYPE_CHECKING:
    from engine.run.workspace.record import WorkspaceRecorder
    from engine.workspace.snapshots.info import SnapshotInfo

_FETCH = 300.0  # seconds until the commits of a worktree count as not fetched
_START = 3.0  # seconds the snapshot at the start may take, and a file system that hangs


class WorkspaceLife:
    """Of one run. Nothing here ever stops one: what cannot be done is said."""

    def __init__(
        self,
        home: Home,
        spec: RunSpec,
        info: RunInfo,
        recorder: WorkspaceRecorder,
        notice: Callable[[str], None],
    ) -> None:
        self._home = home
        self._info = info
        self._recorder = recorder
        self._notice = notice
        self._watch = WorkspaceWatch(home, spec, notice) if spec.workspace_record else None
        # What the agent cannot change need not be put back.
        writable = any(mount.target == WORKSPACE and not mount.read_only for mount in spec.mounts)
        self._wants_snapshot = spec.snapshot_at_start and writable
        self._taking: asyncio.Future[SnapshotInfo | None] | None = None
        self._late = False
        self._began = False

    def begin(self) -> None:
        """In threads, beside the engine's work."""
        if self._watch is not None:
            self._watch.begin()
        if self._wants_snapshot:
            loop = asyncio.get_running_loop()
            self._taking = loop.run_in_executor(None, self._take)

    async def ready(self) -> None:
        """Wait for that; afterwards the agent may start."""
        self._began = True
        if self._watch is not None:
            await self._watch.ready()
        if self._taking is None:
            return
        await asyncio.wait({self._taking}, timeout=_START)
        problem = "it could not be made in time"
        if self._taking.done():
            try:
                made = self._taking.result()
            except MoatError as error:
                problem = str(error)
            else:
                if made is not None:
                    from engine.run.workspace.snapshots import told

                    said = f"{made.id} at the start: {told(made)}"
                    await self._recorder.note(container("snapshot", reason=said))
                    return
        else:
            self._late = True
            self._taking.add_done_callback(lambda late: late.cancelled() or late.exception())
        self._notice(f"there is no snapshot of the workspace at the start: {problem}")
        await self._recorder.note(container("snapshot", reason=f"none at the start: {problem}"))

    async def end(self) -> None:
        """The container is gone."""
        if self._watch is not None:
            await self._watch.end(self._recorder)
        if self._info.worktree and self._began:
            await self._fetch()

    def close(self) -> None:
        self._late = True
        if self._watch is not None:
            self._watch.close()

    async def _fetch(self) -> None:
        """Bring the commits of the worktree; what it came to is an entry of the log."""
        from engine.run.workspace.worktree import fetch_worktree

        fetching = asyncio.ensure_future(
            asyncio.to_thread(
                fetch_worktree, self._home, Path(self._info.workspace), f"run {self._info.name}"
            )
        )
        done, _ = await asyncio.wait({fetching}, timeout=_FETCH)
        again = f"moat worktree fetch {self._info.worktree}"
        news = True
        try:
            if done:
                fetched = fetching.result()
                said, news = str(fetched), fetched.news
            else:
                fetching.add_done_callback(lambda late: late.cancelled() or late.exception())
                said = f"not fetched in time; try: {again}"
        except (OSError, MoatError) as error:
            said = f"not fetched: {error}"
        if news:
            self._notice(f"worktree: {said}")
        await self._recorder.note(container("worktree", reason=said))

    def _take(self) -> SnapshotInfo | None:
        from engine.run.workspace.snapshots import snapshot_at_start

        return snapshot_at_start(self._home, self._info, lambda: not self._late)


@contextlib.asynccontextmanager
async def workspace_life(
    home: Home, spec: RunSpec, info: RunInfo, recorder: WorkspaceRecorder, notice: Callable[[str], None]
) -> AsyncIterator[WorkspaceLife]:
    """Around a container's life, from before it is made until it is gone."""
    life = WorkspaceLife(home, spec, info, recorder, notice)
    life.begin()
    try:
        yield life
    finally:
        try:
            await life.end()
        finally:
            life.close()
