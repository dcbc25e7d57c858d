"""Making a worktree: a repository of its own with the person's history, and one branch checked out.

git's own worktree would show the agent the person's .git/config and .git/hooks, which the person's git
obeys; a clone with hard links would let it write into the person's objects, and one that borrows them needs
them in the container. So the history is copied, once for each worktree.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from engine.errors import MoatError, UsageError
from engine.events import timestamp
from engine.home import Home
from engine.worktrees.agents import packs
from engine.worktrees.git import LONG, Git, GitFailed, pipe
from engine.worktrees.place import Place, Worktree
from engine.worktrees.repository import (
    Repository,
    checked_out,
    commit_of,
    identity,
    references,
    shallow,
)

_NEW = "tree.new"


def make(
    home: Home, repository: Repository, branch: str, place: Place, say: Callable[[str], None]
) -> Worktree:
    """A worktree of `branch`, which is made from HEAD where there is none. Raises MoatError.

    The caller holds the place's lock.
    """
    tip = commit_of(repository, f"refs/heads/{branch}")
    begin = tip or commit_of(repository, "HEAD")
    if not begin:
        raise UsageError(
            f"{repository.top} has no commit yet", remedy="A branch starts from one: make the first commit."
        )
    if where := checked_out(repository, branch):
        raise UsageError(
            f"the branch {branch} is checked out in {where}",
            remedy="Choose another one, or switch there to another branch first.",
        )
    if not tip:
        _new_branch(repository, branch, begin)
    try:
        worktree = _make(home, repository, branch, begin, place)
    except BaseException:
        if not tip:
            with contextlib.suppress(MoatError):
                repository.git("update-ref", "-d", f"refs/heads/{branch}", begin)
        raise
    if not tip:
        say(f"the branch {branch} was made from {begin[:12]}")
    return worktree


def _new_branch(repository: Repository, branch: str, begin: str) -> None:
    try:
        repository.git(
            "update-ref", "-m", "moat: worktree", "--create-reflog", f"refs/heads/{branch}", begin,
            "0" * len(begin),
        )  # fmt: skip
    except GitFailed as error:
        raise UsageError(f"the branch {branch} could not be made", detail=error.detail) from error


def _make(home: Home, repository: Repository, branch: str, begin: str, place: Place) -> Worktree:
    home.ensure_dir(place.folder)
    new = place.folder / _NEW
    place.remove(_NEW, place.tree.name, place.data.name)
    form = f"--object-format={repository.format}"
    _init(place.data, repository, "--bare", form)
    os.mkdir(new, 0o700)
    _init(new / ".git", repository, form)
    own = Git(new / ".git")
    own("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    given = references(repository) | {f"refs/heads/{branch}": begin}
    # Read with Moat's own settings, so that none of the repository's is asked.
    pipe(
        place.looking(repository.objects),
        ("pack-objects", "--revs", "--stdout", "--delta-base-offset", "-q"),
        "".join(f"{target}\n" for target in dict.fromkeys(given.values())),
        own,
        ("index-pack", "--stdin"),
    )
    orders = "".join(f"create {name} {target}\n" for name, target in given.items())
    own("update-ref", "--stdin", given=orders)
    own("pack-refs", "--all")
    for name, value in identity(repository).items():
        own("config", name, value)
    own("reset", "--hard", "--quiet", timeout=LONG, GIT_WORK_TREE=str(new))
    os.rename(new, place.tree)
    worktree = Worktree(
        branch=branch,
        repository=str(repository.top),
        common=str(repository.common),
        format=repository.format,
        made_at=timestamp(),
        base=begin,
        packs=packs(place.tree),
    )
    place.write(worktree)
    return worktree


def _init(directory: Path, repository: Repository, *how: str) -> None:
    """An empty repository with no setting, hook or attribute that nobody here wrote."""
    # Of a directory called .git, what it lies in is the work tree, unless it is said to have none.
    Git(directory)("init", "--quiet", "--template=", *how)
    if "--bare" not in how:
        Git(directory)("config", "core.bare", "false")
    if cut := shallow(repository):
        (directory / "shallow").write_bytes(cut)
