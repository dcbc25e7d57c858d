"""Where worktrees live, and what is noted of each: `worktrees/<repository>/<branch>/` in Moat's home.

tree/           the worktree, which runs get at /workspace: files, and a repository of its own in .git
git/            settings of Moat's own to look at the tree with, empty otherwise; no agent sees it
worktree.json   what is noted                     lock   held by the run that has the worktree
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from pathlib import Path

import msgspec

from engine.errors import HomeError
from engine.file_lock import file_lock
from engine.home import Home
from engine.workspace import empty_folder, open_root
from engine.worktrees.git import LONG, Git
from engine.worktrees.repository import Repository

RECORD = "worktree.json"
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_SLUG = 40  # characters


class Worktree(msgspec.Struct, frozen=True):
    """base: the person's own newest commit that it is known to hold; brought: the one that Moat last moved
    the person's branch to, "" before that. packs: those that the worktree was given.
    """

    branch: str
    repository: str
    common: str
    format: str
    made_at: str
    base: str
    brought: str = ""
    packs: tuple[str, ...] = ()
    version: int = 1


class Place:
    """Of one worktree; it need not exist."""

    def __init__(self, home: Home, folder: Path) -> None:
        self._home = home
        self.folder = folder

    @classmethod
    def of(cls, home: Home, repository: Repository, branch: str) -> Place:
        """Names a person can read, and hashes that keep two of them apart."""
        top = f"{slug(repository.top.name) or 'x'}-{_hash(os.fsencode(repository.common))}"
        return cls(home, home.worktrees / top / f"{slug(branch) or 'x'}-{_hash(branch.encode())}")

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def data(self) -> Path:
        return self.folder / "git"

    @property
    def key(self) -> str:
        """What commits are kept under that cannot go to the person's branch: refs/moat/<key>."""
        return self.folder.name

    def read(self) -> Worktree | None:
        try:
            return msgspec.json.decode(self._home.read(self.folder / RECORD), type=Worktree)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise HomeError(f"{self.folder / RECORD} is damaged", detail=str(error)) from error

    def write(self, worktree: Worktree) -> None:
        self._home.write(self.folder / RECORD, msgspec.json.encode(worktree) + b"\n")

    def looking(self, repository_objects: Path) -> Git:
        """git with Moat's own settings on the tree, reading the person's objects."""
        return Git(self.data, objects=repository_objects)

    def lock(self) -> int | None:
        """A descriptor to close; None when another process has it."""
        self._home.ensure_dir(self.folder)
        fd = self._home.open_private(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A worktree that was removed meanwhile took its lock with it.
            if os.path.samestat(os.fstat(fd), os.lstat(self.folder / "lock")):
                return fd
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(fd)
        return None

    def fetching(self) -> contextlib.AbstractContextManager[None]:
        """One at a time moves the person's branch and notes it. Raises HomeError when that takes too long."""
        late = HomeError(f"another command has been fetching from {self.tree} for {LONG:g} seconds")
        return file_lock(self._home, self.folder / "fetching", LONG, late)

    def remove(self, *names: str) -> None:
        """Remove files and trees of these names here, whatever an agent made of them."""
        self._home.check(self.folder)
        for name in names:
            place = self.folder / name
            if place.is_dir() and not place.is_symlink():
                fd = open_root(str(place))
                try:
                    empty_folder(fd)
                finally:
                    os.close(fd)
                os.rmdir(place)
            else:
                place.unlink(missing_ok=True)


def places(home: Home) -> list[Place]:
    """Of all worktrees, by repository and branch."""
    found: list[Place] = []
    with contextlib.suppress(FileNotFoundError):
        for repository in sorted(home.check(home.worktrees).iterdir()):
            with contextlib.suppress(NotADirectoryError):
                found += [Place(home, folder) for folder in sorted(repository.iterdir())]
    return [place for place in found if (place.folder / RECORD).exists()]


def slug(name: str) -> str:
    """What a person can read of a name; "" when nothing is left of it."""
    return _ODD.sub("-", name).strip("-._")[:_SLUG]


def _hash(name: bytes) -> str:
    return hashlib.sha256(name).hexdigest()[:8]
