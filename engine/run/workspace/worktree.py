"""A run in a worktree: opened before the run, its commits fetched when the agent is gone; and what a person
does with worktrees beside that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec

from engine.errors import HomeError, MoatError, RunStateError, UsageError
from engine.events import RunInfo
from engine.home import Home
from engine.run.metadata import supervisor_alive
from engine.run.names import check_run_name
from engine.run.reading.library import list_runs
from engine.run.request import RunRequest
from engine.worktrees.agents import read_references
from engine.worktrees.fetching import Fetched, fetch
from engine.worktrees.making import make
from engine.worktrees.place import Place, Worktree, places, slug
from engine.worktrees.repository import Repository, check_branch, checked_out, commit_of, find_repository
from engine.worktrees.state import WorktreeState, look, remove

_STILL = 15.0  # seconds until it is said that a worktree is still being made


class Cleaned(msgspec.Struct, frozen=True):
    """removed: whether it is gone; why: why it stays."""

    state: WorktreeState
    removed: bool
    why: str = ""


@contextlib.asynccontextmanager
async def in_worktree(
    home: Home, request: RunRequest, notice: Callable[[str], None]
) -> AsyncIterator[RunRequest]:
    """The same request with the worktree for a workspace, which is this run's alone until it is left."""
    if not request.worktree:
        yield request
        return
    loop = asyncio.get_running_loop()

    def say(text: str) -> None:
        loop.call_soon_threadsafe(notice, text)

    opening = asyncio.ensure_future(
        asyncio.to_thread(_open, home, Path(request.workspace), request.worktree, say)
    )
    while not (await asyncio.wait({opening}, timeout=_STILL))[0]:
        # Whoever waits for a detached run gives it up when it hears nothing for long.
        notice(f"the worktree of {request.worktree} is still being made: its history is copied")
    path, repository, lock = opening.result()
    try:
        yield msgspec.structs.replace(
            request,
            workspace=str(path),
            repository=repository,
            name=request.name or _name(request.worktree),
        )
    finally:
        os.close(lock)


def fetch_worktree(home: Home, workspace: Path, run: str = "") -> Fetched:
    """Of the worktree that a run has at `workspace`. Blocking; raises MoatError."""
    return fetch(home, Place(home, workspace.parent), run)


def list_worktrees(home: Home, repository: Path | None = None) -> list[tuple[WorktreeState, str]]:
    """Each with the name of the run that is at work in it, "" where none is. Blocking."""
    live = _live(home)
    return [(look(place), live.get(str(place.tree), "")) for place in _of(home, repository)]


def fetch_worktrees(home: Home, branches: tuple[str, ...], repository: Path | None = None) -> list[Fetched]:
    """Of these branches, or all; what cannot be fetched is said in its place. Blocking."""
    return [_fetch(home, place) for place in _named(home, branches, repository)]


def clean_worktrees(
    home: Home, branches: tuple[str, ...], repository: Path | None = None, *, force: bool = False
) -> list[Cleaned]:
    """Remove the worktrees of these branches, or all, that hold nothing that would be lost.

    force: also what would be lost; only of branches that are named. Blocking.
    """
    if force and not branches:
        raise UsageError("--force needs the branches named", remedy="Say: moat worktree clean --force BRANCH")
    return [_clean(home, place, force=force) for place in _named(home, branches, repository)]


def _open(home: Home, path: Path, branch: str, notice: Callable[[str], None]) -> tuple[Path, str, int]:
    check_branch(branch)
    repository = find_repository(home, path)
    place = Place.of(home, repository, branch)
    with _alone(home, place) as lock:
        if place.read() is None or not place.tree.is_dir():
            make(home, repository, branch, place, notice)
        else:
            _take_up(home, repository, branch, place, notice)
        return place.tree, str(repository.top), os.dup(lock)


def _take_up(
    home: Home, repository: Repository, branch: str, place: Place, notice: Callable[[str], None]
) -> None:
    """Use a worktree again: bring what a killed run left, and follow the branch where that loses nothing."""
    if where := checked_out(repository, branch):
        raise UsageError(
            f"the branch {branch} is checked out in {where}",
            remedy="Choose another one, or switch there to another branch first.",
        )
    try:
        fetched = fetch(home, place)
        if fetched.news:
            notice(str(fetched))
        tip = read_references(place.tree).heads.get(branch, "")
    except MoatError as error:
        notice(f"the worktree is used as it is: {error}")
        return
    there = commit_of(repository, f"refs/heads/{branch}")
    if not there or there == tip or fetched.aside:
        return
    state = look(place)
    if not state.clean:
        notice(f"{branch} has commits in {repository.top} that the worktree has not: {_kept(state)}")
        return
    gone = f"; ignored files are gone ({state.ignored})" if state.ignored else ""
    make(home, repository, branch, place, notice)
    notice(f"the worktree was made anew, because {branch} went on in {repository.top}{gone}")


def _fetch(home: Home, place: Place) -> Fetched:
    try:
        return fetch(home, place)
    except MoatError as error:
        noted = _noted(place)
        return Fetched(noted.branch if noted else place.key, problem=str(error))


def _clean(home: Home, place: Place, *, force: bool) -> Cleaned:
    state = look(place)
    try:
        with _alone(home, place):
            if not force:
                with contextlib.suppress(MoatError):  # then `look` says what is not there
                    fetch(home, place)
                state = look(place)
                if not state.clean:
                    return Cleaned(state, False, _kept(state))
            remove(home, place)
            return Cleaned(state, True)
    except RunStateError as error:
        return Cleaned(state, False, error.what)


def _kept(state: WorktreeState) -> str:
    parts = []
    if state.changes:
        parts.append(f"changes that are not committed (files: {state.changes})")
    if state.unmerged:
        parts.append(f"commits that the repository has not: {', '.join(state.unmerged[:8])}")
    if state.problem:
        parts.append(state.problem)
    return f"it stays, with {'; '.join(parts)}"


@contextlib.contextmanager
def _alone(home: Home, place: Place) -> Iterator[int]:
    """Raises RunStateError, naming the run, when a run has it."""
    lock = place.lock()
    if lock is None:
        name = _live(home).get(str(place.tree), "")
        who = f"run {name}" if name else "another command"
        raise RunStateError(
            f"{who} is at work in the worktree {place.tree}",
            remedy=f"Stop it first: moat stop {name}" if name else "Try again when it is done.",
        )
    try:
        yield lock
    finally:
        os.close(lock)


def _live(home: Home) -> dict[str, str]:
    """workspace -> the run at work there, of runs with a worktree."""

    def at_work(run: RunInfo) -> bool:
        return bool(run.worktree) and not run.state.ended and supervisor_alive(home, run.id)

    return {run.workspace: run.name for run in list_runs(home) if at_work(run)}


def _of(home: Home, repository: Path | None) -> list[Place]:
    if repository is None:
        return places(home)
    common = str(find_repository(home, repository).common)
    return [place for place in places(home) if (noted := _noted(place)) and noted.common == common]


def _named(home: Home, branches: tuple[str, ...], repository: Path | None) -> list[Place]:
    there = _of(home, repository)
    if not branches:
        return there
    found = []
    for branch in branches:
        fitting = [place for place in there if (noted := _noted(place)) and noted.branch == branch]
        if not fitting:
            raise UsageError(f"there is no worktree of a branch {branch!r}", remedy="See: moat worktree list")
        if len(fitting) > 1:
            raise UsageError(
                f"{len(fitting)} repositories have a worktree of {branch}",
                remedy="Say which one: --repository DIR",
            )
        found += fitting
    return found


def _noted(place: Place) -> Worktree | None:
    with contextlib.suppress(HomeError):
        return place.read()
    return None


def _name(branch: str) -> str:
    """What the run is called; "" where the branch's name will not do."""
    with contextlib.suppress(UsageError):
        return check_run_name(slug(branch))
    return ""
