"""Live lists follow their end until the reader goes up."""

from __future__ import annotations

import msgspec
import pytest
from support.screen_home import ago, request, write_requests, write_run
from support.waiting import screen_text, wait_for
from textual import events

from engine import RunInfo, RunState
from moat_tui.screen.models.store import BoundedStore
from moat_tui.screen.panes.requests import RequestList

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING)


@pytest.fixture
def busy_run(home):
    write_run(home, RUN)
    write_requests(home, RUN.id, *(request(number) for number in range(1, 101)))
    return RUN


def list_of(pilot) -> RequestList:
    return pilot.app.screen.query_one(RequestList)


def bar_is_at_end(pilot) -> bool:
    view = list_of(pilot)
    return view.max_scroll_y > 0 and view.vertical_scrollbar.position == view.max_scroll_y


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_it_follows_the_end(screen, home, busy_run, size):
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: getattr(list_of(pilot).current, "id", "") == "req_0100")
        await wait_for(pilot, lambda: bar_is_at_end(pilot))
        write_requests(home, RUN.id, request(101))
        await wait_for(pilot, lambda: getattr(list_of(pilot).current, "id", "") == "req_0101")
        assert list_of(pilot).scroll_offset.y == list_of(pilot).max_scroll_y
        assert bar_is_at_end(pilot)
        await wait_for(pilot, lambda: "following" in screen_text(pilot))


@pytest.mark.parametrize("key", ["pageup", "up", "k", "home"])
async def test_going_up_releases_and_end_follows_again(screen, home, busy_run, key):
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: len(list_of(pilot).store) == 100)
        await pilot.press("2", key)
        await wait_for(pilot, lambda: "paused" in screen_text(pilot))
        top, current = list_of(pilot).scroll_offset.y, list_of(pilot).current
        write_requests(home, RUN.id, *(request(number) for number in range(101, 113)))
        await wait_for(pilot, lambda: "↓ 12 new · End" in screen_text(pilot))
        assert list_of(pilot).scroll_offset.y == top
        assert list_of(pilot).current == current
        await pilot.press("end")
        await wait_for(pilot, lambda: "following" in screen_text(pilot))
        assert list_of(pilot).current.id == "req_0112"
        assert " new · End" not in screen_text(pilot)


async def test_going_down_to_the_end_follows_again(screen, home, busy_run):
    async with screen() as pilot:
        await wait_for(pilot, lambda: len(list_of(pilot).store) == 100)
        await pilot.press("2", "up", "up")
        await wait_for(pilot, lambda: "paused" in screen_text(pilot))
        await pilot.press("down", "down")
        await wait_for(pilot, lambda: "following" in screen_text(pilot))


async def test_the_wheel_releases_and_the_pill_can_be_clicked(screen, home, busy_run):
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: "following" in screen_text(pilot) and "✓ allowed" in screen_text(pilot))
        view = list_of(pilot)
        await pilot._post_mouse_events([events.MouseScrollUp], view, offset=(5, 3))
        await wait_for(pilot, lambda: not view.follow.on)
        write_requests(home, RUN.id, request(101))
        await wait_for(pilot, lambda: "↓ 1 new" in screen_text(pilot))
        await pilot.click(view, offset=(view.size.width - 3, view.size.height - 1))
        await wait_for(pilot, lambda: view.follow.on)


async def test_resizing_keeps_following(screen, home, busy_run):
    async with screen() as pilot:
        await wait_for(pilot, lambda: len(list_of(pilot).store) == 100)
        await pilot.resize_terminal(80, 24)
        await wait_for(pilot, lambda: list_of(pilot).size.height < 12)
        assert list_of(pilot).follow.on
        await wait_for(
            pilot, lambda: "/user" not in screen_text(pilot) and list_of(pilot).current.id == "req_0100"
        )
        assert list_of(pilot).scroll_offset.y == list_of(pilot).max_scroll_y


async def test_whoever_reads_further_up_keeps_their_lines_when_old_ones_are_dropped(screen, home, busy_run):
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: len(list_of(pilot).store) == 100)
        view = list_of(pilot)
        view.store = BoundedStore(100)
        view.replace([request(number) for number in range(1, 101)])
        await pilot.press("2", "pageup", "pageup")
        read, top = view.current, view.scroll_offset.y
        view.append([request(number) for number in range(101, 111)])
        await pilot.pause()
        assert view.store.dropped == 10
        assert view.current == read
        assert view.scroll_offset.y == top - 10


async def test_a_burst_is_shown_whole_and_in_order(screen, home):
    write_run(home, RUN)
    write_requests(home, RUN.id, request(0))
    async with screen() as pilot:
        await wait_for(pilot, lambda: len(list_of(pilot).store) == 1)  # from here on nothing may be left out
        for start in range(1, 12_001, 3_000):
            write_requests(home, RUN.id, *(request(number) for number in range(start, start + 3_000)))
        await wait_for(pilot, lambda: len(list_of(pilot).store) == 12_001)
        assert [item.id for item in list_of(pilot).store] == [f"req_{number:04d}" for number in range(12_001)]


async def test_enter_opens_the_request_and_escape_closes_it(screen, home):
    write_run(home, RUN)
    record = msgspec.structs.replace(
        request(7),
        rule="allow api.github.com",
        request_headers={"Authorization": "[REDACTED]", "X-[b]A[/b]": "1\x1b[31m"},
        response_body="line one\n[red]two[/red]\x1b]0;x\x07",
    )
    write_requests(home, RUN.id, record)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "/pulls/7" in screen_text(pilot))
        await pilot.press("2", "enter")
        await wait_for(pilot, lambda: "Response body" in screen_text(pilot))
        text = screen_text(pilot)
        for part in (
            "allow api.github.com",
            "Authorization: [REDACTED]",
            "X-[b]A[/b]: 1␛[31m",
            "[red]two[/red]␛]0;x␇",
        ):
            assert part in text
        await pilot.press("escape")
        await wait_for(pilot, lambda: "Response body" not in screen_text(pilot))
