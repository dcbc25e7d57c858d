"""What waits for the next refresh of a screen may come when that is on its way out and has lost its parts."""

from __future__ import annotations

import pytest
from support.waiting import wait_for

from moat_tui.screen.dialogs.form import FormDialog
from moat_tui.screen.dialogs.help import HelpDialog
from moat_tui.screen.doctor_screen import DoctorScreen


@pytest.mark.parametrize(
    ("opens", "kind", "waits"),
    [("a", FormDialog, "_fit"), ("question_mark", HelpDialog, "_lay_out"), ("D", DoctorScreen, "_draw")],
)
async def test_a_screen_that_was_left_does_nothing_more(screen, opens, kind, waits):
    async with screen((80, 24)) as pilot:
        await pilot.press(opens)
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, kind))
        left = pilot.app.screen
        await left.dismiss()
        assert not left.children
        getattr(left, waits)()
