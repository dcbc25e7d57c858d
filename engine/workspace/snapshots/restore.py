"""Putting a snapshot back: make what lies in a workspace what lay there.

Files are written beside the place they go to and take it by a rename, so nothing is ever written through a
link, hard or symbolic, and a file is the old one or the new one. What either snapshot left out stays.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator

import msgspec

from engine.workspace.folders import Folders
from engine.workspace.listing import FILE, FOLDER, LINK, Omissions
from engine.workspace.record import LeftOut
from engine.workspace.snapshots.blobs import Blobs
from engine.workspace.snapshots.table import Entry, Table, parent

NOT_TAKEN = "one of the two snapshots leaves it out"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNERS = 0o700  # what putting something into a folder takes


class Restored(msgspec.Struct, frozen=True):
    """written, deleted: how many names; left_out: what was not touched, and what could not be put back.

    failed: how many of those were to be changed.
    """

    written: int = 0
    deleted: int = 0
    failed: int = 0
    left_out: tuple[LeftOut, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """delete: deepest first; folders, then contents: to be made, highest first; modes: of folders, last."""

    delete: tuple[Entry, ...]
    folders: tuple[Entry, ...]
    contents: tuple[Entry, ...]
    modes: tuple[Entry, ...]
    untouched: tuple[bytes, ...]


def plan(wanted: Table, now: Table) -> Plan:
    """What makes `wanted` of `now`. Pure."""
    untouched = [
        entry.path
        for entry in now.entries
        if entry.kind != FOLDER and entry.path not in wanted.by_path and not wanted.absent(entry.path)
    ]
    kept = _above((*untouched, *now.left, *now.open))
    delete = []
    blocked = set()
    for entry in now.entries:
        target = wanted.by_path.get(entry.path)
        if target is None and not wanted.absent(entry.path):
            continue
        if target is None or (target.kind == FOLDER) != (entry.kind == FOLDER):
            if entry.kind == FOLDER and entry.path in kept:
                blocked.add(entry.path)
            else:
                delete.append(entry)
    folders, contents, modes = [], [], []
    for entry in wanted.entries:
        there = now.by_path.get(entry.path)
        if entry.path in blocked or (there is None and not now.absent(entry.path)):
            untouched.append(entry.path)
        elif there is None or not entry.same(there):
            if entry.kind != FOLDER:
                contents.append(entry)
                continue
            modes.append(entry)
            if there is None or there.kind != FOLDER:
                folders.append(entry)
    return Plan(
        delete=tuple(sorted(delete, key=_depth, reverse=True)),
        folders=tuple(sorted(folders, key=_depth)),
        contents=tuple(contents),
        modes=tuple(modes),
        untouched=tuple(untouched),
    )


def _above(paths: Iterable[bytes]) -> set[bytes]:
    """The paths and all folders above them."""
    found: set[bytes] = set()
    for path in paths:
        while path not in found:
            found.add(path)
            path = parent(path)
    return found


def needed(steps: Plan) -> frozenset[bytes]:
    """The digests of what has to be written."""
    return frozenset(entry.digest for entry in steps.contents if entry.kind == FILE)


def restore(root: int, steps: Plan, blobs: Blobs) -> Restored:
    """Carry out `steps` below `root`, a descriptor. Blocking. What fails is counted and said."""
    return _Restoring(root, blobs).carry_out(steps)


class _Restoring:
    def __init__(self, root: int, blobs: Blobs) -> None:
        self.root = root
        self.blobs = blobs
        self.widened: dict[bytes, int] = {}  # folder -> the mode it had
        self.omissions = Omissions()
        self.written = self.deleted = self.failed = 0

    def carry_out(self, steps: Plan) -> Restored:
        with Folders(self.root) as folders:
            for entry in steps.delete:
                with self._counted(entry):
                    self._delete(self._folder(folders, entry.path), entry)
                    self.deleted += 1
            for entry in steps.folders:
                with self._counted(entry):
                    os.mkdir(_name(entry.path), 0o700, dir_fd=self._folder(folders, entry.path))
                    self.written += 1
            for entry in steps.contents:
                with self._counted(entry):
                    self._put(self._folder(folders, entry.path), entry)
                    self.written += 1
            modes = self.widened | {entry.path: entry.mode for entry in steps.modes}
            for path in sorted(modes, reverse=True):
                with contextlib.suppress(OSError):  # it could not be made, which was said, or is gone
                    os.fchmod(folders.open(os.fsdecode(path)), modes[path])
        for path in steps.untouched:
            self.omissions.add(NOT_TAKEN, os.fsdecode(path))
        return Restored(self.written, self.deleted, self.failed, self.omissions.said())

    @contextlib.contextmanager
    def _counted(self, entry: Entry) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failed += 1
            self.omissions.add(f"could not be put back: {error.strerror or error}", os.fsdecode(entry.path))

    def _folder(self, folders: Folders, path: bytes) -> int:
        """The folder that `path` lies in, made writable for as long as this takes."""
        folder = parent(path)
        fd = folders.open(os.fsdecode(folder))
        if folder not in self.widened:
            mode = os.fstat(fd).st_mode & 0o777
            if mode & _OWNERS != _OWNERS:
                os.fchmod(fd, mode | _OWNERS)
                self.widened[folder] = mode
        return fd

    def _delete(self, folder: int, entry: Entry) -> None:
        if entry.kind == FOLDER:
            os.rmdir(_name(entry.path), dir_fd=folder)
        else:
            os.unlink(_name(entry.path), dir_fd=folder)

    def _put(self, folder: int, entry: Entry) -> None:
        temporary = os.fsencode(f".moat-{secrets.token_hex(8)}")
        try:
            if entry.kind == LINK:
                os.symlink(entry.target, temporary, dir_fd=folder)
            else:
                self._write(folder, temporary, entry)
            os.rename(temporary, _name(entry.path), src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise

    def _write(self, folder: int, name: bytes, entry: Entry) -> None:
        out = os.open(name, _NEW, 0o600, dir_fd=folder)
        try:
            self.blobs.copy(entry.digest, out)
            os.fchmod(out, entry.mode & 0o777)
            os.utime(out, ns=(entry.modified, entry.modified))
        finally:
            os.close(out)


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _depth(entry: Entry) -> tuple[int, bytes]:
    return entry.path.count(b"/"), entry.path
