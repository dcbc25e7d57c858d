"""The named storage of workspaces: directories of the home that a workspace's runs see, and no other's.

volumes/KEY/workspace.json      whose they are; KEY is made of the workspace's path
volumes/KEY/data/NAME/          what the agents keep there; nothing here follows a link in it
volumes/removed/                what is being deleted
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from engine.config import Volume, check_volume_name
from engine.errors import HomeError, RunStateError, UsageError
from engine.events import VolumeInfo
from engine.home import Home
from engine.run.reading.library import list_runs
from engine.runtimes import Bind
from engine.workspace import Usage, disk_usage, empty_folder, open_root

_WORKSPACE = "workspace.json"
_DATA = "data"
_REMOVED = "removed"
_LOOK = 2.0  # seconds spent on the size of one volume


class _Record(msgspec.Struct, frozen=True):
    workspace: str


def volume_binds(home: Home, workspace: Path, volumes: Iterable[Volume]) -> tuple[Bind, ...]:
    """The volumes of a run as mounts; those that are new are made, empty. Raises HomeError."""
    return tuple(
        Bind(_made(home, str(workspace), volume.name), volume.target, read_only=volume.read_only)
        for volume in volumes
    )


def list_volumes(home: Home) -> list[VolumeInfo]:
    """All of this installation, by workspace and name. Blocking; raises HomeError."""
    live = [run for run in list_runs(home) if not run.state.ended]
    found = []
    for record, data in _workspaces(home):
        for name in sorted(_names(data)):
            usage = _usage(data / name)
            users = [
                run.name for run in live if run.workspace == record.workspace and name in run.volume_names
            ]
            found.append(
                VolumeInfo(name, record.workspace, str(data / name), usage.size, usage.whole, tuple(users))
            )
    return sorted(found, key=lambda volume: (volume.workspace, volume.name))


def remove_volume(home: Home, workspace: str, name: str) -> None:
    """Delete a volume of `workspace` (its path; it may be gone) and all that is in it. Blocking.

    Raises UsageError when there is none, RunStateError while a run has it.
    """
    check_volume_name(name)
    workspace = os.path.realpath(os.path.expanduser(workspace))
    place = home.check(_place(home, workspace) / _DATA / name)
    if not place.is_dir():
        raise UsageError(
            f"the workspace {workspace} has no volume {name}", remedy="See them all: moat volumes"
        )
    for run in list_runs(home):
        if not run.state.ended and run.workspace == workspace and name in run.volume_names:
            raise RunStateError(
                f"the volume {name} is in use by run {run.name}", remedy=f"Stop it first: moat stop {run.id}"
            )
    removed = home.ensure_dir(home.volumes / _REMOVED)
    home.ensure_dir(place)  # what moves has to be open, and its modes are the agent's
    with _explained(place):
        # In one step, so that a run which starts meanwhile has a new one and never half of the old.
        os.rename(place, removed / secrets.token_hex(16))
        folder = open_root(str(removed))
        try:
            empty_folder(folder)  # what an earlier removal could not finish too
        finally:
            os.close(folder)
    with contextlib.suppress(OSError):  # others are left
        place.parent.rmdir()
        home.remove(place.parent.parent / _WORKSPACE)
        place.parent.parent.rmdir()


def _place(home: Home, workspace: str) -> Path:
    return home.volumes / hashlib.sha256(os.fsencode(workspace)).hexdigest()[:32]


def _made(home: Home, workspace: str, name: str) -> str:
    place = _place(home, workspace)
    if not (place / _WORKSPACE).exists():
        home.write(place / _WORKSPACE, msgspec.json.encode(_Record(workspace)))
    # A link above the home is the person's own; what is mounted is where it leads.
    return os.path.realpath(home.ensure_dir(place / _DATA / name))


def _workspaces(home: Home) -> Iterator[tuple[_Record, Path]]:
    home.check(home.volumes)
    try:
        places = sorted(home.volumes.iterdir())
    except FileNotFoundError:
        return
    for place in places:
        try:
            record = msgspec.json.decode(home.read(place / _WORKSPACE), type=_Record)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError, NotADirectoryError):
            continue
        if _place(home, record.workspace) == place:
            yield record, place / _DATA


def _names(data: Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError), os.scandir(data) as entries:
        yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _usage(place: Path) -> Usage:
    try:
        folder = open_root(str(place))
    except OSError:
        return Usage(0, whole=False)
    try:
        return disk_usage(folder, time.monotonic() + _LOOK)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HomeError(
            f"the volume {place.name} could not be removed: {error.strerror}",
            detail="What is left of it is seen by no run any more.",
            remedy="Try again; files that belong to another user need that user, or root.",
        ) from error
