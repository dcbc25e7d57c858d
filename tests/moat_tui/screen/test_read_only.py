"""Read-only: whatever is pressed, nothing that changes anything is called."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from support.screen_home import ago, request, write_requests, write_run
from support.waiting import screen_text, wait_for
from textual.binding import Binding

from engine import GrantInfo, MoatError, RunInfo, RunState
from moat_tui.screen.commands import HERE
from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.keymap import all_places
from moat_tui.screen.main_screen import MainScreen
from moat_tui.screen.read_only import CHANGING_ACTIONS, READING, read_only
from moat_tui.screen.settings import Settings

LIVE = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING, grants=("github",))
ENDED = RunInfo("run_bbbb2222", "done", ago(minutes=9), RunState.EXITED, exit_code=0)
CHANGING = {
    "start",
    "stop",
    "reap",
    "answer_approval",
    "watch_approvals",
    "destroy",
    "rename",
    "snapshot",
    "save",
    "revoke",
    "remember_theme",
    "validate",
    "find_token",
}


@pytest.fixture
def filled(home, face):
    for run in (LIVE, ENDED):
        write_run(home, run)
        write_requests(home, run.id, request(1))
    face.stored = [GrantInfo("github")]
    return face


async def test_every_key_of_every_pane_changes_nothing(screen, filled, quick_keys):
    keys = sorted({key for place in all_places() for keys in place.values() for key in keys})
    keys = [key for key in keys if key not in ("q", "ctrl+q", "ctrl+c")]  # leaving
    async with screen(read_only=True) as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot) and "1 grant" in screen_text(pilot))
        await wait_for(pilot, lambda: "read-only" in screen_text(pilot))
        for pane in ("#runs", "#requests", "#grants", "#audit"):
            for key in keys:
                while not isinstance(pilot.app.screen, MainScreen):
                    pilot.app.pop_screen()
                    await pilot.pause(0)
                pilot.app.screen.query_one(pane).focus_main()
                await pilot.press(key)
        await pilot.pause(0.3)  # what the last keys have begun, on threads of its own
        assert not {str(call[0]) for call in filled.calls} & CHANGING
        assert pilot.app.is_running


@pytest.mark.parametrize("given", [{"read_only": True}, {"settings": Settings(read_only=True)}])
async def test_changing_actions_are_greyed_and_left_out_of_the_palette(screen, filled, given):
    async with screen((80, 24), **given) as pilot:
        await wait_for(pilot, lambda: "read-only" in screen_text(pilot) and "● running" in screen_text(pilot))
        for action in CHANGING_ACTIONS:
            assert pilot.app.screen.check_action(action, ()) is None, action
        assert pilot.app.screen.check_action("open_output", ()) is True


def test_every_call_of_the_face_is_either_reading_or_refused(face):
    names = {name for name, value in vars(EngineFace).items() if inspect.isfunction(value)} - {"__init__"}
    names = {name for name in names if not name.startswith("_")}
    locked = read_only(face)
    for name in names - READING:
        with pytest.raises(MoatError):
            getattr(locked, name)("x")
    assert not READING & CHANGING
    assert names >= CHANGING


def test_every_action_that_is_locked_exists():
    package = importlib.import_module("moat_tui.screen")
    modules = pkgutil.walk_packages(package.__path__, "moat_tui.screen.")
    places = [value for found in modules for value in vars(importlib.import_module(found.name)).values()]
    bindings = [
        binding
        for place in places
        if isinstance(place, type)
        for binding in vars(place).get("BINDINGS", ())
        if isinstance(binding, Binding)
    ]
    named = [binding.action for binding in bindings] + [entry.action for _, here in HERE for entry in here]
    actions = {action.removeprefix("screen.").partition("(")[0] for action in named}
    assert actions >= CHANGING_ACTIONS
