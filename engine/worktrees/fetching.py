"""A worktree's commits reach the person's repository: checked objects, and one branch that is moved.

Nothing the agent wrote is a setting of the git that does this. Its new objects are copied into a store of
their own (agents.py), packed from there, and taken into the person's store by `index-pack --strict`, which
names each object by what it holds and refuses trees that mean harm. Then one reference is moved, from the
value that was looked at.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from engine.errors import MoatError
from engine.home import Home
from engine.worktrees.agents import copy_objects, plain, read_references
from engine.worktrees.git import LONG, Git, GitFailed, pipe
from engine.worktrees.place import Place, Worktree
from engine.worktrees.repository import Repository, checked_out, commit_of, shallow


class Fetched(msgspec.Struct, frozen=True):
    """What became of a branch. before, after: its commits in the person's repository; commits: how many are
    new there. aside: the reference that they are kept under instead, and why. elsewhere: what is checked out
    in the worktree where that is not the branch. problem: why nothing could be fetched.
    """

    branch: str
    before: str = ""
    after: str = ""
    commits: int = 0
    rewritten: bool = False
    aside: str = ""
    why: str = ""
    elsewhere: str = ""
    problem: str = ""

    @property
    def news(self) -> bool:
        return bool(self.aside or self.elsewhere or self.after != self.before)

    def __str__(self) -> str:
        parts = []
        if self.problem:
            parts.append(f"{self.branch} was not fetched: {self.problem}")
        elif self.aside:
            parts.append(f"{self.commits} new of {self.branch} are kept as {self.aside}: {self.why}")
        elif self.after != self.before:
            how = "rewritten" if self.rewritten else "moved"
            parts.append(
                f"{self.branch} {how} from {self.before[:12]} to {self.after[:12]}, {self.commits} new"
            )
        else:
            parts.append(f"{self.branch} has no new commits")
        if self.elsewhere:
            parts.append(f"{self.elsewhere} is checked out there")
        return "; ".join(parts)


def fetch(home: Home, place: Place, run: str = "") -> Fetched:
    """Bring what is new on the worktree's branch. run: for the reflog. Raises MoatError."""
    with place.fetching():
        worktree = place.read()
        if worktree is None:
            raise MoatError(f"{place.folder} holds no worktree")
        repository = opened(worktree)
        if cut := shallow(repository):
            (place.data / "shallow").write_bytes(cut)
        found = read_references(place.tree)
        tip = found.heads.get(worktree.branch, "")
        elsewhere = "" if found.head == worktree.branch else plain(found.head) or "nothing"
        there = commit_of(repository, f"refs/heads/{worktree.branch}")
        if not tip:
            return Fetched(worktree.branch, there, there, elsewhere=elsewhere or "nothing")
        if tip == there:
            _note(place, worktree, tip, there)
            return Fetched(worktree.branch, there, there, elsewhere=elsewhere)
        bring(home, place, repository, worktree, tip)
        looking = place.looking(repository.objects)
        commits = int(looking("rev-list", "--count", tip, *([f"^{there}"] if there else [])))
        if there and looking.says("merge-base", "--is-ancestor", tip, there):
            return Fetched(worktree.branch, there, there, elsewhere=elsewhere)  # the person went on
        why, rewritten = _verdict(looking, repository, worktree, tip, there)
        if not why:
            try:
                _move(repository, f"refs/heads/{worktree.branch}", tip, there, run)
            except GitFailed as error:
                why = error.detail
        if why:
            aside = f"refs/moat/{place.key}"
            _move(repository, aside, tip, commit_of(repository, aside), run)
            return Fetched(worktree.branch, there, there, commits, aside=aside, why=why, elsewhere=elsewhere)
        _note(place, worktree, tip, there)
        return Fetched(worktree.branch, there, tip, commits, rewritten, elsewhere=elsewhere)


def opened(worktree: Worktree) -> Repository:
    """Raises MoatError when the person's repository is not where it was."""
    common = Path(worktree.common)
    if not (common / "objects").is_dir():
        raise MoatError(
            f"the repository {worktree.repository} is not there any more",
            remedy=f"Put it back to {common}, or remove the worktree: moat worktree clean --force BRANCH",
        )
    return Repository(Path(worktree.repository), common, common, worktree.format)


def bring(home: Home, place: Place, repository: Repository, worktree: Worktree, tip: str) -> None:
    """Have the commit `tip` and all it needs in the person's object store. Raises MoatError."""
    known = place.looking(repository.objects)
    if _whole(known, repository, tip):
        return
    refused = GitFailed(
        f"the commits of {worktree.branch} cannot be taken into {repository.top}",
        remedy=f"They are in {place.tree} still; do not run git there before you have looked at its .git.",
    )
    with tempfile.TemporaryDirectory(dir=place.folder, prefix=".new-") as folder:
        store = Path(folder)
        problems = copy_objects(place.tree, known, store, worktree.packs)
        quarantine = Git(place.data, objects=store, borrowed=repository.objects)
        try:
            pipe(
                quarantine,
                ("pack-objects", "--revs", "--stdout", "--delta-base-offset", "-q"),
                _beyond(repository, tip),
                known,
                ("index-pack", "--stdin", "--strict"),
            )
        except GitFailed as error:
            refused.detail = "; ".join([error.detail, *problems[:2]])
            raise refused from error
    if not _whole(known, repository, tip):
        refused.detail = "; ".join(["its history has holes", *problems[:2]])
        raise refused


def _whole(known: Git, repository: Repository, tip: str) -> bool:
    """Whether nothing is missing of what `tip` needs beyond what the person's own references need."""
    done = known.run(
        "rev-list", "--objects", "--quiet", "--stdin", given=_beyond(repository, tip), timeout=LONG
    )
    return done.returncode == 0


def _beyond(repository: Repository, tip: str) -> str:
    """What git reads to list what `tip` needs and none of the person's references does."""
    held = repository.git("for-each-ref", "--format=%(objectname)").splitlines()
    return "".join(f"{word}\n" for word in (tip, *(f"^{target}" for target in dict.fromkeys(held))))


def _verdict(
    looking: Git, repository: Repository, worktree: Worktree, tip: str, there: str
) -> tuple[str, bool]:
    """Why the person's branch may not be moved to `tip`, and whether that would rewrite it.

    Only what came from this worktree may leave the branch again, never a commit of the person's.
    """
    if where := checked_out(repository, worktree.branch):
        return f"{worktree.branch} is checked out in {where}", False
    if not there:
        return f"{worktree.branch} was deleted in {repository.top}", False
    if looking.says("merge-base", "--is-ancestor", there, tip):
        return "", False
    if there == worktree.brought and looking.says("merge-base", "--is-ancestor", worktree.base, tip):
        return "", True
    if there in (worktree.brought, worktree.base):
        return f"the agent's history leaves out commits that were on {worktree.branch} before", False
    return f"{worktree.branch} went another way in {repository.top}", False


def _move(repository: Repository, name: str, new: str, old: str, run: str) -> None:
    repository.git(
        "update-ref", "-m", f"moat: {run or 'worktree'}", "--create-reflog", name, new,
        old or "0" * len(new),
    )  # fmt: skip


def _note(place: Place, worktree: Worktree, tip: str, there: str) -> None:
    """Remember where both are. What the branch held that did not come from here, is the person's own."""
    base = worktree.base if there in (worktree.brought, worktree.base) else there
    noted = msgspec.structs.replace(worktree, base=base or worktree.base, brought=tip)
    if noted != worktree:
        place.write(noted)


__all__ = ["Fetched", "bring", "fetch", "opened"]
