"""What would be lost with a worktree: changes that no commit has, and commits that nobody else has."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from engine.errors import HomeError, MoatError
from engine.home import Home
from engine.worktrees.agents import References, plain, read_references
from engine.worktrees.fetching import opened
from engine.worktrees.git import Git, failed
from engine.worktrees.place import RECORD, Place, Worktree
from engine.worktrees.repository import Repository, commit_of

_LOOK = 300.0  # seconds for all files of a worktree


class WorktreeState(msgspec.Struct, frozen=True):
    """changes: files that differ from the newest commit, new ones included, ignored ones not.

    ignored: files that .gitignore names. unmerged: branches (and `stash`) whose commits are not all in the
    person's repository. problem: why this could not be found out. key: as in refs/moat/<key>.
    """

    branch: str
    repository: str
    path: str
    made_at: str
    key: str
    changes: int = 0
    ignored: int = 0
    unmerged: tuple[str, ...] = ()
    problem: str = ""

    @property
    def clean(self) -> bool:
        return not (self.changes or self.unmerged or self.problem)


def look(place: Place) -> WorktreeState:
    """Blocking; changes nothing. Never raises for what is there: that is its `problem`."""
    try:
        worktree = place.read()
    except HomeError as error:
        return WorktreeState("?", "?", str(place.tree), "", place.key, problem=str(error))
    if worktree is None:  # removed a moment ago
        return WorktreeState("?", "?", str(place.tree), "", place.key, problem="it is gone")
    state = WorktreeState(worktree.branch, worktree.repository, str(place.tree), worktree.made_at, place.key)
    try:
        repository = opened(worktree)
        found = read_references(place.tree)
        unmerged = _unmerged(repository, found)
        state = msgspec.structs.replace(state, unmerged=unmerged)
        changes, ignored = _changes(place, repository, worktree, found)
        return msgspec.structs.replace(state, changes=changes, ignored=ignored)
    except MoatError as error:
        return msgspec.structs.replace(state, problem=str(error))


def remove(home: Home, place: Place) -> None:
    """The worktree and all that is in it; the person's branch stays. The caller holds its lock."""
    # Its note goes last: what is removed half is removed by the next try.
    names = set(os.listdir(home.check(place.folder)))
    place.remove(*sorted(names - {RECORD}), *({RECORD} & names))
    os.rmdir(place.folder)
    with contextlib.suppress(OSError):  # another one of the same repository
        os.rmdir(place.folder.parent)


def _unmerged(repository: Repository, found: References) -> tuple[str, ...]:
    tips = dict(found.heads)
    if found.head and found.head not in found.heads:
        tips["HEAD"] = found.head
    if found.stash:
        tips["stash"] = found.stash
    return tuple(plain(name) for name, tip in sorted(tips.items()) if not _reached(repository, tip))


def _reached(repository: Repository, tip: str) -> bool:
    """Whether one of the person's references leads to it."""
    if not commit_of(repository, tip):
        return False
    return repository.git("rev-list", "--max-count=1", tip, "--not", "--all") == ""


def _changes(place: Place, repository: Repository, worktree: Worktree, found: References) -> tuple[int, int]:
    """Counted by Moat's own git directory: neither the settings nor the index of the worktree's are asked."""
    tip = found.heads.get(found.head, found.head)
    if not tip or not commit_of(repository, tip):
        raise MoatError("what is checked out there is not in the repository; moat worktree fetch brings it")
    looking = place.looking(repository.objects)
    _same_index(place.data, looking, tip)
    tree = str(place.tree)
    done = looking.run(
        "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=traditional",
        "--ignore-submodules=all", timeout=_LOOK, GIT_WORK_TREE=tree,
    )  # fmt: skip
    # What git cannot open it warns of, and then takes for empty.
    if done.returncode or b"warning: could not open" in done.stderr:
        raise failed("status", done.returncode, done.stderr)
    said = done.stdout.decode(errors="surrogateescape")
    lines = [line for line in said.split("\0") if line]
    ignored = sum(line.startswith("!!") for line in lines)
    return len(lines) - ignored + _filled_submodules(looking, place.tree), ignored


def _same_index(data: Path, looking: Git, tip: str) -> None:
    """An index of `tip`, and `tip` checked out. One from the last look knows which files are as they were."""
    if (data / "index").exists() and (data / "HEAD").read_text().strip() == tip:
        return
    (data / "index").unlink(missing_ok=True)
    looking("read-tree", tip)
    looking("update-ref", "--no-deref", "HEAD", tip)


def _filled_submodules(looking: Git, tree: Path) -> int:
    """Repositories inside that a commit only names: what they hold is nowhere else."""
    listed = looking("ls-files", "--stage", "-z").split("\0")
    names = [line.partition("\t")[2] for line in listed if line.startswith("160000 ")]
    filled = 0
    for name in names:
        place = tree / name
        with contextlib.suppress(OSError):
            filled += not place.is_symlink() and bool(os.listdir(place))
    return filled
