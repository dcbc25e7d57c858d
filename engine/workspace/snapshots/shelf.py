"""The snapshots of one workspace, on disk: `snapshots/<workspace>/` in Moat's home.

lock                 shared by those who add and read, alone for whoever removes
objects/             what files held, and the tables, for all snapshots of the workspace
<run id>/<id>.json   the headers; a snapshot exists when its header does
<run id>/last        the number of the last one, so that no id is given twice
newest               the run and the id of the newest one, which spares looking through all of them
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.errors import HomeError
from engine.home import Home
from engine.workspace.snapshots.blobs import Blobs
from engine.workspace.snapshots.info import SnapshotInfo
from engine.workspace.snapshots.table import Table, decode_table, encode_table

_ID = re.compile(r"s[1-9][0-9]{0,8}")
_NEWEST = "newest"
_POLL = 0.02  # seconds between tries for the lock
_LOCKED = 20.0  # seconds somebody else may have it


class Shelf:
    def __init__(self, home: Home, folder: Path) -> None:
        self._home = home
        self.folder = folder

    @classmethod
    def of(cls, home: Home, workspace: str) -> Shelf:
        return cls(home, home.snapshots / hashlib.sha256(os.fsencode(workspace)).hexdigest()[:32])

    @contextlib.contextmanager
    def locked(self, *, alone: bool = False, patience: float = _LOCKED) -> Iterator[None]:
        """Raises HomeError when another process has the shelf for longer than `patience` seconds."""
        deadline = time.monotonic() + patience
        while (fd := self._lock(fcntl.LOCK_EX if alone else fcntl.LOCK_SH)) is None:
            if time.monotonic() > deadline:
                raise HomeError(
                    "another command is at work on the snapshots of this workspace",
                    remedy="Try again when it is done.",
                )
            time.sleep(_POLL)
        try:
            yield
        finally:
            os.close(fd)

    def _lock(self, how: int) -> int | None:
        self._home.ensure_dir(self.folder)
        place = self.folder / "lock"
        fd = self._home.open_private(place, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            # A shelf that was removed meanwhile took its lock with it.
            if os.path.samestat(os.fstat(fd), os.lstat(place)):
                return fd
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(fd)
        return None

    @contextlib.contextmanager
    def blobs(self, *, durable: bool = False) -> Iterator[Blobs]:
        place = self._home.ensure_dir(self.folder / "objects")
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield Blobs(fd, durable=durable)
        finally:
            os.close(fd)

    def add(self, blobs: Blobs, info: SnapshotInfo, table: Table, *, durable: bool) -> SnapshotInfo:
        """Give it an id and a header. What it names must be kept already."""
        digest = blobs.keep_bytes(encode_table(table))
        run = self._home.ensure_dir(self.folder / info.run_id)
        for _ in range(1000):
            number = max([self._last(run), *(int(known.id[1:]) for known in self.infos(info.run_id))]) + 1
            made = msgspec.structs.replace(info, id=f"s{number}", table=digest.hex(), stored=blobs.stored)
            place = run / f"{made.id}.json"
            try:
                # Taken first, so that two commands at once do not both have it.
                os.close(self._home.open_private(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            except HomeError:
                continue
            self._home.write(place, msgspec.json.encode(made) + b"\n", durable=durable)
            self._home.write(run / "last", str(number).encode(), durable=False)
            newest = f"{info.run_id} {made.id}".encode()
            self._home.write(self.folder / _NEWEST, newest, durable=False)
            return made
        raise HomeError(f"no snapshot can be added in {run}", remedy="Check its permissions.")

    def infos(self, run_id: str) -> list[SnapshotInfo]:
        """Oldest first; headers that cannot be read are passed over."""
        found = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for place in (self.folder / run_id).iterdir():
                if is_snapshot_id(place.stem) and place.suffix == ".json":
                    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, FileNotFoundError):
                        found.append(msgspec.json.decode(self._home.read(place), type=SnapshotInfo))
        return sorted(found, key=lambda info: int(info.id[1:]))

    def newest(self) -> SnapshotInfo | None:
        """The last one that was taken of the workspace, in whichever run."""
        with contextlib.suppress(FileNotFoundError, ValueError, msgspec.MsgspecError):
            run, name = self._home.read(self.folder / _NEWEST).decode().split()
            if is_snapshot_id(name):
                place = self.folder / run / f"{name}.json"
                return msgspec.json.decode(self._home.read(place), type=SnapshotInfo)
        found = [infos[-1] for run in self.runs() if (infos := self.infos(run))]
        return max(found, key=lambda info: info.taken, default=None)

    def table(self, blobs: Blobs, info: SnapshotInfo) -> Table:
        """Raises HomeError when it is damaged."""
        try:
            return decode_table(blobs.read(bytes.fromhex(info.table)))
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise HomeError(
                f"the snapshot {info.id} of run {info.run_id} is damaged", detail=str(error)
            ) from error

    def remove(self, run_id: str, snapshot: str = "") -> int:
        """Remove one, or all of a run, and what no other one needs; returns the bytes that became free."""
        with self.locked(alone=True):
            if snapshot:
                self._home.remove(self.folder / run_id / f"{snapshot}.json")
            else:
                shutil.rmtree(self.folder / run_id, ignore_errors=True)
            left = self.runs()
            with self.blobs() as blobs:
                try:
                    freed = blobs.sweep(self._needed(blobs, left))
                except HomeError:  # nothing is swept away on a guess
                    return 0
            if not left:
                shutil.rmtree(self.folder, ignore_errors=True)
            return freed

    def _needed(self, blobs: Blobs, runs: list[str]) -> set[bytes]:
        needed: set[bytes] = set()
        for run in runs:
            for info in self.infos(run):
                needed.add(bytes.fromhex(info.table))
                needed.update(entry.digest for entry in self.table(blobs, info).entries)
        return needed

    def runs(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return [
                place.name for place in self.folder.iterdir() if place.name != "objects" and place.is_dir()
            ]
        return []

    def _last(self, run: Path) -> int:
        try:
            return int(self._home.read(run / "last"))
        except (FileNotFoundError, ValueError):
            return 0


def is_snapshot_id(name: str) -> bool:
    return _ID.fullmatch(name) is not None


def shelves(home: Home) -> list[Shelf]:
    with contextlib.suppress(FileNotFoundError):
        return [Shelf(home, place) for place in home.snapshots.iterdir() if place.is_dir()]
    return []
