"""The line of keys is what can be pressed here, and is made anew only for that."""

from __future__ import annotations

import pytest
from support.waiting import screen_text, wait_for

from moat_tui.screen.widgets.key_footer import KeyFooter


@pytest.fixture
def made(monkeypatch):
    """How often a line was made."""
    count = []
    compose = KeyFooter.compose

    def counted(self):
        if self._bindings_ready:
            count.append(self)
        return compose(self)

    monkeypatch.setattr(KeyFooter, "compose", counted)
    return count


async def test_it_follows_the_keys_and_nothing_else(screen, made, quick_keys):
    async with screen() as pilot:
        await wait_for(pilot, lambda: "Start" in screen_text(pilot).splitlines()[-1])
        before = len(made)
        for _ in range(5):
            pilot.app.screen.refresh_bindings()
            await pilot.pause(0)
        assert len(made) == before
        await pilot.press("3")
        await wait_for(pilot, lambda: "Revoke" in screen_text(pilot).splitlines()[-1])
        assert len(made) > before
        await pilot.press("1")
        await wait_for(pilot, lambda: "Start" in screen_text(pilot).splitlines()[-1])
