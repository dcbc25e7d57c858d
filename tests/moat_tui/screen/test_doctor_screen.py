"""The doctor as a screen: what is wrong, mending it after asking, and checking again."""

from __future__ import annotations

import asyncio

import pytest
from support.screen_home import ago, write_run
from support.waiting import screen_text, wait_for

from engine import CheckResult, CheckState, MoatError, RunInfo, RunState
from moat_tui.screen.dialogs.confirm import ConfirmDialog
from moat_tui.screen.doctor_screen import DoctorScreen
from moat_tui.screen.main_screen import MainScreen

OK = CheckResult("python", "Python", CheckState.OK, "3.13.1")
FAIL = CheckResult(
    "docker", "Docker engine", CheckState.FAIL, "nobody answers", "Start the daemon.", fixable=True
)
WELL = CheckResult("docker", "Docker engine", CheckState.OK, "28.3")


async def open_doctor(pilot) -> None:
    await pilot.press("D")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, DoctorScreen))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_is_wrong_is_shown_and_mended(screen, face, size):
    face.checked = [OK, FAIL]
    async with screen(size) as pilot:
        await open_doctor(pilot)
        for part in (
            "✗ FAIL",
            "nobody answers",
            "F does this: Start the daemon.",
            "✗ not ready: Docker engine",
        ):
            await wait_for(pilot, lambda part=part: part in screen_text(pilot))
        await pilot.press("F")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        assert pilot.app.focused.id == "no"
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, DoctorScreen))
        assert not face.called("fix")
        face.fixes = ["installing docker.io", "starting the [bold]daemon\x1b[2J"]
        face.gate["fix"] = asyncio.Event()
        await pilot.press("F", "y")
        await wait_for(pilot, lambda: "▸ starting the [bold]daemon␛[2J" in screen_text(pilot))
        await wait_for(pilot, lambda: "mending…" in screen_text(pilot))
        face.checked = [OK, WELL]
        face.gate["fix"].set()
        await wait_for(pilot, lambda: "✓ ready   all is well" in screen_text(pilot))
        await wait_for(pilot, lambda: "installing docker.io" in screen_text(pilot))


async def test_leaving_while_it_mends_asks(screen, face):
    face.checked = [FAIL]
    face.gate["fix"] = asyncio.Event()
    async with screen() as pilot:
        await open_doctor(pilot)
        await wait_for(pilot, lambda: "✗ FAIL" in screen_text(pilot))
        await pilot.press("F", "y")
        await wait_for(pilot, lambda: "mending…" in screen_text(pilot))
        await pilot.press("escape")
        await wait_for(pilot, lambda: "Stop mending?" in screen_text(pilot))
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, DoctorScreen))
        await pilot.press("escape")
        await wait_for(pilot, lambda: "Stop mending?" in screen_text(pilot))
        await pilot.press("y")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


async def test_the_head_of_the_screen_says_it_until_it_is_well(screen, face, home):
    write_run(home, RunInfo("run_a1", "review", ago(minutes=1), RunState.RUNNING))
    face.checked = [FAIL]
    async with screen() as pilot:
        await open_doctor(pilot)
        await wait_for(pilot, lambda: "✗ FAIL" in screen_text(pilot))
        await pilot.press("escape")
        await wait_for(pilot, lambda: "! doctor: 1 check to look at (D)" in screen_text(pilot))
        face.checked = [WELL]
        await open_doctor(pilot)
        await wait_for(pilot, lambda: "✓ ready" in screen_text(pilot))
        await pilot.press("escape")
        await wait_for(pilot, lambda: "doctor:" not in screen_text(pilot))


async def test_a_check_that_fails_itself_is_said_and_can_be_repeated(screen, face):
    face.checked = [WELL]
    face.errors["checks"] = [MoatError("the home is a symbolic link", remedy="Move it.")]
    async with screen() as pilot:
        await open_doctor(pilot)
        await wait_for(pilot, lambda: "the home is a symbolic link" in screen_text(pilot))
        await pilot.press("r")
        await wait_for(pilot, lambda: "✓ ready" in screen_text(pilot))
