"""From 80 by 24 to 300 by 100, and from one to the other: nothing breaks, and the focus stays in sight."""

from __future__ import annotations

import pytest
from support.screen_home import ago, request, write_requests, write_run
from support.waiting import screen_text, wait_for

from engine import GrantInfo, RunInfo, RunState

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING, grants=("github",))
SIZES = [(80, 24), (99, 31), (100, 32), (120, 40), (170, 50), (200, 60), (300, 100)]


@pytest.mark.parametrize("size", SIZES)
async def test_every_size_shows_the_run_its_requests_and_all_of_the_footer(screen, home, face, size):
    face.stored = [GrantInfo("github")]
    write_run(home, RUN)
    write_requests(home, RUN.id, *(request(number) for number in range(1, 4)))
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot) and "83ms" in screen_text(pilot))
        await wait_for(pilot, lambda: "? Help" in screen_text(pilot).splitlines()[-1])
        assert len(screen_text(pilot).splitlines()) == size[1]
        shown = [pane for pane in pilot.app.screen.query("Pane") if pane.display]
        assert len(shown) == (2 if size[0] < 100 else 4)
        assert all(pane.region.width >= 40 and pane.region.height >= 7 for pane in shown)


async def test_the_terminal_changes_its_size_under_the_work(screen, home, face):
    face.stored = [GrantInfo("github")]
    write_run(home, RUN)
    async with screen((200, 60)) as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot) and "✓ valid" in screen_text(pilot))
        await pilot.press("3")
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "grants-table")
        for size in ((80, 24), (20, 5), (300, 100), (80, 24)):
            await pilot.resize_terminal(*size)
            await wait_for(pilot, lambda size=size: len(screen_text(pilot).splitlines()) == size[1])
        await wait_for(pilot, lambda: "✓ valid" in screen_text(pilot))
        assert pilot.app.focused.id == "grants-table"
        assert pilot.app.focused.region.height > 0
