"""`moat worktree list`, `fetch` and `clean` on a worktree of a real repository."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from support.git_repository import Agents, Repository

import engine
from engine.run.workspace.worktree import in_worktree


@pytest.fixture
def person(tmp_path):
    return Repository(tmp_path / "project")


@pytest.fixture
def tree(home, person):
    async def opened():
        request = engine.RunRequest(workspace=str(person.path), worktree="fix/login")
        async with in_worktree(home, request, str) as made:
            return Path(made.workspace)

    return asyncio.run(opened())


def test_listed_fetched_and_removed(moat, person, tree, capsys):
    Agents(tree).commit("agent's", **{"b.txt": "b"})
    assert moat("worktree", "list") == 0
    titles, row = capsys.readouterr().out.splitlines()
    assert titles.split() == ["BRANCH", "REPOSITORY", "RUN", "AGE", "CHANGES", "NOT", "FETCHED", "PATH"]
    assert row.split()[:3] == ["fix/login", "project", "-"]
    assert row.split()[-2:] == ["fix/login", str(tree)]

    assert moat("worktree", "fetch", "fix/login") == 0
    assert "fix/login moved from" in capsys.readouterr().out
    (tree / "left.txt").write_text("x")
    assert moat("worktree", "clean", "fix/login") == 1
    assert "changes that are not committed (files: 1)" in capsys.readouterr().out
    assert moat("worktree", "clean", "--force", "fix/login", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out)[0]["removed"] is True
    assert moat("worktree", "list", "--json", "--repository", str(person.path)) == 0
    assert msgspec.json.decode(capsys.readouterr().out) == []


def test_a_branch_that_cannot_be_moved_is_said_by_the_exit_code(moat, person, tree, capsys):
    Agents(tree).commit("agent's", **{"b.txt": "b"})
    person("switch", "-q", "fix/login")

    assert moat("worktree", "fetch") == 1
    assert "kept as refs/moat/fix-login-" in capsys.readouterr().out


def test_one_that_is_damaged_does_not_hide_the_others(moat, person, tree, home, capsys):
    import shutil

    asyncio.run(_another(home, person))
    other = next(path for path in home.worktrees.glob("*/other-*"))
    (other / "worktree.json").write_text("{}")
    shutil.rmtree(tree / ".git")

    assert moat("worktree", "list") == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["fix/login", "?"]
    assert moat("worktree", "fetch") == 1
    out = capsys.readouterr().out
    assert "fix/login was not fetched: " in out
    assert "is damaged" in out
    assert moat("worktree", "clean") == 0
    assert "it stays" in capsys.readouterr().out
    assert tree.exists()


async def _another(home, person):
    async with in_worktree(home, engine.RunRequest(workspace=str(person.path), worktree="other"), str):
        pass


def test_what_is_not_there(moat, capsys):
    assert moat("worktree", "list") == 0
    assert "there are no worktrees" in capsys.readouterr().err
    assert moat("worktree", "fetch", "nothing") == 2
    assert moat("worktree", "clean", "--force") == 2


@pytest.mark.parametrize("branch", ["", "-x", "../x", "a b"])
def test_run_refuses_what_is_no_branch(moat, person, branch, capsys, home):
    assert moat("--no-ui", "run", str(person.path), f"--worktree={branch}", "--", "true") == 2
    assert "branch" in capsys.readouterr().err
    assert not home.worktrees.exists()


def test_run_refuses_what_is_no_repository(moat, tmp_path, capsys):
    assert moat("--no-ui", "run", str(tmp_path), "--worktree", "x", "--", "true") == 2
    assert "no git repository" in capsys.readouterr().err
