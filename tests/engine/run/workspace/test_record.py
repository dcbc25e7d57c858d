"""What a run did to its workspace is written beside its log, and the log says which record it is."""

from __future__ import annotations

import asyncio

from engine.events import RunState
from engine.proxy import HostRule, Injection
from engine.run.granted.injections import Granted
from engine.run.workspace import record as workspace_record
from engine.run.workspace.record import bound_hash, read_workspace_record

NEEDLE = "ghp_5f1c0ffee0badc0de5f1c0ffee0badc0de"


async def running(run):
    run.begin()
    await run.at("wait")


def binding(run):
    [entry] = [entry for entry in run.entries() if entry.data.get("action") == "workspace"]
    return entry.data["reason"]


async def test_the_record_is_bound_by_the_log_and_holds_no_credential(one_run, tmp_path):
    rules = (HostRule(pattern="api.github.com", ports=(443,), header="Authorization: Bearer {token}"),)
    run = one_run(granted=Granted((), (Injection("github", rules, (NEEDLE,), secrets=(NEEDLE,)),)))
    (tmp_path / "ws" / "a.txt").write_text("old\n")
    await running(run)
    (tmp_path / "ws" / "a.txt").write_text(f"new\n{NEEDLE}\n")
    (tmp_path / "ws" / "b.txt").write_text("b\n")
    run.engine.end()
    await run.result()
    run.over(RunState.EXITED)

    record, digest = read_workspace_record(run.home, run.id)

    assert binding(run) == f"1 added, 1 changed, 0 deleted; workspace.json sha256 {digest}"
    assert bound_hash(binding(run)) == digest
    assert [change.path for change in record.changes] == ["a.txt", "b.txt"]
    assert record.changes[0].diff == "@@ -1 +1,2 @@\n-old\n+new\n+[REDACTED]\n"
    assert NEEDLE not in (run.home.run(run.id) / "workspace.json").read_text()


async def test_the_workspace_is_looked_at_before_the_agent_starts(one_run, monkeypatch):
    """However long that takes, within its budget."""
    asked, go = asyncio.Event(), asyncio.Event()
    run = one_run()
    ready = workspace_record.WorkspaceWatch.ready

    async def slowly(watch):
        asked.set()
        await go.wait()
        await ready(watch)

    monkeypatch.setattr(workspace_record.WorkspaceWatch, "ready", slowly)
    run.begin()
    async with asyncio.timeout(20):
        await asked.wait()
    assert "start" not in run.engine.calls
    go.set()
    await run.at("wait")
    run.engine.end()
    await run.result()
    assert bound_hash(binding(run))


async def test_a_workspace_that_cannot_be_looked_at_stops_no_run(one_run, monkeypatch):
    def fail(root, folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(workspace_record, "take_first_look", fail)
    run = one_run()
    await running(run)
    run.engine.end()
    info = await run.result()

    assert info.state is RunState.EXITED
    assert binding(run) == "not recorded: Permission denied"
    assert bound_hash(binding(run)) == ""
    assert any("not recorded: Permission denied" in notice for notice in run.notices)


async def test_a_person_may_want_none(one_run, home):
    home.ensure_dir(home.root)
    home.write(home.config_file, b"workspace_record: false\n")
    run = one_run()
    await running(run)
    run.engine.end()
    await run.result()

    assert read_workspace_record(home, run.id) is None
    entries = run.entries()
    assert not [entry for entry in entries if entry.data.get("action") == "workspace"]
    assert "no record of the workspace" in entries[0].data["message"]


async def test_a_run_whose_agent_never_started_has_none(one_run):
    run = one_run()
    run.engine.fails["create"] = RuntimeError("no")
    run.begin()
    await asyncio.wait({run.task}, timeout=20)
    assert run.task.exception()

    assert not [entry for entry in run.entries() if entry.data.get("action") == "workspace"]
