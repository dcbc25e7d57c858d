"""The person's repository: which one is meant, what it has, and whether its .git is what it seems.

An earlier agent may have worked in it. So where git's data lie is believed only where it is plain: nothing
there leads to another repository, which would then be given to this run's agent.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from engine.errors import UsageError
from engine.home import Home
from engine.worktrees.git import Git, GitFailed, failed, require_git, run

_LONGEST_BRANCH = 200  # characters
_WANTED = ("refs/heads", "refs/tags", "refs/remotes")


class Repository(msgspec.Struct, frozen=True):
    """top: what a person calls it; common: where its data lie; git_dir: the same, or a git worktree's own.

    format: of its hashes, sha1 or sha256.
    """

    top: Path
    common: Path
    git_dir: Path
    format: str

    @property
    def git(self) -> Git:
        return Git(self.common)

    @property
    def objects(self) -> Path:
        return self.common / "objects"


def find_repository(home: Home, path: Path) -> Repository:
    """The repository that `path` lies in. Raises UsageError."""
    require_git()
    if not path.is_dir():
        raise UsageError(f"{path} is no directory", remedy="Name a directory of a git repository.")
    asked = (
        "rev-parse", "--path-format=absolute", "--git-common-dir", "--absolute-git-dir",
        "--is-bare-repository", "--is-inside-git-dir", "--show-object-format",
    )  # fmt: skip
    done = run(asked, _own_settings(), cwd=str(path))  # theirs say which owners they trust
    if done.returncode != 0:
        raise UsageError(
            f"{path} is no git repository that a worktree can be made of",
            detail=failed("rev-parse", done.returncode, done.stderr).detail,
            remedy="Name a directory of a repository: moat run REPOSITORY --worktree BRANCH",
        )
    common, git_dir, bare, inside, form = done.stdout.decode(errors="surrogateescape").splitlines()
    top = Path(common)
    if bare != "true":
        if inside == "true":
            raise UsageError(f"{path} lies in a repository's own data", remedy="Name its directory instead.")
        top = _top(path.resolve())
    found = Repository(top, Path(common).resolve(), Path(git_dir).resolve(), form)
    if found.common.is_relative_to(home.worktrees.resolve()):
        raise UsageError(
            f"{path} is itself a worktree of Moat's", remedy="Name the repository that it was made of."
        )
    _require_plain(found, bare=bare == "true")
    return found


def check_branch(name: str) -> str:
    """`name` itself, when git can have a branch of that name. Raises UsageError."""
    wrong = not name or name.startswith("-") or name in ("HEAD", "@") or len(name) > _LONGEST_BRANCH
    if wrong or not name.isprintable() or run(("check-ref-format", f"refs/heads/{name}"), {}).returncode:
        raise UsageError(
            f"not a name for a branch: {name[:80]!r}",
            remedy="git check-ref-format has the rules; a name such as fix/login will do.",
        )
    return name


def commit_of(repository: Repository, name: str) -> str:
    """The commit that `name` leads to, "" when there is none."""
    where = Git(repository.git_dir)
    done = where.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return done.stdout.decode("ascii", "replace").strip() if done.returncode == 0 else ""


def checked_out(repository: Repository, branch: str) -> str:
    """Where the person has `branch` checked out; "" when nowhere."""
    for entry in repository.git("worktree", "list", "--porcelain", "-z").split("\0\0"):
        facts = dict(line.partition(" ")[::2] for line in entry.split("\0") if line)
        if facts.get("branch") == f"refs/heads/{branch}" and "prunable" not in facts:
            return facts.get("worktree", "?")
    return ""


def references(repository: Repository) -> dict[str, str]:
    """name -> commit (or tag) of the person's branches, tags and remotes' branches."""
    listed = repository.git("for-each-ref", "--format=%(objectname) %(refname)", *_WANTED)
    return {name: target for target, name in (line.split(" ", 1) for line in listed.splitlines())}


def shallow(repository: Repository) -> bytes:
    """Where a history that was cut off begins: the file `shallow`; b"" for a whole one."""
    try:
        return (repository.common / "shallow").read_bytes()
    except FileNotFoundError:
        return b""


def identity(repository: Repository) -> dict[str, str]:
    """user.name, user.email and the remotes' addresses, without passwords, for the worktree's settings."""
    found: dict[str, str] = {}
    for name in ("user.name", "user.email"):
        if said := _config(repository, _own_settings(), "--get", name):
            found[name] = said[-1]
    for pair in _config(repository, {}, "--local", "--get-regexp", r"^remote\..*\.url$"):
        name, _, address = pair.partition("\n")
        if "::" in address:  # a program's name, not a place
            continue
        found[name] = _without_password(address)
        remote = name.removeprefix("remote.").removesuffix(".url")
        found[f"remote.{remote}.fetch"] = f"+refs/heads/*:refs/remotes/{remote}/*"
    return found


def _config(repository: Repository, own: dict[str, str], *words: str) -> list[str]:
    done = run(("config", "-z", *words), {"GIT_DIR": str(repository.common), **own})
    return [text for text in done.stdout.decode(errors="replace").split("\0") if text]


def _own_settings() -> dict[str, str]:
    """Let git read the person's own settings, for what reads them and runs nothing."""
    home = os.environ.get("HOME", "/nonexistent")
    usual = Path(home) / ".gitconfig"
    other = Path(os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config") / "git" / "config"
    return {"HOME": home, "GIT_CONFIG_GLOBAL": str(usual if usual.exists() else other)}


def _without_password(address: str) -> str:
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    host, slash, path = rest.partition("/")
    user, at, name = host.rpartition("@")
    # ssh's user is no secret, and its servers want it.
    kept = user.partition(":")[0] + at if scheme == "ssh" else ""
    return f"{scheme}://{kept}{name}{slash}{path}"


def _top(path: Path) -> Path:
    """Where git found .git. Its own answer is what a setting of the repository says."""
    for place in (path, *path.parents):
        if os.path.lexists(place / ".git"):
            return place
    raise UsageError(f"{path} lies in no directory with a .git", remedy="Name the repository's directory.")


def _require_plain(repository: Repository, *, bare: bool) -> None:
    common, git_dir = repository.common, repository.git_dir
    if not bare:
        link = repository.top / ".git"
        if link.is_symlink():
            raise _elsewhere(link, "is a symbolic link")
        if link.is_file() and not _leads_back(link, git_dir, repository):
            raise _elsewhere(link, f"names {git_dir}, which does not name it")
        if link.is_dir() and (link.resolve() != git_dir or (link / "commondir").exists()):
            raise _elsewhere(link, f"is not where git looks, which is {git_dir}")
    for place in ("objects", "objects/pack", "objects/info", "refs", "refs/heads"):
        if (common / place).is_symlink():
            raise _elsewhere(common / place, "is a symbolic link")
    for name in ("alternates", "http-alternates"):
        if (common / "objects/info" / name).exists():
            raise UsageError(
                f"{repository.top} borrows its history from another one ({common}/objects/info/{name})",
                remedy="Make it a whole one first: git repack -a -d, then remove that file.",
            )


def _leads_back(link: Path, git_dir: Path, repository: Repository) -> bool:
    """Whether the data that a .git file names, name it too: a git worktree's do, and a submodule's."""
    try:
        if (git_dir / "gitdir").is_file():
            return Path((git_dir / "gitdir").read_text().strip()).resolve() == link.resolve()
        where = Git(git_dir)("config", "--file", str(git_dir / "config"), "--get", "core.worktree")
    except (OSError, GitFailed, UnicodeDecodeError):
        return False
    return (git_dir / where).resolve() == repository.top.resolve()


def _elsewhere(place: Path, why: str) -> UsageError:
    return UsageError(
        f"{place} {why}: it may lead to a repository that is not meant",
        remedy="An agent can have written it. Look at it, and name the repository itself.",
    )
