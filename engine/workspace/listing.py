"""What lies in a workspace, without looking into any file: bounded in number and in time."""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Mapping
from itertools import islice

import msgspec

from engine.workspace.folders import DEEPEST, Folders
from engine.workspace.names import is_git, is_last, is_object_store
from engine.workspace.record import LeftOut

FILE, LINK, FOLDER, SPECIAL = "file", "link", "folder", "special"

MOST = 50_000  # new names in one listing
MOST_IN_FOLDER = 10_000  # of them in one folder
_MOST_READ = 100_000  # names read from one folder: listing more takes longer than it tells
_EXAMPLES = 10

OBJECTS = "the history that git keeps"
DEEP = f"more than {DEEPEST} folders deep"
MANY = "too many names"
LATE = "out of time"
UNREADABLE = "cannot be read by the user who runs Moat"


class Item(msgspec.Struct, frozen=True):
    """What a name stands for, as lstat tells it. Times in nanoseconds; target: of a link."""

    kind: str
    mode: int
    size: int
    modified: int
    altered: int  # st_ctime, which nobody can set back
    inode: int
    target: str = ""


class Bounds(msgspec.Struct, frozen=True):
    """names: new ones in one listing; in_folder: of them in one folder; read: names read from one folder.

    histories: whether what git keeps is gone into.
    """

    names: int
    in_folder: int
    read: int
    histories: bool = False


class Omissions:
    """What is left out of a look, and why: counted, with a few examples."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, why: str, path: str, count: int = 1) -> None:
        self._counts[why] = self._counts.get(why, 0) + count
        examples = self._examples.setdefault(why, [])
        if path and len(examples) < _EXAMPLES:
            examples.append(path)

    def said(self) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(why, count, tuple(readable(path) for path in self._examples[why]))
            for why, count in self._counts.items()
        )


class Listing:
    """items: by path; listed: the folders all of whose names are among them ("" is the workspace).

    gone: names of an earlier listing that are no more.
    """

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.listed: set[str] = set()
        self.gone: set[str] = set()
        self.omissions = Omissions()

    def absent(self, path: str) -> bool:
        """Whether nothing was there; False too when nobody looked."""
        if path in self.items:
            return False
        while path and path not in self.gone:
            path = parent(path)
            if path in self.listed:
                return True
            if path in self.items:
                return self.items[path].kind != FOLDER
        return bool(path)


def list_tree(
    root: int, deadline: float, known: Mapping[str, Item] | None = None, bounds: Bounds | None = None
) -> Listing:
    """What lies below `root`, a descriptor. deadline: of time.monotonic().

    known: what an earlier listing found. It is looked for whatever has come beside it, so that nobody can
    hide a change among a hundred thousand new files.
    """
    found = Listing()
    there: dict[str, list[str]] = {}
    for path in known or ():
        folder, _, name = path.rpartition("/")
        there.setdefault(folder, []).append(name)
    queues: tuple[deque[str], ...] = (deque(), deque([""]), deque(), deque())
    bounds = bounds or Bounds(MOST, MOST_IN_FOLDER, _MOST_READ)
    left = bounds.names
    with Folders(root) as folders:
        while any(queues):
            queue = next(queue for queue in queues if queue)
            path = queue.popleft()
            if time.monotonic() > deadline:
                found.omissions.add(LATE, path)
                continue
            try:
                fd = folders.open(path)
                names, whole = _names(fd, there.get(path, ()), min(left, bounds.in_folder), bounds.read)
            except OSError:
                found.omissions.add(DEEP if path.count("/") >= DEEPEST else UNREADABLE, path)
                continue
            if whole:
                found.listed.add(path)
            else:
                found.omissions.add(MANY, path)
            for name in names:
                item_path = f"{path}/{name}" if path else name
                item = _item(fd, name)
                if item is None:
                    found.gone.add(item_path)
                    continue
                found.items[item_path] = item
                if known is None or item_path not in known:
                    left -= 1
                if item.kind == FOLDER:
                    if not bounds.histories and is_object_store(item_path):
                        found.omissions.add(OBJECTS, item_path)
                    else:
                        queues[_turn(item_path, known)].append(item_path)
    return found


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def readable(path: str) -> str:
    """`path` with bytes that are no UTF-8 as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _turn(path: str, known: Mapping[str, Item] | None) -> int:
    """Git's settings first, then what is known, then what is new, then other people's code."""
    if is_last(path):
        return 3
    if is_git(path):
        return 0
    return 1 if known is None or path in known else 2


def _names(fd: int, known: list[str] | tuple[str, ...], most: int, read: int) -> tuple[list[str], bool]:
    """The names in a folder, the known ones among them always; whether these are all."""
    with os.scandir(fd) as entries:
        found = [entry.name for entry in islice(entries, read + 1)]
    whole = len(found) <= read
    there = set(known)
    new = sorted(name for name in found if name not in there)
    return [*sorted(there), *new[:most]], whole and len(new) <= most


def _item(folder: int, name: str) -> Item | None:
    """None when there is nothing of this name (any more)."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        mode = found.st_mode
        target = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(mode) else ""
    except OSError:
        return None
    kind = FILE if stat.S_ISREG(mode) else FOLDER if stat.S_ISDIR(mode) else LINK if target else SPECIAL
    return Item(
        kind, stat.S_IMODE(mode), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, target
    )
