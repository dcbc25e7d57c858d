"""A branch gets a worktree, and what is committed there reaches the person's branch."""

from __future__ import annotations

import os
import stat

import pytest
from support.git_repository import Agents, Repository

from engine.errors import UsageError
from engine.worktrees.git import GitFailed
from engine.worktrees.place import Place, slug
from engine.worktrees.repository import check_branch, find_repository


def test_a_branch_that_is_not_there_is_made_from_head(made, person):
    head = person.tip("HEAD")

    assert person.tip("fix/login") == head
    assert made.said == [f"the branch fix/login was made from {head[:12]}"]
    assert made.agent("status", "--porcelain", "--branch") == "## fix/login"
    assert (made.place.tree / "a.txt").read_text() == "one\n"
    assert person("status", "--porcelain") == ""
    assert stat.S_IMODE(made.place.folder.stat().st_mode) == 0o700


def test_a_branch_that_is_there_is_used(person, make_worktree):
    person("branch", "old")
    person.commit("two", **{"b.txt": "two\n"})
    person("tag", "v1")

    made = make_worktree("old")

    assert made.said == []
    assert not (made.place.tree / "b.txt").exists()
    assert made.agent("log", "--format=%s", "old..main") == "two", "the other branches are there to compare"
    assert made.agent("describe", "--tags", "main") == "v1"


def test_nothing_is_shared_with_the_persons_repository(made, person):
    """A hard link would let the agent write into the person's objects."""
    own = {path.stat().st_ino for path in (made.place.tree / ".git").rglob("*") if path.is_file()}
    theirs = {path.stat().st_ino for path in (person.path / ".git").rglob("*") if path.is_file()}

    assert own.isdisjoint(theirs)
    assert not (made.place.tree / ".git/objects/info/alternates").exists()


def test_who_the_person_is_goes_along_and_no_password(person, make_worktree):
    person("remote", "add", "origin", "https://me:hunter2@github.com/me/project.git")
    person("remote", "add", "ssh", "ssh://git:hunter2@example.com/project.git")
    made = make_worktree()

    assert made.agent("config", "user.email") == "person@example.com"
    assert made.agent("remote", "get-url", "origin") == "https://github.com/me/project.git"
    assert made.agent("remote", "get-url", "ssh") == "ssh://git@example.com/project.git"
    assert "hunter2" not in (made.place.tree / ".git/config").read_text()


def test_commits_reach_the_branch(made, person):
    before = person.tip("fix/login")
    commit = made.agent.commit("agent's", **{"b.txt": "b\n"})

    fetched = made.fetch()

    assert person.tip("fix/login") == commit
    assert (fetched.before, fetched.after, fetched.commits, fetched.aside) == (before, commit, 1, "")
    assert person("show", "fix/login:b.txt") == "b"
    assert person("fsck", "--strict") == ""
    assert "moat: run otter" in person("reflog", "fix/login")
    assert not made.fetch().news
    assert not [name for name in os.listdir(made.place.folder) if name.startswith(".new")]


def test_also_after_the_agent_packed_its_repository(made, person):
    made.agent.commit("one", **{"b.txt": "b\n"})
    made.agent("gc", "-q", "--prune=now")
    commit = made.agent.commit("two", **{"c.txt": "c\n"})

    assert made.fetch().commits == 2
    assert person.tip("fix/login") == commit


def test_what_came_from_the_worktree_may_be_rewritten(made, person):
    made.agent.commit("draft", **{"b.txt": "b\n"})
    made.fetch()
    made.agent("commit", "-q", "--amend", "-m", "better")

    fetched = made.fetch()

    assert fetched.rewritten
    assert person("log", "--format=%s", "fix/login") == "better\none"


def test_a_commit_of_the_persons_never_leaves_the_branch(made, person):
    before = person.tip("fix/login")
    made.agent("commit", "-q", "--amend", "-m", "mine now")

    fetched = made.fetch()

    assert person.tip("fix/login") == before
    assert "leaves out commits" in fetched.why
    assert person.tip(fetched.aside) == made.agent.tip("HEAD")


def test_a_branch_that_went_another_way_is_left(made, person):
    person("switch", "-q", "fix/login")
    own = person.commit("person's", **{"p.txt": "p\n"})
    person("switch", "-q", "main")
    made.agent.commit("agent's", **{"b.txt": "b\n"})

    fetched = made.fetch()

    assert person.tip("fix/login") == own
    assert "another way" in fetched.why
    assert person("log", "--format=%s", "-1", fetched.aside) == "agent's"
    assert person.tip(f"refs/moat/{made.place.key}") == made.agent.tip("HEAD")


@pytest.mark.parametrize(("words", "why"), [
    (("switch", "-q", "fix/login"), "checked out in"),
    (("branch", "-q", "-D", "fix/login"), "was deleted"),
])  # fmt: skip
def test_a_branch_that_is_in_use_or_gone_is_left(made, person, words, why):
    made.agent.commit("agent's", **{"b.txt": "b\n"})
    person(*words)

    fetched = made.fetch()

    assert why in fetched.why
    assert person.tip(fetched.aside) == made.agent.tip("HEAD")
    assert person("status", "--porcelain") == ""


def test_what_else_is_checked_out_there_is_said(made):
    made.agent("switch", "-q", "-c", "other")
    assert made.fetch().elsewhere == "other"
    made.agent("switch", "-q", "--detach")
    assert len(made.fetch().elsewhere) == 40


@pytest.mark.parametrize("name", [
    "", "-x", "--upload-pack=x", "../x", "a..b", "a b", "a\nb", "\x1b]0;x", "HEAD", "@", "a/.b", "x.lock",
    "a~1", "@{-1}", "a:b", "x" * 300, "refs//x", "/x", "x/", "\u202ex",
])  # fmt: skip
def test_names_that_no_branch_may_have(name):
    with pytest.raises(UsageError, match="not a name for a branch"):
        check_branch(name)


@pytest.mark.parametrize("name", ["main", "fix/login", "größe", "a.b_c-d", "日本"])
def test_names_that_a_branch_may_have(name):
    assert check_branch(name) == name


def test_branches_of_like_names_have_places_of_their_own(home, person):
    repository = find_repository(home, person.path)
    folders = {Place.of(home, repository, name).folder for name in ("a/b", "a-b", "a--b", "größe", "gr-e")}
    assert len(folders) == 5
    assert all(folder.parent.parent == home.worktrees for folder in folders)
    assert slug("...") == ""


def test_a_branch_that_is_checked_out_is_refused(person, make_worktree, tmp_path):
    with pytest.raises(UsageError, match="checked out in") as refused:
        make_worktree("main")
    assert str(person.path) in str(refused.value)
    person("worktree", "add", "-q", str(tmp_path / "other"), "-b", "other")
    with pytest.raises(UsageError, match=str(tmp_path / "other")):
        make_worktree("other")


def test_a_branch_that_cannot_be_made_leaves_nothing(person, make_worktree, home):
    person("branch", "a")
    with pytest.raises(UsageError, match="could not be made"):
        make_worktree("a/b")
    assert person("branch", "--format=%(refname:short)").split() == ["a", "main"]


def test_what_fails_half_way_takes_its_branch_along(person, make_worktree, monkeypatch):
    from engine.worktrees import making

    def fail(*words):
        raise GitFailed("no")

    monkeypatch.setattr(making, "pipe", fail)
    with pytest.raises(GitFailed):
        make_worktree()
    assert person.tip("fix/login") == ""


def test_a_detached_head_a_bare_and_a_shallow_repository(person, make_worktree, home, tmp_path):
    person.commit("two", **{"b.txt": "b\n"})
    person("switch", "-q", "--detach", "HEAD~1")
    assert make_worktree("detached").agent("log", "--format=%s") == "one"

    bare = Repository(tmp_path / "bare.git", "--bare")
    with pytest.raises(UsageError, match="no commit yet"):
        make_worktree("x", of=bare)
    person("push", "-q", str(bare.path), "main")
    made = make_worktree("x", of=bare)
    commit = made.agent(
        "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "new"
    )
    assert made.fetch().commits == 1, commit

    person("clone", "-q", "--depth", "1", f"file://{bare.path}", str(tmp_path / "cut"))
    cut = Agents(tmp_path / "cut")
    made = make_worktree("y", of=cut)
    assert made.agent("log", "--format=%s") == "two"
    made.agent("-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "new")
    assert made.fetch().commits == 1
    assert cut("log", "--format=%s", "y").splitlines() == ["new", "two"]


def test_a_git_worktree_of_the_persons_is_a_place_to_start_from(person, make_worktree, tmp_path, home):
    person("worktree", "add", "-q", str(tmp_path / "other"), "-b", "other")
    own = Agents(tmp_path / "other")
    commit = own.commit("there", **{"t.txt": "t\n"})

    made = make_worktree("from-there", of=own)

    assert person.tip("from-there") == commit
    assert made.repository.common == find_repository(home, person.path).common


def test_where_no_worktree_can_be_made(home, tmp_path, person, made):
    for place, why in (
        (tmp_path, "no git repository"),
        (tmp_path / "nowhere", "no directory"),
        (person.path / ".git", "own data"),
        (made.place.tree, "itself a worktree"),
    ):
        with pytest.raises(UsageError, match=why):
            find_repository(home, place)


def test_submodules_are_left_empty_and_one_has_worktrees_of_its_own(person, make_worktree, tmp_path):
    inner = Repository(tmp_path / "inner")
    person("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.path), "sub")
    person("commit", "-q", "-m", "sub")
    made = make_worktree()
    assert os.listdir(made.place.tree / "sub") == []
    assert made.look().clean

    own = Agents(person.path / "sub")
    made = make_worktree("inside", of=own)
    commit = made.agent("-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "x")
    assert made.fetch().commits == 1, commit
    assert own("log", "--format=%s", "-1", "inside") == "x"


def test_a_repository_with_sha256(tmp_path, make_worktree):
    made = make_worktree("x", of=Repository(tmp_path / "new", "--object-format=sha256"))
    made.agent.commit("agent's", **{"b.txt": "b\n"})

    assert len(made.fetch().after) == 64
