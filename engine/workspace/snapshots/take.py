"""Making a snapshot: go through a workspace and keep what its files hold.

What an earlier snapshot of the same workspace kept is not read again where the file system says that a file
was not touched since.
"""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Mapping

import msgspec

from engine.workspace.folders import Folders, open_file
from engine.workspace.listing import (
    FILE,
    FOLDER,
    LATE,
    LINK,
    SPECIAL,
    UNREADABLE,
    Bounds,
    Item,
    Listing,
    Omissions,
    list_tree,
    parent,
)
from engine.workspace.record import LeftOut
from engine.workspace.snapshots.blobs import Blobs, Unreadable
from engine.workspace.snapshots.table import Entry, Table

# A change may reach a file's times late: what a program wrote through a mapping does so when it is written
# to the disk, for which Linux takes up to 30 seconds.
_SETTLED = 60 * 1_000_000_000  # nanoseconds
_READINGS = 3  # of a file that changes meanwhile
_MODE = 0o777  # what is kept of a mode: no set-user-id bit is ever put back

DEVICES = "a socket, a pipe or a device"


class Limits(msgspec.Struct, frozen=True):
    """bytes: read and kept that no earlier snapshot has; file: of one file; seconds: for all of it."""

    names: int
    in_folder: int
    bytes: int
    file: int
    seconds: float


AT_START = Limits(names=50_000, in_folder=20_000, bytes=256 << 20, file=64 << 20, seconds=1.0)
ASKED = Limits(names=1_000_000, in_folder=500_000, bytes=32 << 30, file=8 << 30, seconds=900.0)


class Taken(msgspec.Struct, frozen=True):
    """counts: of entries, by kind; size: bytes of all files; torn: files that went on changing."""

    table: Table
    counts: Counter[str]
    size: int
    torn: tuple[bytes, ...]
    left_out: tuple[LeftOut, ...]


class _Omitted(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Taking:
    def __init__(
        self, root: int, blobs: Blobs, known: Mapping[bytes, Entry], since: int, limits: Limits
    ) -> None:
        self.root = root
        self.blobs = blobs
        self.known = known
        self.since = since
        self.limits = limits
        self.deadline = time.monotonic() + limits.seconds
        self.left = limits.bytes
        self.torn: list[bytes] = []
        self.omissions = Omissions()
        self.left_out: list[bytes] = []

    def entries(self, listing: Listing) -> list[Entry]:
        made = []
        with Folders(self.root) as folders:
            for path, item in listing.items.items():
                try:
                    made.append(self.entry(folders, path, item))
                except _Omitted as omitted:
                    self.omissions.add(omitted.why, path)
                    self.left_out.append(os.fsencode(path))
        return made

    def entry(self, folders: Folders, path: str, item: Item) -> Entry:
        name = os.fsencode(path)
        if item.kind == FOLDER:
            return Entry(name, FOLDER, item.mode & _MODE)
        if item.kind == LINK:
            return Entry(name, LINK, 0, target=os.fsencode(item.target))
        if item.kind == SPECIAL:
            raise _Omitted(DEVICES)
        kept = self.known.get(name)
        if kept is not None and _untouched(kept, item, self.since) and self.blobs.has(kept.digest):
            return kept
        if item.size > self.limits.file:
            raise _Omitted(f"larger than {_size(self.limits.file)}")
        if item.size > self.left:
            raise _Omitted(f"more than {_size(self.limits.bytes)} that no earlier snapshot has")
        if time.monotonic() > self.deadline:
            raise _Omitted(LATE)
        try:
            return self.read(folders, path, name)
        except Unreadable as error:
            raise _Omitted(UNREADABLE) from error

    def read(self, folders: Folders, path: str, name: bytes) -> Entry:
        """Read it until it stands still, or for the last time."""
        for again in reversed(range(_READINGS)):
            try:
                fd = open_file(folders.open(parent(path)), path.rpartition("/")[2])
            except OSError as error:
                raise Unreadable from error
            try:
                before = os.fstat(fd)
                kept = self.blobs.keep(fd, min(self.limits.file, self.left))
                after = os.fstat(fd)
            finally:
                os.close(fd)
            if kept is None:
                raise _Omitted("it grew while it was read")
            digest, size = kept
            still = _times(before) == _times(after) and size == after.st_size
            if still or not again:
                break
        if not still:
            self.torn.append(name)
        self.left -= size
        return Entry(
            name,
            FILE,
            stat.S_IMODE(after.st_mode) & _MODE,
            size,
            after.st_mtime_ns,
            after.st_ctime_ns if still else 0,
            after.st_ino,
            digest,
        )


def take(
    root: int, blobs: Blobs, limits: Limits, known: Mapping[bytes, Entry] | None = None, since: int = 0
) -> Taken:
    """Keep what lies below `root`, a descriptor. Blocking; raises OSError when nothing more can be kept.

    known: the entries of an earlier snapshot, which began at `since` (nanoseconds).
    """
    taking = _Taking(root, blobs, known or {}, since, limits)
    bounds = Bounds(limits.names, limits.in_folder, limits.in_folder, histories=True)
    listing = list_tree(root, taking.deadline, bounds=bounds)
    entries = taking.entries(listing)
    unlisted = [
        path
        for path in ["", *(path for path, item in listing.items.items() if item.kind == FOLDER)]
        if path not in listing.listed
    ]
    table = Table(
        tuple(entries),
        tuple(taking.left_out),
        tuple(map(os.fsencode, unlisted)),
    )
    return Taken(
        table,
        Counter(entry.kind for entry in entries),
        sum(entry.size for entry in entries),
        tuple(taking.torn),
        (*listing.omissions.said(), *taking.omissions.said()),
    )


def _untouched(kept: Entry, item: Item, since: int) -> bool:
    return (
        kept.kind == FILE
        and 0 < kept.altered < since - _SETTLED
        and (kept.size, kept.modified, kept.altered, kept.inode)
        == (item.size, item.modified, item.altered, item.inode)
    )


def _times(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _size(count: int) -> str:
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >> shift:
            return f"{count >> shift} {unit}"
    return f"{count} bytes"
