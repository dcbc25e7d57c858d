"""The whole audit log: by type, entry by entry, where it breaks, verified, exported, and gone away."""

from __future__ import annotations

import json
import os
import shutil

import msgspec
import pytest
from support.real_chain import ChainFace, chain, tamper, write_chain
from support.screen_home import ago, write_run
from support.waiting import screen_text, wait_for

from engine import InstallationAudit, RunAudit, RunInfo, RunState
from moat_tui.screen import watch
from moat_tui.screen.audit_screen import AuditScreen
from moat_tui.screen.dialogs.confirm import ConfirmDialog
from moat_tui.screen.dialogs.file_path import FilePathDialog
from moat_tui.screen.dialogs.report import ReportDialog
from moat_tui.screen.main_screen import MainScreen
from moat_tui.screen.models.messages import ShowAuditEntry
from moat_tui.screen.panes.runs import RunsPane

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.EXITED, exit_code=0)
OTHER = RunInfo("run_bbbb2222", "older", ago(hours=4), RunState.EXITED, exit_code=0)
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)])


@pytest.fixture
def face(home) -> ChainFace:
    return ChainFace(home)


async def sees(pilot, *parts: str) -> None:
    await wait_for(pilot, lambda: all(part in screen_text(pilot) for part in parts))


async def open_audit(pilot) -> AuditScreen:
    await wait_for(pilot, lambda: pilot.app.screen.query_one(RunsPane).selected)
    await pilot.press("4")
    await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "audit-entries")
    await pilot.press("enter")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, AuditScreen))
    return pilot.app.screen


@SIZES
async def test_entries_are_leafed_through_by_type(screen, home, size):
    write_run(home, RUN)
    write_chain(home, RUN.id, chain(900))
    async with screen(size) as pilot:
        await open_audit(pilot)
        await sees(pilot, "✓ INTACT", "line 899", "0 ▸all 903", "1 container 1")
        await pilot.press("home")
        await sees(pilot, "api.github.com")
        await pilot.press("2")
        await sees(pilot, "2 ▸credential 1", "action=intent")
        assert "line 8" not in screen_text(pilot)
        await pilot.press("t")
        await sees(pilot, "3 ▸policy 1", "evil.test")
        await pilot.press("enter")
        await sees(pilot, "Audit entry #3", '"decision": "denied"', "Previous", "Hash")
        await pilot.press("escape", "4")
        await sees(pilot, "4 ▸console 900", "line 899")


async def test_only_pages_that_are_seen_are_read(screen, home, face):
    write_run(home, RUN)
    write_chain(home, RUN.id, chain(5000))
    read = []
    real = face.audit_page
    face.audit_page = lambda run_id, types, after, limit: (
        read.append(limit) or real(run_id, types, after, limit)
    )
    async with screen() as pilot:
        here = await open_audit(pilot)
        await sees(pilot, "line 4999")
        await pilot.press("home")
        await sees(pilot, "container")
        assert len(here.view.pages) == 5003
        assert len(read) <= 6
        assert max(read) <= 256


@SIZES
async def test_a_broken_chain_is_shown_where_it_breaks(screen, home, size):
    write_run(home, RUN)
    path = write_chain(home, RUN.id, chain(600))
    tamper(path, 'UPDATE entries SET data = \'{"line":"nothing"}\' WHERE seq = 300')
    async with screen(size) as pilot:
        here = await open_audit(pilot)
        await sees(pilot, "✗ TAMPERED", "#300")
        await wait_for(pilot, lambda: here.view.pages.mark_place == 299)
        await pilot.press("b")
        await sees(pilot, "✗ broken at #300", "line 295", "nothing")
        await pilot.press("enter")
        await sees(pilot, "Audit entry #300", "✗ The chain breaks here")
        await pilot.press("escape", "1")
        await wait_for(pilot, lambda: here.view.pages.mark_place == 1)


async def test_an_entry_is_opened_from_elsewhere(screen, home):
    write_run(home, RUN)
    write_chain(home, RUN.id, chain(600))
    async with screen() as pilot:
        await wait_for(pilot, lambda: pilot.app.screen.query_one(RunsPane).selected)
        pilot.app.screen.post_message(ShowAuditEntry(RUN.id, 200))
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, AuditScreen))
        await sees(pilot, "line 196")
        await wait_for(pilot, lambda: getattr(pilot.app.screen.view.current, "seq", 0) == 200)


@SIZES
async def test_the_chains_of_all_runs(screen, home, face, size):
    for run in (RUN, OTHER):
        write_run(home, run)
        path = write_chain(home, run.id, chain())
    tamper(path, "DELETE FROM entries WHERE seq = 4")
    async with screen(size) as pilot:
        here = await open_audit(pilot)
        await sees(pilot, "✓ INTACT")
        await pilot.press("c")
        await sees(pilot, "older", "· not verified")
        await pilot.press("V")
        await sees(pilot, "✗ TAMPERED", "✓ INTACT")
        await pilot.press("j")
        await wait_for(pilot, lambda: here._chain_table.current_key == OTHER.id)
        await pilot.press("enter")
        await sees(pilot, "Audit of older", "First broken entry")
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


@SIZES
async def test_missing_runs_stand_among_the_chains(screen, home, face, size):
    for run in (RUN, OTHER):
        write_run(home, run)
        write_chain(home, run.id, chain())
    gone = RunAudit("run_0f0f0f0f0f0f", "TRUNCATED", False, entries=1200, why="its directory was removed")
    face.installation = InstallationAudit((gone,), fault="event 3 is missing")
    async with screen(size) as pilot:
        here = await open_audit(pilot)
        await sees(pilot, "✓ INTACT")
        await pilot.press("c")
        await sees(pilot, "older", "heads/", "✗ TAMPERED", "run_0f0f0f0f0f0f", "✗ MISSING", "1,200")
        await pilot.press("end")
        await wait_for(pilot, lambda: here._chain_table.current_key == gone.run)
        await pilot.press("enter")
        await sees(pilot, "This run is missing.", "its directory was removed")
        await pilot.press("escape", "up", "enter")
        await sees(pilot, "The installation's log does not hold.", "event 3 is missing")
        await pilot.press("escape")
        face.installation = InstallationAudit((gone, RunAudit(OTHER.id, "TRUNCATED", False)))
        shutil.rmtree(home.run(OTHER.id))
        await sees(pilot, OTHER.id)  # looked for again, because a run is gone
        assert "heads/" not in screen_text(pilot)


async def test_a_run_that_is_taken_away_raises_an_alarm_on_every_pane(screen, home, face, monkeypatch):
    monkeypatch.setattr(watch, "INSTALLATION_EVERY", 0.2)
    write_run(home, RUN)
    write_chain(home, RUN.id, chain())
    before = RunAudit("run_0f0f0f0f0f0f", "TRUNCATED", False)
    face.installation = InstallationAudit((before,))
    async with screen() as pilot:
        await sees(pilot, "✓ INTACT", "none set up")
        assert "RUN MISSING" not in screen_text(pilot)
        face.installation = InstallationAudit((before, RunAudit(OTHER.id, "TRUNCATED", False)))
        for key in "1234":
            await pilot.press(key)
            await sees(pilot, f"✗ RUN MISSING: {OTHER.id}")
        face.installation = InstallationAudit((before,))
        await wait_for(pilot, lambda: "RUN MISSING" not in screen_text(pilot))


async def test_verifying_has_a_bar_and_can_be_cancelled(screen, home, face):
    write_run(home, RUN)
    write_chain(home, RUN.id, chain())
    async with screen() as pilot:
        here = await open_audit(pilot)
        await sees(pilot, "✓ INTACT")
        face.hold = lambda run_id: True
        await pilot.press("v")
        await sees(pilot, "◌ verifying", " 45%  450 of 1,000 entries", "Esc cancels")
        await pilot.press("escape")
        await sees(pilot, "Verifying was cancelled")
        assert pilot.app.screen is here
        assert "◌ verifying" not in screen_text(pilot)
        await wait_for(pilot, lambda: "✓ INTACT" in screen_text(pilot))


async def test_a_bundle_is_exported_privately_and_never_over_another_file(screen, home, tmp_path):
    write_run(home, RUN)
    write_chain(home, RUN.id, chain())
    target = tmp_path / "proof.json"
    target.write_text("mine")
    async with screen((80, 24)) as pilot:
        await open_audit(pilot)
        await sees(pilot, "✓ INTACT")
        await pilot.press("x")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, FilePathDialog))
        given = pilot.app.screen.query_one("#path")
        assert given.value == "review-proof.json"
        given.value = str(target)
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, FilePathDialog))
        assert target.read_text() == "mine"
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("y")
        await sees(pilot, "Proof bundle written")
        assert json.loads(target.read_text())["version"] == 1
        assert os.stat(target).st_mode & 0o777 == 0o600
        assert sorted(os.listdir(tmp_path)) == ["home", "proof.json"]
        await pilot.press("f")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, FilePathDialog))
        pilot.app.screen.query_one("#path").value = str(target)
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ReportDialog))
        await sees(pilot, "✓ INTACT", "11 entries")
        await pilot.press("escape", "f")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, FilePathDialog))
        pilot.app.screen.query_one("#path").value = str(tmp_path / "missing")
        await pilot.press("enter")
        await sees(pilot, "The file was not verified")


async def test_a_dossier_is_written_beside_its_run(screen, home, tmp_path):
    write_run(home, RUN)
    write_chain(home, RUN.id, chain())
    target = tmp_path / "dossier.html"
    async with screen((80, 24)) as pilot:
        await open_audit(pilot)
        await sees(pilot, "✓ INTACT")
        await pilot.press("d")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, FilePathDialog))
        given = pilot.app.screen.query_one("#path")
        assert given.value == "review-dossier.html"
        given.value = str(target)
        await pilot.press("enter")
        await sees(pilot, "Dossier written")
        assert "<title>Dossier of review</title>" in target.read_text()
        assert os.stat(target).st_mode & 0o777 == 0o600


async def test_a_log_that_goes_away_is_said_and_comes_back(screen, home):
    write_run(home, RUN)
    write_chain(home, RUN.id, chain())
    async with screen() as pilot:
        await open_audit(pilot)
        await sees(pilot, "line 7")
        kept = home.root.with_name("kept")
        shutil.move(home.run(RUN.id), kept)
        await sees(pilot, "✗ this run is gone", "✗ the log cannot be read")
        shutil.move(kept, home.run(RUN.id))
        await sees(pilot, "line 7")
        await wait_for(pilot, lambda: "gone" not in screen_text(pilot))


async def test_a_log_that_is_truncated_while_it_is_watched(screen, home):
    write_run(home, RUN)
    path = write_chain(home, RUN.id, chain(400))
    whole = path.read_bytes()
    async with screen() as pilot:
        await open_audit(pilot)
        await sees(pilot, "line 399")
        path.write_bytes(whole[: len(whole) // 2])
        await sees(pilot, "✗ TAMPERED")
        path.write_bytes(b"")
        await sees(pilot, "✗ the log cannot be read")
        path.write_bytes(whole)
        await sees(pilot, "line 399", "✓ INTACT")


async def test_a_log_that_changes_while_another_run_is_selected(screen, home):
    write_run(home, RUN)
    write_run(home, OTHER)
    path = write_chain(home, OTHER.id, chain(400))
    async with screen((80, 24), run_id=RUN.id) as pilot:
        await wait_for(pilot, lambda: pilot.app.screen.query_one(RunsPane).selected)
        pilot.app.screen.post_message(ShowAuditEntry(OTHER.id))
        await sees(pilot, "line 399", "✓ INTACT")
        path.write_bytes(path.read_bytes()[:8192])
        await sees(pilot, "✗ TAMPERED")


@SIZES
async def test_a_broken_chain_of_a_live_run_is_seen_from_every_pane(screen, home, face, size):
    live = msgspec.structs.replace(OTHER, state=RunState.RUNNING, exit_code=None)
    write_run(home, RUN)
    write_run(home, live)
    write_chain(home, RUN.id, chain())
    path = write_chain(home, live.id, chain())
    async with screen(size, run_id=RUN.id) as pilot:
        await sees(pilot, "✓ INTACT") if size[0] > 80 else await sees(pilot, "review")
        tamper(path, "UPDATE entries SET ts = '2020-01-01T00:00:00Z' WHERE seq = 2")
        await sees(pilot, "✗ AUDIT CHAIN BROKEN: older", "Audit chain broken")
        for key in "1234":
            await pilot.press(key)
            await sees(pilot, "✗ AUDIT CHAIN BROKEN: older")
        write_run(home, OTHER)
        await wait_for(pilot, lambda: "AUDIT CHAIN BROKEN" not in screen_text(pilot))
