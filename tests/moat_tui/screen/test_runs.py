"""Starting, stopping, and leaving runs from the keyboard."""

from __future__ import annotations

import asyncio

import pytest
from support.screen_home import ago, write_run
from support.waiting import has_left, screen_text, wait_for
from textual.widgets import Input

from engine import ApprovalNeeded, GrantInfo, MoatError, RunInfo, RunRequest, RunState
from moat_tui.screen.dialogs.leave import LeaveDialog
from moat_tui.screen.dialogs.start_run import StartRunDialog
from moat_tui.screen.panes.runs import RunsPane

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING)


async def open_form(pilot) -> StartRunDialog:
    await pilot.press("s")
    await wait_for(
        pilot, lambda: isinstance(pilot.app.screen, StartRunDialog) and "Workspace" in screen_text(pilot)
    )
    return pilot.app.screen


async def fill(pilot, field: str, text: str) -> None:
    box = pilot.app.screen.query_one(f"#{field}", Input)
    box.focus()
    # Set, not typed: a simulated key takes some 40 ms, and temporary paths are long.
    box.value = text
    await wait_for(pilot, lambda: pilot.app.focused is box)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_start_from_the_form(screen, home, face, tmp_path, size):
    face.stored = [GrantInfo("anthropic"), GrantInfo("github")]
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "2 grants" in screen_text(pilot))
        form = await open_form(pilot)
        await fill(pilot, "workspace", str(tmp_path))
        await fill(pilot, "command", "sh -c 'echo hi'")
        await fill(pilot, "name", "mine")
        form.query_one("#granted").focus()
        await pilot.press("down", "space")
        assert "permissive" not in screen_text(pilot)
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: not isinstance(pilot.app.screen, StartRunDialog))
        assert face.called("start") == [
            (
                RunRequest(
                    workspace=str(tmp_path), command=("sh", "-c", "echo hi"), name="mine", grants=("github",)
                ),
            )
        ]
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        assert pilot.app.screen.query_one(RunsPane).selected == "run_started1"


async def test_policy_and_sandbox_can_be_chosen(screen, face, tmp_path):
    async with screen() as pilot:
        form = await open_form(pilot)
        await fill(pilot, "workspace", str(tmp_path))
        form.query_one("#policy").focus()
        await pilot.press("enter", "down", "down", "enter")
        form.query_one("#sandbox").focus()
        await pilot.press("enter", "down", "enter", "ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        request = face.called("start")[0][0]
        assert (request.policy, request.sandbox) == ("strict", False)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [("workspace", "/no/such/place", "does not exist"), ("command", "sh -c 'oops", "No closing quotation")],
)
async def test_a_wrong_field_is_said_in_place_and_focused(screen, face, tmp_path, field, text, message):
    async with screen((80, 24)) as pilot:
        form = await open_form(pilot)
        await fill(pilot, "workspace", str(tmp_path))
        await fill(pilot, "name", "kept")
        await fill(pilot, field, text)
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: message in " ".join(screen_text(pilot).replace("│", " ").split()))
        assert pilot.app.focused.id == field
        assert form.query_one("#name", Input).value == "kept"
        assert form.query_one(f"#{field}", Input).value == text
        assert face.called("start") == []


async def test_the_engine_s_error_is_said_in_the_form_and_nothing_is_lost(screen, face, tmp_path):
    face.errors["start"] = [MoatError("there is no image [b]x[/b]", remedy="Pull it first.")]
    async with screen((80, 24)) as pilot:
        form = await open_form(pilot)
        await fill(pilot, "workspace", str(tmp_path))
        await fill(pilot, "command", "true")
        await pilot.press("enter")
        await wait_for(pilot, lambda: "there is no image [b]x[/b]" in screen_text(pilot))
        await wait_for(pilot, lambda: "Pull it first." in screen_text(pilot))
        assert form.query_one("#command", Input).value == "true"
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: not isinstance(pilot.app.screen, StartRunDialog))
        assert len(face.called("start")) == 2


async def test_the_form_cannot_start_twice(screen, face, tmp_path):
    face.gate["start"] = asyncio.Event()
    async with screen() as pilot:
        await open_form(pilot)
        await fill(pilot, "workspace", str(tmp_path))
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "Starting" in screen_text(pilot))
        await pilot.press("ctrl+s", "enter")
        face.gate["start"].set()
        await wait_for(pilot, lambda: not isinstance(pilot.app.screen, StartRunDialog))
        assert len(face.called("start")) == 1


ASKS = ("grant github", "mount /etc -> /etc [red]x[/red]\x1b[2J")


def approval() -> ApprovalNeeded:
    return ApprovalNeeded("agent.yaml asks for more", asks=ASKS, remedy="Look at it.")


async def test_approval_lists_what_is_asked_and_no_is_the_default(screen, face, tmp_path):
    face.errors["start"] = [approval()]
    async with screen() as pilot:
        await open_form(pilot)
        await fill(pilot, "workspace", str(tmp_path))
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "• grant github" in screen_text(pilot))
        await wait_for(pilot, lambda: "[red]x[/red]␛[2J" in screen_text(pilot))
        assert pilot.app.focused.id == "no"
        await pilot.press("enter")
        await wait_for(pilot, lambda: "was not allowed" in screen_text(pilot))
        assert len(face.called("start")) == 1


async def test_approval_starts_again_with_what_was_shown(screen, face, tmp_path):
    face.errors["start"] = [approval()]
    async with screen() as pilot:
        await open_form(pilot)
        await fill(pilot, "workspace", str(tmp_path))
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "• grant github" in screen_text(pilot))
        await pilot.press("y")
        await wait_for(pilot, lambda: len(face.called("start")) == 2)
        assert [call[0].accepted for call in face.called("start")] == [(), ASKS]
        assert not any(call[0].accept_config for call in face.called("start"))


async def test_what_changed_while_the_person_was_reading_is_asked_again(screen, face, tmp_path):
    face.errors["start"] = [approval(), ApprovalNeeded("more", asks=("grant aws",), remedy="")]
    async with screen() as pilot:
        await open_form(pilot)
        await fill(pilot, "workspace", str(tmp_path))
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "• grant github" in screen_text(pilot))
        await pilot.press("y")
        await wait_for(pilot, lambda: "• grant aws" in screen_text(pilot))
        assert "• grant github" not in screen_text(pilot)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "was not allowed" in screen_text(pilot))
        assert len(face.called("start")) == 2


async def test_a_run_given_on_the_command_line_is_started_and_selected(screen, home, face):
    write_run(home, RUN)
    async with screen(start=RunRequest(workspace="/w", command=("true",), image="busybox")) as pilot:
        await wait_for(pilot, lambda: pilot.app.screen.query_one(RunsPane).selected == "run_started1")
        await wait_for(pilot, lambda: "started-1" in screen_text(pilot))


async def test_a_failing_start_from_the_command_line_opens_the_form(screen, face, tmp_path):
    face.errors["start"] = [MoatError("no daemon", remedy="Start it.")]
    request = RunRequest(
        workspace=str(tmp_path), command=("echo", "a b"), mounts=("x:/x",), grants=("github",)
    )
    async with screen(start=request) as pilot:
        await wait_for(pilot, lambda: "no daemon" in screen_text(pilot))
        assert pilot.app.screen.query_one("#command", Input).value == "echo 'a b'"
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 2)
        assert face.called("start")[1] == (request,)


@pytest.mark.parametrize("answer", ["enter", "escape", "n"])
async def test_stop_asks_and_no_is_the_default(screen, home, face, answer):
    write_run(home, RUN)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await pilot.press("x")
        await wait_for(pilot, lambda: "Stop review?" in screen_text(pilot))
        assert pilot.app.focused.id == "no"
        await pilot.press(answer)
        await wait_for(pilot, lambda: "Stop review?" not in screen_text(pilot))
        assert face.called("stop") == []


async def test_stop_after_yes_and_a_second_time_kills(screen, home, face):
    write_run(home, RUN)
    face.gate["stop"] = asyncio.Event()
    async with screen() as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await pilot.press("x")
        await wait_for(pilot, lambda: "Stop review?" in screen_text(pilot))
        await pilot.press("y")
        await wait_for(pilot, lambda: face.called("stop") == [(RUN.id, False)])
        await pilot.press("x")
        await wait_for(pilot, lambda: "Kill review?" in screen_text(pilot))
        await pilot.press("y")
        await wait_for(pilot, lambda: face.called("stop") == [(RUN.id, False), (RUN.id, True)])
        face.gate["stop"].set()
        await wait_for(pilot, lambda: "■ stopped" in screen_text(pilot))


async def test_a_failed_stop_is_said(screen, home, face):
    write_run(home, RUN)
    face.errors["stop"] = [MoatError("nobody answers")]
    async with screen() as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await pilot.press("x")
        await wait_for(pilot, lambda: "Stop review?" in screen_text(pilot))
        await pilot.press("y")
        await wait_for(pilot, lambda: "nobody answers" in screen_text(pilot))


async def start_one(pilot, tmp_path) -> None:
    await open_form(pilot)
    await fill(pilot, "workspace", str(tmp_path))
    await pilot.press("ctrl+s")
    await wait_for(pilot, lambda: "started-1" in screen_text(pilot) and "● running" in screen_text(pilot))


async def test_quit_is_silent_when_nothing_was_started_here(screen, home):
    write_run(home, RUN)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await pilot.press("q")
        await has_left(pilot)
        assert pilot.app.return_value == 0


@pytest.mark.parametrize(("key", "stopped"), [("enter", []), ("l", []), ("x", [("run_started1", False)])])
async def test_quit_leaves_runs_running_or_stops_them_as_chosen(screen, face, tmp_path, key, stopped):
    async with screen() as pilot:
        await start_one(pilot, tmp_path)
        await pilot.press("q")
        await wait_for(
            pilot, lambda: isinstance(pilot.app.screen, LeaveDialog) and "still live" in screen_text(pilot)
        )
        assert pilot.app.focused.id == "leave"
        await pilot.press(key)
        await has_left(pilot)
        assert face.called("stop") == stopped


async def test_quit_can_be_taken_back(screen, face, tmp_path):
    async with screen() as pilot:
        await start_one(pilot, tmp_path)
        await pilot.press("q")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, LeaveDialog))
        await pilot.press("escape")
        await wait_for(pilot, lambda: not isinstance(pilot.app.screen, LeaveDialog))
        assert not pilot.app._exit


async def test_a_run_that_cannot_be_stopped_keeps_the_screen_open(screen, face, tmp_path):
    face.errors["stop"] = [MoatError("nobody answers")]
    async with screen() as pilot:
        await start_one(pilot, tmp_path)
        await pilot.press("q")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, LeaveDialog))
        await pilot.press("x")
        await wait_for(pilot, lambda: "nobody answers" in screen_text(pilot))
        assert not pilot.app._exit
