"""Starting again, renaming, destroying, and opening the workspace of a run."""

from __future__ import annotations

import pytest
from support.screen_home import ago, request, write_requests, write_run
from support.waiting import screen_text, wait_for
from textual.widgets import Input

from engine import MoatError, RunInfo, RunState
from moat_tui.screen import desktop
from moat_tui.screen.dialogs.rename import RenameDialog
from moat_tui.screen.dialogs.start_run import StartRunDialog
from moat_tui.screen.panes.runs import RunsPane

LIVE = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING, workspace="/w")
ENDED = RunInfo(
    "run_bbbb2222",
    "done",
    ago(hours=1),
    RunState.EXITED,
    exit_code=3,
    command=("sh", "-c", "true"),
    image="busybox",
    policy="strict",
    sandbox="standard",
    profile="",
    ended_at=ago(minutes=50),
)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_row_tells_code_duration_and_activity(screen, home, size):
    write_run(home, LIVE)
    write_run(home, ENDED)
    write_requests(home, LIVE.id, *(request(570 + 2 * number) for number in range(12)))
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "✗ exited 3" in screen_text(pilot) and "10m00s" in screen_text(pilot))
        await wait_for(pilot, lambda: "·█▆" in screen_text(pilot) or "█" in screen_text(pilot))
        await wait_for(pilot, lambda: "4m00s" in screen_text(pilot))


async def test_what_needs_an_ended_run_is_greyed_while_it_is_live(screen, home):
    write_run(home, LIVE)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        main = pilot.app.screen
        assert main.check_action("destroy_run", ()) is None
        assert main.check_action("rename_run", ()) is True
        assert main.check_action("start_again", ()) is True
        await pilot.press("d")
        assert pilot.app.screen is main


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_start_again_opens_the_form_filled_in(screen, home, face, tmp_path, size):
    import msgspec

    write_run(home, msgspec.structs.replace(ENDED, workspace=str(tmp_path)))
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "✗ exited 3" in screen_text(pilot))
        await pilot.press("r")
        await wait_for(
            pilot, lambda: isinstance(pilot.app.screen, StartRunDialog) and "Workspace" in screen_text(pilot)
        )
        assert pilot.app.screen.query_one("#command", Input).value == "sh -c true"
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        asked = face.called("start")[0][0]
        assert (asked.workspace, asked.command, asked.image) == (
            str(tmp_path),
            ("sh", "-c", "true"),
            "busybox",
        )
        assert (asked.policy, asked.sandbox) == ("strict", False)


async def test_rename(screen, home, face):
    write_run(home, ENDED)
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: "✗ exited 3" in screen_text(pilot))
        await pilot.press("n")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, RenameDialog))
        box = pilot.app.screen.query_one("#new-name", Input)
        box.value = "../up"
        await pilot.press("enter")
        await wait_for(pilot, lambda: "not a name for a run" in screen_text(pilot))
        box.value = "better"
        await pilot.press("enter")
        await wait_for(pilot, lambda: "done is now better." in screen_text(pilot))
        await wait_for(pilot, lambda: "better " in screen_text(pilot))
        assert face.called("rename") == [(ENDED.id, "../up"), (ENDED.id, "better")]


async def test_a_snapshot_of_the_runs_workspace(screen, home, face, tmp_path):
    import msgspec

    workspace = tmp_path / "ws"
    workspace.mkdir()
    (workspace / "a.txt").write_text("a")
    write_run(home, msgspec.structs.replace(ENDED, workspace=str(workspace)))
    async with screen() as pilot:
        await wait_for(pilot, lambda: "✗ exited 3" in screen_text(pilot))
        await pilot.app.run_action("screen.snapshot_run")
        await wait_for(pilot, lambda: "Snapshot s1 of done" in screen_text(pilot))
        workspace.rename(tmp_path / "moved")
        await pilot.app.run_action("screen.snapshot_run")
        await wait_for(pilot, lambda: "No snapshot of done was made" in screen_text(pilot))
    assert len(list((home.snapshots).glob("*/run_bbbb2222/s1.json"))) == 1


@pytest.mark.parametrize("answer", ["enter", "escape", "n"])
async def test_destroy_asks_and_no_is_the_default(screen, home, face, answer):
    write_run(home, ENDED)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "✗ exited 3" in screen_text(pilot))
        await pilot.press("d")
        await wait_for(pilot, lambda: "Destroy done?" in screen_text(pilot))
        assert pilot.app.focused.id == "no"
        await pilot.press(answer)
        await wait_for(pilot, lambda: "Destroy done?" not in screen_text(pilot))
        assert face.called("destroy") == []


async def test_destroy_after_yes_and_a_failure_is_said(screen, home, face):
    write_run(home, ENDED)
    face.errors["destroy"] = [MoatError("the disk says no")]
    async with screen() as pilot:
        await wait_for(pilot, lambda: "✗ exited 3" in screen_text(pilot))
        for said in ("the disk says no", "done is destroyed."):
            await pilot.press("d")
            await wait_for(pilot, lambda: "Destroy done?" in screen_text(pilot))
            await pilot.press("y")
            await wait_for(pilot, lambda said=said: said in screen_text(pilot))
        await wait_for(pilot, lambda: "✗ exited 3" not in screen_text(pilot))


async def test_without_a_desktop_the_path_is_copied(screen, home, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    write_run(home, LIVE)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await pilot.press("w")
        await wait_for(pilot, lambda: "Copied /w" in screen_text(pilot))
        assert pilot.app.clipboard == "/w"


def test_the_opener(monkeypatch):
    monkeypatch.setattr(desktop.shutil, "which", lambda name: f"/bin/{name}")
    assert desktop.opener({"DISPLAY": ":0"}, "linux") == "/bin/xdg-open"
    assert desktop.opener({}, "linux") == ""
    assert desktop.opener({}, "darwin") == "/bin/open"
    assert desktop.opener({"DISPLAY": ":0", "SSH_CONNECTION": "x"}, "linux") == ""


def test_opening_never_raises(tmp_path):
    assert desktop.open_directory("/bin/true", str(tmp_path))
    assert not desktop.open_directory("/bin/false", str(tmp_path))
    assert not desktop.open_directory("/no/such/program", str(tmp_path))
    assert not desktop.open_directory("/bin/true", "relative")
    assert not desktop.open_directory("/bin/true", str(tmp_path / "gone"))


async def test_a_key_in_one_burst_with_a_move_means_the_row_that_is_marked(screen, home):
    """`j` and `x` pasted or typed fast: the move's message is still on its way when the action looks."""
    write_run(home, LIVE)
    write_run(home, ENDED)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "✗ exited 3" in screen_text(pilot))
        runs = pilot.app.screen.query_one(RunsPane)
        assert runs.current == LIVE
        runs.table.action_cursor_down()
        assert runs.current == ENDED
        runs.table.action_cursor_up()
        assert runs.current == LIVE
