"""A run's output: following, searched, coloured, and harmless."""

from __future__ import annotations

import pytest
from support.screen_home import ago, write_output, write_run
from support.waiting import screen_text, wait_for
from textual.widgets import Static

from engine import LogLine, RunInfo, RunState
from moat_tui.screen.dialogs.confirm import ConfirmDialog
from moat_tui.screen.dialogs.file_path import FilePathDialog
from moat_tui.screen.main_screen import MainScreen
from moat_tui.screen.output_screen import OutputList, OutputScreen

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING)


def line(text: str, stream: str = "stdout") -> LogLine:
    return LogLine(ago(), text, stream)


def title(pilot) -> str:
    return str(pilot.app.screen.query_one("#output-title", Static).content)


async def open_output(pilot) -> OutputList:
    await wait_for(pilot, lambda: "● running" in screen_text(pilot))
    await pilot.press("o")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, OutputScreen))
    return pilot.app.screen.query_one(OutputList)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_output_follows_the_file(screen, home, size):
    write_run(home, RUN)
    async with screen(size) as pilot:
        await open_output(pilot)
        await wait_for(pilot, lambda: "Nothing printed yet." in screen_text(pilot))
        write_output(home, RUN.id, *(line(f"line {number}") for number in range(200)))
        await wait_for(pilot, lambda: "line 199" in screen_text(pilot))
        await pilot.press("pageup")
        await wait_for(pilot, lambda: "paused" in title(pilot))
        write_output(home, RUN.id, line("line 200"))
        await wait_for(pilot, lambda: "↓ 1 new" in screen_text(pilot))
        assert "line 200" not in screen_text(pilot)
        await pilot.press("G")
        await wait_for(pilot, lambda: "line 200" in screen_text(pilot))
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


async def test_search_goes_to_matches_and_round(screen, home):
    write_run(home, RUN)
    texts = [f"line {number}" for number in range(300)]
    texts[20] = texts[150] = "an \x1b[31mErr\x1b[0mor here"
    write_output(home, RUN.id, *map(line, texts))
    async with screen((80, 24)) as pilot:
        view = await open_output(pilot)
        await wait_for(pilot, lambda: "line 299" in screen_text(pilot))
        await pilot.press("slash", *"error", "enter")
        await wait_for(pilot, lambda: "line 151 has" in title(pilot))
        await wait_for(pilot, lambda: "an Error here" in screen_text(pilot))
        await pilot.press("N")
        await wait_for(pilot, lambda: "line 21 has" in title(pilot))
        await pilot.press("N")
        await wait_for(pilot, lambda: "line 151 has" in title(pilot))
        await pilot.press("n", "n")
        await wait_for(pilot, lambda: "line 151 has" in title(pilot))
        await pilot.press("escape")
        await wait_for(pilot, lambda: view.query_text == "" and isinstance(pilot.app.screen, OutputScreen))
        await pilot.press("slash", *"nowhere", "enter")
        await wait_for(pilot, lambda: "no line has" in title(pilot))


async def test_only_colours_reach_the_terminal(screen, home):
    write_run(home, RUN)
    write_output(
        home,
        RUN.id,
        line("\x1b[31mred\x1b[0m plain"),
        line("\x1b]52;c;c2VjcmV0\x07clip"),
        line("\x1b]8;;https://evil.test\x1b\\link\x1b]8;;\x1b\\"),
        line("\x1b]0;title\x07\x1b[2J\x1b[1;1Hmoved"),
        line("[red]markup[/red] \u202eover"),
        line("err", "stderr"),
    )
    async with screen() as pilot:
        view = await open_output(pilot)
        await wait_for(pilot, lambda: "6 lines" in title(pilot))
        text = screen_text(pilot)
        for part in ("red plain", "␛]52;c;", "␛]8;;https://evil.test␛\\link", "␛]0;title␇␛[2J␛[1;1Hmoved"):
            assert part in text
        assert "[red]markup[/red] <U+202E>over" in text
        assert "▌err" in text
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
        colours = {
            part.style.color.number
            for part in view.segments(view.store[0], 80)
            if part.style and part.style.color
        }
        assert colours == {1}


async def test_long_lines_scroll_sideways(screen, home):
    write_run(home, RUN)
    write_output(home, RUN.id, line("start " + "x" * 200 + " finish"))
    async with screen((80, 24)) as pilot:
        view = await open_output(pilot)
        await wait_for(pilot, lambda: "start" in screen_text(pilot))
        assert "finish" not in screen_text(pilot)
        view.scroll_to(x=200, animate=False)
        await wait_for(pilot, lambda: "finish" in screen_text(pilot))


async def test_an_ended_run_that_printed_nothing(screen, home):
    write_run(home, RunInfo(RUN.id, "quiet", ago(hours=1), RunState.EXITED, exit_code=0))
    async with screen() as pilot:
        await wait_for(pilot, lambda: "✓ exited 0" in screen_text(pilot))
        await pilot.press("enter")
        await wait_for(pilot, lambda: "The agent printed nothing." in screen_text(pilot))


async def save_as(pilot, path) -> None:
    await pilot.press("w")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, FilePathDialog))
    pilot.app.screen.query_one("#path").value = str(path)
    await pilot.press("enter")


async def test_saving_writes_all_of_it_without_escapes(screen, home, tmp_path):
    write_run(home, RUN)
    write_output(home, RUN.id, line("\x1b[31mred\x1b[0m"), line("a\x1b]0;t\x07b"))
    path = tmp_path / "out.txt"
    async with screen() as pilot:
        await open_output(pilot)
        await save_as(pilot, path)
        await wait_for(pilot, lambda: "2 lines saved" in screen_text(pilot))
    assert path.read_text("utf-8") == "red\na␛]0;t␇b\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == ["out.txt"]


@pytest.mark.parametrize(("key", "text"), [("n", "mine"), ("y", "hello\n")])
async def test_saving_never_replaces_a_file_unasked(screen, home, tmp_path, key, text):
    write_run(home, RUN)
    write_output(home, RUN.id, line("hello"))
    path = tmp_path / "out.txt"
    path.write_text("mine")
    async with screen() as pilot:
        await open_output(pilot)
        await save_as(pilot, path)
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        assert path.read_text() == "mine"
        await pilot.press(key)
        await wait_for(pilot, lambda: path.read_text() == text and isinstance(pilot.app.screen, OutputScreen))


async def test_saving_where_there_is_no_folder_is_said(screen, home, tmp_path):
    write_run(home, RUN)
    write_output(home, RUN.id, line("hello"))
    async with screen() as pilot:
        await open_output(pilot)
        await save_as(pilot, tmp_path / "none" / "out.txt")
        await wait_for(pilot, lambda: "The output was not saved" in screen_text(pilot))
