"""What the agent did to the workspace: taken down around its life, and bound by the run's audit log.

The record lies beside the log as `workspace.json`; an entry of the log holds its SHA-256, so whoever trusts
the log can trust the record.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from engine.audit import EntryData, container
from engine.config import WORKSPACE
from engine.errors import HomeError, MoatError
from engine.home import Home
from engine.run.spec import RunSpec
from engine.workspace import WorkspaceRecord, compare, take_first_look

if TYPE_CHECKING:
    from engine.proxy.mask import Masker
    from engine.workspace import FirstLook

    class WorkspaceRecorder(Protocol):
        """Whoever keeps the run's audit log."""

        @property
        def masker(self) -> Masker: ...
        async def note(self, entry: EntryData) -> None: ...


WORKSPACE_JSON = "workspace.json"
ACTION = "workspace"  # of the container entry that binds the record

_FIRST_LOOK = 2.0  # seconds: its own budget, and patience with a file system that hangs
_SECOND_LOOK = 15.0
_BOUND = re.compile(r"sha256 ([0-9a-f]{64})\b")


class WorkspaceWatch:
    """Of one run. Nothing here ever stops one: what cannot be recorded is said."""

    def __init__(self, home: Home, spec: RunSpec, notice: Callable[[str], None]) -> None:
        self._home = home
        self._run_id = spec.id
        self._root = next(mount.source for mount in spec.mounts if mount.target == WORKSPACE)
        self._notice = notice
        self._first: FirstLook | None = None
        self._taking: asyncio.Future[FirstLook] | None = None
        self._late = False
        self._needed = False
        self._problem = ""

    def begin(self) -> None:
        """Look at the workspace, in a thread; beside the engine's work this costs the start nothing."""
        loop = asyncio.get_running_loop()
        self._taking = loop.run_in_executor(None, take_first_look, self._root, self._home.run(self._run_id))
        self._taking.add_done_callback(self._taken)

    async def ready(self) -> None:
        """Wait for that; afterwards the agent may start."""
        if self._taking is None:
            return
        self._needed = True
        await asyncio.wait({self._taking}, timeout=_FIRST_LOOK)
        if not self._taking.done():
            self._late, self._problem = True, "it could not be looked at in time"
        if self._problem:
            self._notice(f"changes of the workspace are not recorded: {self._problem}")

    async def end(self, recorder: WorkspaceRecorder) -> None:
        """Look again, and write the record; the agent is gone."""
        if self._taking is None or not self._needed:
            return
        first, self._first = self._first, None
        reason = f"not recorded: {self._problem}"
        if first is not None:
            comparing = asyncio.get_running_loop().run_in_executor(
                None, _compare, first, recorder.masker.mask
            )
            done, _ = await asyncio.wait({comparing}, timeout=_SECOND_LOOK)
            try:
                record = comparing.result() if done else None
                if record is None:
                    comparing.add_done_callback(lambda late: late.cancelled() or late.exception())
                    reason = "not recorded: it could not be looked at again in time"
                else:
                    reason = await asyncio.to_thread(self._write, record)
            except (OSError, MoatError) as error:
                reason = f"not recorded: {_why(error)}"
            if reason.startswith("not"):
                self._notice(f"the changes of the workspace are {reason}")
        await recorder.note(container(ACTION, reason=reason))

    def close(self) -> None:
        self._late = True
        if self._first is not None:
            self._first.close()

    def _taken(self, taking: asyncio.Future[FirstLook]) -> None:
        if taking.cancelled():
            return
        error = taking.exception()
        if error is not None:
            self._problem = self._problem or _why(error)
        elif self._late:  # the agent may have begun meanwhile
            taking.result().close()
        else:
            self._first = taking.result()

    def _write(self, record: WorkspaceRecord) -> str:
        data = msgspec.json.encode(record) + b"\n"
        self._home.write(self._home.run(self._run_id) / WORKSPACE_JSON, data)
        counts = f"{record.added} added, {record.changed} changed, {record.deleted} deleted"
        return f"{counts}; {WORKSPACE_JSON} sha256 {hashlib.sha256(data).hexdigest()}"


def read_workspace_record(home: Home, run_id: str) -> tuple[WorkspaceRecord, str] | None:
    """The record of a run and the SHA-256 (hex) of its file; None when there is none.

    Raises HomeError for a file that is no record. Blocking.
    """
    path: Path = home.run(run_id) / WORKSPACE_JSON
    try:
        data = home.read(path)
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=WorkspaceRecord), hashlib.sha256(data).hexdigest()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise HomeError(f"{path} is no record of a workspace", detail=str(error)) from error


def bound_hash(reason: str) -> str:
    """The SHA-256 that the `reason` of the binding entry names; "" when it says that there is no record."""
    found = _BOUND.search(reason)
    return found[1] if found else ""


def _compare(first: FirstLook, mask: Callable[[str], str]) -> WorkspaceRecord:
    try:
        return compare(first, mask)
    finally:
        first.close()


def _why(error: BaseException) -> str:
    if isinstance(error, MoatError):
        return error.what
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
