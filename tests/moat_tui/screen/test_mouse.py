"""The mouse does what the keys do: choose, open, scroll, jump, select and copy."""

from __future__ import annotations

import base64

import pytest
from support.screen_home import ago, request, write_output, write_requests, write_run
from support.waiting import screen_text, wait_for
from textual import events

from engine import GrantInfo, LogLine, RunInfo, RunState
from moat_tui.screen.output_screen import OutputScreen
from moat_tui.screen.panes.runs import RunsPane
from moat_tui.screen.request_detail import RequestDetail
from moat_tui.screen.widgets.line_view import LineView

RUNS = [
    RunInfo(f"run_aaaa111{number}", f"run-{number}", ago(minutes=number), RunState.EXITED, exit_code=0)
    for number in range(30)
]


async def at(pilot, text: str, column: int = 0) -> tuple[int, int]:
    """Where `text` is on the screen."""
    await wait_for(pilot, lambda: text in screen_text(pilot))
    for row, line in enumerate(screen_text(pilot).splitlines()):
        if text in line:
            return line.index(text) + column, row
    raise AssertionError(text)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_click_chooses_a_run_and_two_open_its_output(screen, home, size):
    for run in RUNS:
        write_run(home, run)
    write_output(home, RUNS[2].id, LogLine(ago(), "hello from two"))
    async with screen(size) as pilot:
        pane = pilot.app.screen.query_one(RunsPane)
        await pilot.click(offset=await at(pilot, "run-2"))
        await wait_for(pilot, lambda: pane.selected == RUNS[2].id)
        await pilot.click(offset=await at(pilot, "run-2"), times=2)
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, OutputScreen))
        await wait_for(pilot, lambda: "hello from two" in screen_text(pilot))


async def test_the_wheel_scrolls_the_list_under_the_pointer(screen, home):
    for run in RUNS:
        write_run(home, run)
    async with screen((80, 24)) as pilot:
        await at(pilot, "run-0")
        table = pilot.app.screen.query_one(RunsPane).table
        for _ in range(5):
            await pilot._post_mouse_events([events.MouseScrollDown], table, offset=(5, 3))
        await wait_for(pilot, lambda: table.scroll_offset.y > 0)
        assert pilot.app.screen.query_one(RunsPane).selected == RUNS[0].id  # looking is not choosing


async def test_a_click_into_a_pane_focuses_it_and_two_on_a_line_open_it(screen, home, face):
    face.stored = [GrantInfo("github")]
    write_run(home, RUNS[0])
    write_requests(home, RUNS[0].id, *(request(number) for number in range(1, 4)))
    async with screen((120, 40)) as pilot:
        await pilot.click(offset=await at(pilot, "82ms"))
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "requests-list")
        await pilot.click(offset=await at(pilot, "82ms"), times=2)
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, RequestDetail))
        await pilot.press("escape")
        await wait_for(pilot, lambda: not isinstance(pilot.app.screen, RequestDetail))
        await pilot.click(offset=await at(pilot, "never"))
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "grants-table")


async def test_the_footer_s_keys_can_be_clicked(screen, home):
    write_run(home, RUNS[0])
    async with screen((120, 40)) as pilot:
        await at(pilot, "run-0")
        await pilot.click(offset=await at(pilot, "? Help"))
        await wait_for(pilot, lambda: "Every run of this home" in screen_text(pilot))


async def test_text_is_selected_with_the_mouse_and_copied_to_the_terminal(screen, home, monkeypatch):
    write_run(home, RUNS[0])
    write_output(home, RUNS[0].id, LogLine(ago(), "first line"), LogLine(ago(), "second line"))
    written: list[str] = []
    async with screen((80, 24)) as pilot:
        await at(pilot, "run-0")
        await pilot.press("o")
        left, top = await at(pilot, "first line", 6)
        monkeypatch.setattr(pilot.app._driver, "write", written.append)
        await pilot.mouse_down(offset=(left, top))
        await pilot.hover(offset=(left - 1, top + 1))
        await pilot.mouse_up(offset=(left - 1, top + 1))
        await wait_for(pilot, lambda: pilot.app.screen.get_selected_text() == "line\nsecond")
        chosen = pilot.app.screen.query_one(LineView).render_line(1)
        assert all(part.style.color != part.style.bgcolor for part in chosen if part.text.strip())
        await pilot.press("ctrl+c")
        await wait_for(pilot, lambda: pilot.app.clipboard == "line\nsecond")
        encoded = base64.b64encode(pilot.app.clipboard.encode()).decode()
        await wait_for(pilot, lambda: any(f"\x1b]52;c;{encoded}" in text for text in written))
