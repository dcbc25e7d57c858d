"""Giving a run less than a whole grant from the start form, and seeing what is left of it."""

from __future__ import annotations

import msgspec
import pytest
from support.screen_home import ago, write_run
from support.waiting import screen_text, wait_for
from textual.widgets import Input, Select

from engine import GrantInfo, GrantUse, RunInfo, RunState
from moat_tui.screen.dialogs.narrow_grant import NarrowGrantDialog
from moat_tui.screen.dialogs.start_run import StartRunDialog


async def open_form(pilot, workspace) -> StartRunDialog:
    await pilot.press("s")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, StartRunDialog))
    await wait_for(pilot, lambda: "Workspace" in screen_text(pilot))
    form = pilot.app.screen
    form.query_one("#workspace", Input).value = str(workspace)
    form.query_one("#granted").focus()
    await wait_for(pilot, lambda: "e Limit" in screen_text(pilot))
    return form


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_scope_and_limits_are_given_by_keyboard(screen, face, tmp_path, size):
    face.stored = [GrantInfo("github", scopes=("ro",)), GrantInfo("openai")]
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "2 grants" in screen_text(pilot))
        form = await open_form(pilot, tmp_path)
        await pilot.press("e")
        await wait_for(pilot, lambda: "Limit github for this run" in screen_text(pilot))
        dialog = pilot.app.screen
        dialog.query_one("#scope", Select).value = "ro"
        dialog.query_one("#max-requests", Input).value = "none"
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "max_requests: expected a whole number" in screen_text(pilot))
        assert pilot.app.focused.id == "max-requests"
        dialog.query_one("#max-requests", Input).value = "100"
        dialog.query_one("#expires-in", Input).value = "1h"
        wanted = "github:ro;max_requests=100;expires_in=1h"
        await wait_for(pilot, lambda: f"-g '{wanted}'" in screen_text(pilot))
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "[x] github:ro        ✓ valid · 100 requests" in screen_text(pilot))
        assert pilot.app.focused is form.query_one("#granted")
        await pilot.press("e")  # it can be changed again
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, NarrowGrantDialog))
        pilot.app.screen.query_one("#max-requests", Input).value = "7"
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "✓ valid · 7 requests" in screen_text(pilot))
        assert "100 requests" not in screen_text(pilot)
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        assert face.called("start")[0][0].grants == ("github:ro;max_requests=7;expires_in=1h",)


async def test_what_has_no_limits_says_so_and_can_be_chosen(screen, face, tmp_path):
    face.stored = [GrantInfo("aws"), GrantInfo("ssh:git.test")]
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: "2 grants" in screen_text(pilot))
        await open_form(pilot, tmp_path)
        await pilot.press("e")
        await wait_for(pilot, lambda: "✗ A role has no scopes and no limits" in screen_text(pilot))
        await pilot.press("space", "down", "e")
        await wait_for(pilot, lambda: "An SSH grant has no scopes" in screen_text(pilot))
        await pilot.press("space", "ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        assert face.called("start")[0][0].grants == ("aws", "ssh:git.test")


async def test_a_run_like_a_limited_one_is_limited_and_what_is_left_is_shown(screen, home, face, tmp_path):
    face.stored = [GrantInfo("github", scopes=("ro",))]
    given = "github:ro;max_requests=100"
    run = RunInfo("run_1", "a", ago(minutes=1), RunState.RUNNING, workspace=str(tmp_path), grants=(given,))
    write_run(home, run)
    home.write(home.run("run_1") / "usage.json", msgspec.json.encode({"github": GrantUse(ago(), 43)}))
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: "github:ro 43 of 100 requests" in screen_text(pilot))
        await pilot.press("3", "enter")
        await wait_for(pilot, lambda: "Limits left  a: github:ro 43 of 100 requests" in screen_text(pilot))
        await pilot.press("escape", "1", "r")
        await wait_for(pilot, lambda: "[x] github:ro        ✓ valid · 100 requests" in screen_text(pilot))
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        assert face.called("start")[0][0].grants == (given,)
