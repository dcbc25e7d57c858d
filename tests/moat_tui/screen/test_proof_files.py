"""Where a proof bundle is written, and names that complete themselves."""

from __future__ import annotations

import asyncio
import os

import pytest
from support.screen_home import ago, write_run
from support.waiting import screen_text, wait_for
from textual.widgets import Input

from engine import RunInfo, RunState
from moat_tui.screen.named_files import completed
from moat_tui.screen.proof_files import default_name, write_whole

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.EXITED, exit_code=0)


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("swift-otter", "swift-otter-proof.json"),
        ("../../etc/passwd", "etc-passwd-proof.json"),
        ("a\x1b[2J b", "a-2J-b-proof.json"),
        ("…", "run-proof.json"),
    ],
)
def test_a_runs_name_stays_a_file_name(run, name):
    assert default_name(run) == name


def test_a_file_is_private_and_whole_and_replaces_only_when_told(tmp_path):
    path = tmp_path / "proof.json"
    write_whole(path, b"one", replace=False)
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_whole(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    write_whole(path, b"two", replace=True)
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["proof.json"]


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path):
    path = tmp_path / "proof.json"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_whole(path, b"one", replace=False)
    assert not (tmp_path / "elsewhere").exists()


def test_names_complete_themselves(tmp_path):
    (tmp_path / "proofs").mkdir()
    (tmp_path / "proofs" / "review.json").touch()
    (tmp_path / ".hidden").touch()
    assert completed(f"{tmp_path}/pr") == f"{tmp_path}/proofs/"
    assert completed(f"{tmp_path}/proofs/") == f"{tmp_path}/proofs/review.json"
    assert completed(f"{tmp_path}/") == f"{tmp_path}/proofs/"
    assert completed(f"{tmp_path}/nothing") is None
    assert completed(f"{tmp_path}/missing/x") is None
    assert completed("") is None


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_an_export_that_takes_long_says_so_and_can_be_given_up(
    screen, home, face, tmp_path, monkeypatch, size
):
    write_run(home, RUN)
    reading = asyncio.Event()

    async def export(run_id):
        await reading.wait()
        return b"{}"

    monkeypatch.setattr(face, "export", export)
    target = tmp_path / "proof.json"
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "✓ exited" in screen_text(pilot))
        await pilot.press("4", "enter")
        await wait_for(pilot, lambda: "Audit of" in screen_text(pilot))
        for last in ("escape", ""):
            await pilot.press("x")
            await wait_for(pilot, lambda: "Export the proof" in screen_text(pilot))
            pilot.app.screen.query_one("#path", Input).value = str(target)
            await pilot.press("enter")
            await wait_for(pilot, lambda: "◌ Reading the whole log…" in screen_text(pilot))
            assert not target.exists()
            if last:
                await pilot.press(last)
                await wait_for(pilot, lambda: "No proof bundle was written." in screen_text(pilot))
            else:
                reading.set()
                await wait_for(pilot, lambda: "Proof bundle written" in screen_text(pilot))
                await wait_for(pilot, lambda: "Reading the whole" not in screen_text(pilot))
        assert target.read_bytes() == b"{}"
