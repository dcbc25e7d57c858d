"""The very first start, the window's title, replacing a grant and choosing its profile."""

from __future__ import annotations

import threading

import pytest
from support.screen_home import ago, write_run
from support.waiting import screen_text, wait_for
from textual.widgets import Input

from engine import GrantInfo, RunInfo, RunState
from moat_tui.screen.dialogs.add_grant import AddGrantDialog

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING, grants=("github",))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_it_leads_to_a_grant_and_goes_away_by_itself(screen, face, size):
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "Welcome to Moat" in screen_text(pilot))
        assert "1 Runs" not in screen_text(pilot)
        await pilot.press("a")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, AddGrantDialog))
        await pilot.press("escape")
        face.stored = [GrantInfo("github")]
        pilot.app.screen._reader.refresh()
        await wait_for(pilot, lambda: "1 Runs" in screen_text(pilot))
        assert "Welcome to Moat" not in screen_text(pilot)


async def test_the_first_picture_is_the_welcome_and_never_empty_panes(screen, face, home, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(face, "runs", lambda: go_on.wait(20) and [])
    async with screen((80, 24)) as pilot:
        try:
            await wait_for(pilot, lambda: "Welcome to Moat" in screen_text(pilot))
            assert "1 Runs" not in screen_text(pilot)
        finally:
            go_on.set()
        await wait_for(pilot, lambda: "0 runs" in screen_text(pilot))
        await wait_for(pilot, lambda: "Help" in screen_text(pilot).splitlines()[-1])
        assert "Output" not in screen_text(pilot)  # nor the keys of a pane that is not there
    write_run(home, RUN)
    async with screen((80, 24)) as pilot:
        assert "Welcome to Moat" not in screen_text(pilot)
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "runs-table")


async def test_a_pane_can_be_reached_all_the_same(screen):
    async with screen() as pilot:
        await wait_for(pilot, lambda: "Welcome to Moat" in screen_text(pilot))
        await pilot.press("ctrl+t", "2")
        await wait_for(pilot, lambda: "2 Requests" in screen_text(pilot))
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "requests-list")


async def test_the_title_says_how_many_runs_are_live(screen, home, monkeypatch):
    written: list[str] = []
    async with screen() as pilot:
        monkeypatch.setattr(pilot.app._driver, "write", written.append)
        write_run(home, RUN)
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await wait_for(pilot, lambda: any("\x1b]0;Moat · 1 live\x07" in text for text in written))
        assert not any("review" in text for text in written if "\x1b]0;" in text)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_replace_asks_only_for_the_value(screen, face, size):
    face.stored = [GrantInfo("github", "work")]
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "1 grant" in screen_text(pilot))
        await pilot.press("3")
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "grants-table")
        await pilot.press("r")
        await wait_for(pilot, lambda: "Replace a grant: GitHub" in screen_text(pilot))
        assert pilot.app.screen.query_one("#profile", Input).disabled
        pilot.app.screen.query_one("#value", Input).value = "t0ken"
        await pilot.press("ctrl+s")
        await wait_for(
            pilot, lambda: face.called("save") == [("github", "t0ken", "prompt", "octocat", "work")]
        )
        await wait_for(pilot, lambda: "github (work) is granted" in screen_text(pilot))


async def test_a_profile_can_be_named(screen, face):
    async with screen((80, 24)) as pilot:
        await pilot.press("a")
        await wait_for(pilot, lambda: "github.com" in screen_text(pilot))
        await pilot.press(*"git", "enter")
        await wait_for(pilot, lambda: "Add a grant: GitHub" in screen_text(pilot))
        pilot.app.screen.query_one("#value", Input).value = "t0ken"
        pilot.app.screen.query_one("#profile", Input).value = " home "
        await pilot.press("ctrl+s")
        await wait_for(
            pilot, lambda: face.called("save") == [("github", "t0ken", "prompt", "octocat", "home")]
        )


async def test_who_uses_a_grant_now_is_in_its_window(screen, home, face):
    write_run(home, RUN)
    face.stored = [GrantInfo("github")]
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot) and "1 grant" in screen_text(pilot))
        await pilot.press("3")
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "grants-table")
        await pilot.press("enter")
        await wait_for(pilot, lambda: "● review" in screen_text(pilot))
