"""Screens on their way out: what still waits for them, and a second asking to leave."""

from __future__ import annotations

import pytest
from support.waiting import wait_for

from moat_tui.screen.dialogs.form import FormDialog
from moat_tui.screen.dialogs.help import HelpDialog
from moat_tui.screen.doctor_screen import DoctorScreen
from moat_tui.screen.main_screen import MainScreen

KINDS = pytest.mark.parametrize(
    ("opens", "kind", "waits"),
    [("a", FormDialog, "_fit"), ("question_mark", HelpDialog, "_lay_out"), ("D", DoctorScreen, "_draw")],
)


async def opened(pilot, key, kind):
    await pilot.press(key)
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, kind))
    return pilot.app.screen


@KINDS
async def test_what_waited_for_its_next_refresh_meets_a_screen_without_its_parts(screen, opens, kind, waits):
    async with screen((80, 24)) as pilot:
        left = await opened(pilot, opens, kind)
        await left.dismiss()
        assert not left.children
        getattr(left, waits)()


@KINDS
async def test_a_screen_is_left_once(screen, opens, kind, waits):
    async with screen((80, 24)) as pilot:
        left = await opened(pilot, opens, kind)
        left.dismiss()
        left.dismiss()
        await wait_for(pilot, lambda: not left.is_attached)
        assert isinstance(pilot.app.screen, MainScreen)


async def test_what_stands_above_a_screen_goes_with_it(screen):
    async with screen((80, 24)) as pilot:
        left = await opened(pilot, "a", FormDialog)
        above = HelpDialog(left)
        await pilot.app.push_screen(above)
        left.dismiss()
        await wait_for(pilot, lambda: not left.is_attached and not above.is_attached)
        assert isinstance(pilot.app.screen, MainScreen)
