"""Adding, showing and revoking grants from the keyboard; the value is never on the screen."""

from __future__ import annotations

import asyncio

import pytest
from support.screen_home import FakeToken
from support.waiting import screen_text, wait_for
from textual import events
from textual.widgets import Input

from engine import GrantInfo, MoatError
from moat_tui.screen.dialogs.add_grant import AddGrantDialog

CANARY = "ghp_canaryCANARY42"


def no_canary_anywhere(pilot) -> None:
    app = pilot.app
    assert CANARY not in app.export_screenshot()
    assert CANARY not in screen_text(pilot)
    for screen in app.screen_stack:
        for node in (app, screen, *screen.query("*")):
            assert CANARY not in repr(node)
            assert CANARY not in str(node.tree) if node is app else True
    assert all(CANARY not in notice.message for notice in app._notifications)


async def choose_github(pilot) -> None:
    await pilot.press("a")
    await wait_for(pilot, lambda: "github.com" in screen_text(pilot))
    await pilot.press(*"git", "enter")
    await wait_for(pilot, lambda: "Add a grant: GitHub" in screen_text(pilot))


async def paste(pilot) -> None:
    box = pilot.app.screen.query_one("#value", Input)
    box.post_message(events.Paste(CANARY))
    await wait_for(pilot, lambda: box.value == CANARY)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_add_by_keyboard_with_hidden_input(screen, face, size):
    async with screen(size) as pilot:
        await choose_github(pilot)
        await wait_for(pilot, lambda: "None in GITHUB_TOKEN" in screen_text(pilot))
        await pilot.press(*CANARY)
        no_canary_anywhere(pilot)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "github is granted as octocat." in screen_text(pilot))
        no_canary_anywhere(pilot)
        assert face.called("validate") == [("github", CANARY)]
        assert face.called("save") == [("github", CANARY, "prompt", "octocat")]
        await wait_for(pilot, lambda: "3 Grants · 1" in screen_text(pilot) or size[0] == 80)


async def test_a_token_found_on_this_machine_is_offered(screen, face):
    face.tokens["github"] = FakeToken(CANARY, "gh auth token")
    async with screen() as pilot:
        await choose_github(pilot)
        await wait_for(pilot, lambda: "Found in gh auth token" in screen_text(pilot))
        no_canary_anywhere(pilot)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "github is granted" in screen_text(pilot))
        assert face.called("save") == [("github", CANARY, "gh auth token", "octocat")]


async def test_a_typed_value_wins_over_the_found_one(screen, face):
    face.tokens["github"] = FakeToken("other", "gh auth token")
    async with screen() as pilot:
        await choose_github(pilot)
        await wait_for(pilot, lambda: "Found in" in screen_text(pilot))
        await paste(pilot)
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: face.called("save") == [("github", CANARY, "prompt", "octocat")])


async def test_the_check_can_be_left_out(screen, face):
    async with screen() as pilot:
        await choose_github(pilot)
        await paste(pilot)
        await pilot.press("ctrl+o", "enter")
        await wait_for(pilot, lambda: face.called("save") == [("github", CANARY, "prompt", "")])
        assert face.called("validate") == []


async def test_a_refused_value_stays_for_correction(screen, face):
    face.errors["validate"] = [MoatError("api.github.com does not take it (401)", remedy="Make a new token.")]
    async with screen() as pilot:
        await choose_github(pilot)
        await paste(pilot)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "does not take it (401)" in screen_text(pilot))
        await wait_for(pilot, lambda: "Make a new token." in screen_text(pilot))
        no_canary_anywhere(pilot)
        assert face.called("save") == []
        assert pilot.app.screen.query_one("#value", Input).value == CANARY
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(face.called("save")) == 1)


async def test_an_unexpected_failure_shows_no_value(screen, face):
    face.errors["save"] = [RuntimeError(f"could not write {CANARY}")]
    async with screen() as pilot:
        await choose_github(pilot)
        await paste(pilot)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "unexpected RuntimeError" in screen_text(pilot))
        no_canary_anywhere(pilot)


async def test_progress_is_shown_and_escape_gives_up(screen, face):
    face.gate["validate"] = asyncio.Event()
    async with screen() as pilot:
        await choose_github(pilot)
        await paste(pilot)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Asking api.github.com" in screen_text(pilot))
        await pilot.press("escape")
        await wait_for(pilot, lambda: "Not saved." in screen_text(pilot))
        face.gate["validate"].set()
        await pilot.pause()
        assert face.called("save") == []
        await pilot.press("escape")
        await wait_for(pilot, lambda: "Which service?" in screen_text(pilot))
        assert not pilot.app.screen.query("#value")
        await pilot.press("escape")
        await wait_for(pilot, lambda: not isinstance(pilot.app.screen, AddGrantDialog))


async def test_an_empty_value_is_not_saved(screen, face):
    async with screen() as pilot:
        await choose_github(pilot)
        await wait_for(pilot, lambda: "None in" in screen_text(pilot))
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Paste the value first." in screen_text(pilot))
        assert face.called("save") == []


async def test_show_tells_what_is_stored(screen, face):
    face.stored = [
        GrantInfo(
            "github",
            title="GitHub",
            hosts=("api.github.com",),
            account="dana",
            env={"GH_TOKEN": "placeholder"},
        )
    ]
    async with screen() as pilot:
        await wait_for(pilot, lambda: "3 Grants · 1" in screen_text(pilot))
        await pilot.press("3", "enter")
        await wait_for(
            pilot, lambda: "GH_TOKEN=placeholder" in screen_text(pilot) and "dana" in screen_text(pilot)
        )


@pytest.mark.parametrize("answer", ["enter", "escape", "n"])
async def test_revoke_asks_and_no_is_the_default(screen, face, answer):
    face.stored = [GrantInfo("github", profile="work")]
    async with screen() as pilot:
        await wait_for(pilot, lambda: "github (" in screen_text(pilot))
        await pilot.press("3", "d")
        await wait_for(pilot, lambda: "Revoke github (work)?" in screen_text(pilot))
        assert pilot.app.focused.id == "no"
        await pilot.press(answer)
        await wait_for(pilot, lambda: "Revoke github (work)?" not in screen_text(pilot))
        assert face.called("revoke") == []


async def test_revoke_after_yes(screen, face):
    face.stored = [GrantInfo("github", profile="work"), GrantInfo("openai")]
    async with screen() as pilot:
        await wait_for(pilot, lambda: "3 Grants · 2" in screen_text(pilot))
        await pilot.press("3", "d")
        await wait_for(pilot, lambda: "Revoke github (work)?" in screen_text(pilot))
        await pilot.press("y")
        await wait_for(pilot, lambda: face.called("revoke") == [("github", "work")])
        await wait_for(pilot, lambda: "3 Grants · 1" in screen_text(pilot))


async def test_a_failed_revoke_is_said_and_the_screen_lives(screen, face):
    face.stored = [GrantInfo("github")]
    face.errors["revoke"] = [MoatError("the keychain is locked [b]x[/b]", remedy="Unlock it.")]
    async with screen() as pilot:
        await wait_for(pilot, lambda: "3 Grants · 1" in screen_text(pilot))
        await pilot.press("3", "d")
        await wait_for(pilot, lambda: "Revoke github?" in screen_text(pilot))
        await pilot.press("y")
        await wait_for(pilot, lambda: "the keychain is locked [b]x[/b]" in screen_text(pilot))
        await wait_for(pilot, lambda: "Unlock it." in screen_text(pilot))
        await pilot.press("1")
        await wait_for(pilot, lambda: pilot.app.focused.id == "runs-table")
