"""config.yaml as the screen takes it: themes, keys, and what is said about mistakes."""

from __future__ import annotations

import re

import pytest
from support.screen_home import ago, write_run
from support.waiting import screen_text, wait_for

from engine import RunInfo, RunState, load_host_config
from moat_tui.screen.engine_face import Engine
from moat_tui.screen.keymap import all_places, usable_keymap
from moat_tui.screen.settings import Settings, load_settings

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING)
PLACES = (
    {"app.quit": ("q",), "run.start": ("s",), "run.stop": ("x",), "table.down": ("down", "j")},
    {"app.quit": ("q",), "output.back": ("escape",), "view.down": ("down", "j")},
)


@pytest.mark.parametrize(
    ("wanted", "usable", "problems"),
    [
        ({"run.stop": "ctrl+x,f9"}, {"run.stop": "ctrl+x,f9"}, []),
        ({"run.stop": "?"}, {"run.stop": "question_mark"}, []),
        ({"run.stop": "s"}, {}, ["run.stop: s is already run.start there"]),
        ({"run.stop": "s", "run.start": "x"}, {"run.stop": "s", "run.start": "x"}, []),
        ({"run.stop": "s", "run.start": "q"}, {}, ["run.start: q is", "run.stop: s is"]),
        ({"run.stop": "f2", "run.start": "f2"}, {"run.start": "f2"}, ["run.stop: f2 is already run.start"]),
        ({"run.stop": "escape"}, {"run.stop": "escape"}, []),  # another place
        ({"run.stpo": "f2"}, {}, ["no action is called run.stpo; did you mean run.stop?"]),
        ({"run.stop": "cntrl+x"}, {}, ["run.stop: no key is called cntrl+x"]),
        ({"run.stop": "ctrl+shift+f5"}, {"run.stop": "ctrl+shift+f5"}, []),
    ],
)
def test_usable_keymap(wanted, usable, problems):
    found, said = usable_keymap(wanted, PLACES)
    assert found == usable
    assert len(said) == len(problems)
    assert all(start in text for start, text in zip(sorted(problems), sorted(said), strict=True))


def test_the_defaults_written_out_are_a_usable_keymap():
    """Nobody is told that Moat's own keys cannot be used."""
    places = all_places()
    written = {name: ",".join(keys) for place in places for name, keys in place.items()}
    assert usable_keymap(written, places)[1] == []


async def test_own_keys_work_and_the_old_ones_do_not(screen, home):
    write_run(home, RUN)
    settings = Settings(keymap={"run.stop": "f9", "view.zoom": "q"})
    async with screen(settings=settings) as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await wait_for(pilot, lambda: "view.zoom: q is already app.quit there" in screen_text(pilot))
        await pilot.press("x")
        assert "Stop review?" not in screen_text(pilot)
        await pilot.press("f9")
        await wait_for(pilot, lambda: "Stop review?" in screen_text(pilot))


async def test_a_broken_file_is_a_message_and_defaults(screen, home):
    home.write(home.config_file, b"theme: moat-light\nkeymaps: {}\n")
    async with screen(settings=load_settings(home)) as pilot:
        await wait_for(pilot, lambda: "Moat goes on with its defaults." in screen_text(pilot))
        said = " ".join(notice.message for notice in pilot.app._notifications)
        assert "config.yaml:2: unknown key 'keymaps'" in said
        assert pilot.app.theme == "moat-dark"


def test_every_way_a_file_can_be_wrong_is_survived(home, tmp_path):
    assert load_settings(home) == Settings()
    home.ensure_dir(home.root)
    home.config_file.mkdir()
    assert load_settings(home).problem
    home.config_file.rmdir()
    home.config_file.symlink_to(tmp_path)
    assert load_settings(home).problem


async def test_the_theme_is_remembered(screen, home, face, monkeypatch):
    monkeypatch.setattr(type(face), "remember_theme", Engine.remember_theme)
    home.write(home.config_file, b"theme: moat-light\n")
    async with screen(settings=load_settings(home)) as pilot:
        assert pilot.app.theme == "moat-light"
        await wait_for(pilot, lambda: "0 runs" in screen_text(pilot))
        await pilot.press("ctrl+t")
        await wait_for(pilot, lambda: load_host_config(home).theme == "moat-dark")


async def test_the_terminals_own_colours_can_be_chosen(screen, home, face):
    write_run(home, RUN)
    async with screen(settings=Settings(theme="ansi-dark")) as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        assert pilot.app.theme == "ansi-dark"
        assert pilot.app.native_ansi_color
        assert face.called("remember_theme") == []


async def test_an_unknown_theme_is_said(screen):
    async with screen(settings=Settings(theme="[b]none")) as pilot:
        await wait_for(pilot, lambda: "There is no theme [b]none" in screen_text(pilot))
        assert pilot.app.theme == "moat-dark"


async def test_no_color_is_honoured(screen, home, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    write_run(home, RUN)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        assert pilot.app.no_color
        drawn = pilot.app.export_screenshot()
        hues = {colour for colour in _colours(drawn) if len(set(_channels(colour))) > 1}
        # The drawn window's own: its three buttons and the colour of its title.
        assert not hues - {"#ff5f57", "#febc2e", "#28c840", "#c5c8c6"}


def _colours(svg: str) -> set[str]:
    return {found.lower() for found in re.findall(r"#[0-9a-fA-F]{6}\b", svg)}


def _channels(colour: str) -> tuple[str, str, str]:
    return colour[1:3], colour[3:5], colour[5:7]
