"""A run in a worktree: whose it is, what is done before and after it, and what agent.yaml may ask there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest
from support.fake_runtime import FakeRuntime
from support.git_repository import Agents, Repository

from engine.credentials import KeySource
from engine.errors import ApprovalNeeded, RunStateError, UsageError
from engine.events import RunInfo, RunState
from engine.run.granted.injections import Granted
from engine.run.lifecycle import run_attached
from engine.run.metadata import SupervisorLock, write_metadata
from engine.run.request import RunRequest
from engine.run.spec import settle
from engine.run.supervisor import Supervisor
from engine.run.terminals.terminal import AgentIO
from engine.run.workspace.worktree import clean_worktrees, fetch_worktrees, in_worktree, list_worktrees
from engine.runtimes import Bind


@pytest.fixture
def person(tmp_path):
    return Repository(tmp_path / "project")


@pytest.fixture
def wanted(person):
    return RunRequest(workspace=str(person.path), worktree="fix/login", command=("true",))


@pytest.fixture
def opened(home, wanted):
    """Open the worktree and leave it again; returns the request that a run gets."""

    async def open_(said=None, **more):
        request = msgspec.structs.replace(wanted, **more)
        async with in_worktree(home, request, [].append if said is None else said.append) as got:
            return got

    return open_


async def test_a_run_works_there_and_its_commits_are_fetched(home, person, wanted):
    engine, said = FakeRuntime(), []
    async with in_worktree(home, wanted, said.append) as request:
        spec = settle(home, request)
        supervisor = Supervisor(
            home, spec, Granted((), ()), KeySource(home, {"MOAT_KEYRING_BACKEND": "file"}),
            io=AgentIO(), notice=said.append,
        )  # fmt: skip
        running = asyncio.ensure_future(supervisor.run(lambda: engine))
        async with asyncio.timeout(20):
            await engine.reached["wait"].wait()
        commit = Agents(spec.workspace).commit("agent's", **{"b.txt": "b\n"})
        engine.end()
        info = await running

    assert (info.name, info.worktree, info.repository) == ("fix-login", "fix/login", str(person.path))
    assert info.workspace == str(spec.workspace)
    assert spec.workspace.is_relative_to(home.worktrees)
    assert person.tip("fix/login") == commit
    assert [line for line in said if line.startswith("worktree: fix/login moved from")]


async def test_two_runs_do_not_share_one(home, wanted):
    async with in_worktree(home, wanted, str) as request:
        info = RunInfo(id="run_aaaaaaaaaaaa", name="busy-otter", created_at="2026-01-12T10:00:00Z",
                       state=RunState.RUNNING, workspace=request.workspace, worktree="fix/login")  # fmt: skip
        home.ensure_dir(home.run(info.id))
        write_metadata(home, info)
        lock = SupervisorLock(home, info.id)
        try:
            with pytest.raises(RunStateError, match="run busy-otter is at work"):
                async with in_worktree(home, wanted, str):
                    pass
            [cleaned] = clean_worktrees(home, ())
            assert (cleaned.removed, "busy-otter" in cleaned.why) == (False, True)
            assert list_worktrees(home)[0][1] == "busy-otter"
        finally:
            lock.release()
    async with in_worktree(home, wanted, str):
        pass


async def test_several_branches_at_once(home, wanted, person):
    other = msgspec.structs.replace(wanted, worktree="other")
    async with in_worktree(home, wanted, str) as one, in_worktree(home, other, str) as two:
        assert one.workspace != two.workspace
        Agents(Path(one.workspace)).commit("one", **{"1": "1"})
        Agents(Path(two.workspace)).commit("two", **{"2": "2"})
        assert [fetched.commits for fetched in fetch_worktrees(home, ())] == [1, 1]
    with pytest.raises(UsageError, match="no worktree"):
        fetch_worktrees(home, ("main",))


async def test_what_a_killed_run_left_is_brought_by_the_next(opened, person):
    request = await opened()
    commit = Agents(Path(request.workspace)).commit("left", **{"b": "b"})
    said = []

    again = await opened(said)

    assert again.workspace == request.workspace
    assert person.tip("fix/login") == commit
    assert said[0].startswith("fix/login moved from")


async def test_it_follows_the_branch_where_that_loses_nothing(opened, person, tmp_path):
    request = await opened()
    person("switch", "-q", "fix/login")
    own = person.commit("person's", **{"p.txt": "p\n"})
    with pytest.raises(UsageError, match="checked out in"):
        await opened()
    person("switch", "-q", "main")
    tree = Path(request.workspace)
    (tree / "new.txt").write_text("not committed")
    said = []

    await opened(said)
    assert "it stays, with changes" in said[0]
    assert not (tree / "p.txt").exists()
    (tree / "new.txt").unlink()
    (tree / "x.o").write_text("ignored")
    await opened(said)

    assert "made anew" in said[1]
    assert "ignored files are gone (1)" in said[1]
    assert Agents(tree).tip("HEAD") == own
    assert (tree / "p.txt").exists()


async def test_cleaning_keeps_what_nobody_else_has(opened, home, person):
    request = await opened()
    tree = Path(request.workspace)
    (tree / "new.txt").write_text("x")
    [kept] = clean_worktrees(home, ("fix/login",))
    assert (kept.removed, tree.exists()) == (False, True)
    with pytest.raises(UsageError, match="named"):
        clean_worktrees(home, (), force=True)
    commit = Agents(tree).commit("committed", **{"c.txt": "c"})

    [gone] = clean_worktrees(home, (), person.path)

    assert gone.removed
    assert not tree.exists()
    assert person.tip("fix/login") == commit, "its commits were fetched first"
    (await opened())
    [forced] = clean_worktrees(home, ("fix/login",), force=True)
    assert forced.removed


async def test_a_workspace_in_moats_home_is_only_ever_a_worktree(opened, home):
    request = await opened()
    with pytest.raises(UsageError, match="holds Moat's credentials"):
        settle(home, RunRequest(workspace=request.workspace, command=("true",)))
    for inside in (home.worktrees, os.path.dirname(request.workspace), home.root):
        with pytest.raises(UsageError, match="holds Moat's credentials"):
            settle(home, msgspec.structs.replace(request, workspace=str(inside)))


@pytest.mark.parametrize(("mount", "fine"), [
    ("./sub:/data", True), (".:/workspace:ro", True), ("../git:/data", False), ("..:/data", False),
    ("../../..:/data", False), ("../worktree.json:/data", False),
])  # fmt: skip
async def test_mounts_of_a_worktree(opened, home, mount, fine):
    request = await opened()
    os.mkdir(os.path.join(request.workspace, "sub"))
    asked = msgspec.structs.replace(request, mounts=(mount,))
    if fine:
        assert Bind(str(settle(home, asked).mounts[-1].source), "").source.startswith(request.workspace)
    else:
        with pytest.raises(UsageError, match="holds Moat's credentials"):
            settle(home, asked)


async def test_all_worktrees_of_a_repository_are_measured_alike(home, person, monkeypatch):
    """Or an agent would widen its wishes by committing an agent.yaml for the next branch."""
    from engine.run import prepare

    person.commit("config", **{"agent.yaml": "command: 'true'\nmounts: ['./src:/src']\n", "src/x": "x"})
    asked = RunRequest(workspace=str(person.path), worktree="a", accept_config=True)
    monkeypatch.setattr(prepare, "Supervisor", lambda *words, **more: _Nobody())
    await run_attached(home, asked, AgentIO(), str)
    one_more = msgspec.structs.replace(asked, accept_config=False)
    await run_attached(home, msgspec.structs.replace(one_more, worktree="b"), AgentIO(), str)
    await run_attached(home, msgspec.structs.replace(one_more, worktree=""), AgentIO(), str)
    person.commit("wider", **{"agent.yaml": "command: 'true'\nmounts: ['/srv:/s']\n"})

    with pytest.raises(ApprovalNeeded) as needed:
        await run_attached(home, msgspec.structs.replace(one_more, worktree="c"), AgentIO(), str)
    assert needed.value.asks == ("mount /srv:/s:rw",)


class _Nobody:
    info = RunInfo(id="run_aaaaaaaaaaaa", name="x", created_at="")

    async def run(self, connect):
        return self.info

    def interrupt(self):
        pass

    def request_stop(self, *, kill=False):
        pass


async def test_the_run_is_called_as_it_was_told(opened, home):
    assert (await opened(name="mine")).name == "mine"
    assert (await opened(worktree="größe")).name == "gr-e"
    assert (await opened(worktree="日本")).name == ""
