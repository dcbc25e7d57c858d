"""The requests: filtered, sorted, paused, stepped through."""

from __future__ import annotations

from array import array

import pytest
from support.screen_home import FakeEntry, ago, request, write_requests, write_run
from support.waiting import screen_text, wait_for

from engine import RunInfo, RunState
from moat_tui.screen.panes.requests import RequestsPane
from moat_tui.screen.requests_read import RequestsRead

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING)
NBSP = "\N{NO-BREAK SPACE}"
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)])


@pytest.fixture
def mixed_run(home):
    write_run(home, RUN)
    write_requests(home, RUN.id, *(mixed(number) for number in range(60)))
    return RUN


def mixed(number: int):
    """Every tenth one is a 404 of a-pypi.test; the slowest are in the middle."""
    given = {"duration_ms": 1_000 - abs(30 - number)}
    if number % 10 == 4:
        given |= {
            "status_code": 404,
            "host": "a-pypi.test",
            "url": f"https://mirror.test/pypi/simple/{number}",
            "grant": "",
        }
    return request(number, **given)


def pane_of(pilot) -> RequestsPane:
    return pilot.app.screen.query_one(RequestsPane)


def ids(pilot) -> list[str]:
    return [record.id for record in map(pane_of(pilot).lines.__getitem__, range(len(pane_of(pilot).lines)))]


async def ready(pilot) -> None:
    await wait_for(pilot, lambda: "review · 60" in screen_text(pilot))
    await pilot.press("2")
    await wait_for(pilot, lambda: pane_of(pilot).view.has_focus)


async def type_filter(pilot, text: str) -> None:
    await pilot.press("slash")
    await wait_for(pilot, lambda: pane_of(pilot).input.has_focus)
    for letter in text:
        await pilot.press({" ": "space", ":": "colon", "!": "exclamation_mark"}.get(letter, letter))


FOUND = [f"req_{number:04d}" for number in range(4, 60, 10)]


@SIZES
async def test_a_filter_shows_some_and_new_ones_as_they_come(screen, home, mixed_run, size):
    async with screen(size) as pilot:
        await ready(pilot)
        await type_filter(pilot, "host:pypi status:4xx")
        await wait_for(pilot, lambda: "6 of 60" in screen_text(pilot))
        await pilot.press("enter")
        await wait_for(pilot, lambda: pane_of(pilot).view.has_focus)
        assert ids(pilot) == FOUND
        await wait_for(pilot, lambda: "host:pypi status:4xx" in screen_text(pilot))
        write_requests(home, RUN.id, mixed(64), mixed(65))
        await wait_for(pilot, lambda: "7 of 62" in screen_text(pilot))
        assert ids(pilot)[-1] == "req_0064"
        await pilot.press("escape")
        await wait_for(pilot, lambda: "review · 62" in screen_text(pilot))
        assert "host:pypi" not in screen_text(pilot)


@SIZES
async def test_a_mistake_is_shown_in_place_and_loses_nothing(screen, home, mixed_run, size):
    async with screen(size) as pilot:
        await ready(pilot)
        await type_filter(pilot, "host:pypi !")
        await wait_for(pilot, lambda: f"{NBSP * 10}↓ ! needs something after it" in screen_text(pilot))
        assert ids(pilot) == FOUND  # what was found before the mistake stays
        await pilot.press("enter")
        assert pane_of(pilot).input.has_focus
        assert pane_of(pilot).input.value == "host:pypi !"
        await pilot.press("backspace", "enter")
        await wait_for(pilot, lambda: pane_of(pilot).view.has_focus)
        assert "needs something" not in screen_text(pilot)


async def test_nothing_found_says_how_to_go_back(screen, home, mixed_run):
    async with screen() as pilot:
        await ready(pilot)
        await type_filter(pilot, "nowhere")
        await wait_for(pilot, lambda: "No request matches." in screen_text(pilot))
        await pilot.press("escape")
        await wait_for(pilot, lambda: "review · 60" in screen_text(pilot) and pane_of(pilot).view.has_focus)


async def test_the_filter_stays_when_another_run_is_selected(screen, home, mixed_run):
    other = write_run(home, RunInfo("run_bbbb2222", "other", ago(hours=1), RunState.RUNNING))
    write_requests(home, other.id, mixed(4), mixed(5))
    async with screen() as pilot:
        await ready(pilot)
        await type_filter(pilot, "host:pypi")
        await pilot.press("enter", "1", "down")
        await wait_for(pilot, lambda: "other · 1 of 2" in screen_text(pilot))
        assert ids(pilot) == ["req_0004"]


async def test_matches_among_the_others_and_from_one_to_the_next(screen, home, mixed_run):
    async with screen((80, 24)) as pilot:
        await ready(pilot)
        await type_filter(pilot, "host:pypi")
        await pilot.press("enter")
        await wait_for(pilot, lambda: "6 of 60" in screen_text(pilot))
        await pilot.press("x")
        await wait_for(pilot, lambda: "▸ matches" in screen_text(pilot))
        assert len(ids(pilot)) == 60
        for key, expected in (("n", "req_0004"), ("n", "req_0014"), ("N", "req_0004"), ("N", "req_0054")):
            await pilot.press(key)
            await wait_for(pilot, lambda expected=expected: pane_of(pilot).current.id == expected)
        await wait_for(pilot, lambda: "▸GET    a-pypi.test" in screen_text(pilot))
        await pilot.press("x")
        await wait_for(pilot, lambda: len(ids(pilot)) == 6)
        assert pane_of(pilot).current.id == "req_0054"


async def test_sorting_stops_following_and_the_third_time_goes_back(screen, home, mixed_run):
    async with screen() as pilot:
        await ready(pilot)
        await pilot.press("T")
        await wait_for(pilot, lambda: "by took ↓" in screen_text(pilot) and ids(pilot)[:1] == ["req_0030"])
        assert not pane_of(pilot).view.follow.on
        write_requests(home, RUN.id, request(61, duration_ms=5_000))
        await wait_for(pilot, lambda: ids(pilot)[0] == "req_0061")
        await pilot.press("T")
        await wait_for(pilot, lambda: "by took ↑" in screen_text(pilot) and ids(pilot)[-1] == "req_0061")
        await pilot.press("T")
        await wait_for(pilot, lambda: "following" in screen_text(pilot) and len(ids(pilot)) == 61)
        assert ids(pilot)[0] == "req_0000"


async def test_sorted_and_filtered_together(screen, home, mixed_run):
    async with screen() as pilot:
        await ready(pilot)
        await type_filter(pilot, "host:pypi")
        await pilot.press("enter", "T")
        await wait_for(pilot, lambda: ids(pilot)[:1] in (["req_0034"], ["req_0024"]))
        assert sorted(ids(pilot)) == FOUND
        await pilot.press("escape")
        await wait_for(pilot, lambda: len(ids(pilot)) == 60 and "following" in screen_text(pilot))


async def test_an_order_that_comes_late_does_not_stop_the_following(screen, home, mixed_run):
    """Escape, while the thread's answer to the sort is still on its way."""
    async with screen() as pilot:
        await ready(pilot)
        pane = pilot.app.screen.query_one(RequestsPane)
        assert pane.view.follow.on
        stale = pane.query_model.version - 1
        pane.take(RequestsRead(RUN.id, stale, lambda: None, order=array("L", range(60))))
        assert pane.view.follow.on


async def test_paused_holds_new_requests_back(screen, home, mixed_run):
    async with screen() as pilot:
        await ready(pilot)
        await pilot.press("p")
        await wait_for(pilot, lambda: "paused (p goes on)" in screen_text(pilot))
        write_requests(home, RUN.id, mixed(61), mixed(62))
        await wait_for(pilot, lambda: "paused, 2 more" in screen_text(pilot))
        assert len(ids(pilot)) == 60
        await pilot.press("p")
        await wait_for(pilot, lambda: "review · 62" in screen_text(pilot))


async def test_copy_as_curl(screen, home, mixed_run):
    async with screen() as pilot:
        await ready(pilot)
        await pilot.press("c")
        await wait_for(pilot, lambda: pilot.app.clipboard)
        assert "curl -X GET https://api.github.com/repos/acme/shop/pulls/59" in pilot.app.clipboard


async def test_a_selection_copies_only_its_lines(screen, home, mixed_run):
    from textual.geometry import Offset
    from textual.selection import Selection

    async with screen() as pilot:
        await ready(pilot)
        text, _ = pane_of(pilot).view.get_selection(Selection(Offset(16, 2), Offset(30, 3)))
        assert len(text.splitlines()) == 2
        assert "api.github.com" in text.splitlines()[0]
        assert pane_of(pilot).view.get_selection(Selection(None, None))[0].count("\n") == 59


@SIZES
async def test_the_detail_shows_all_and_jumps_to_the_audit_entry(screen, home, face, size):
    record = request(
        1,
        duration_ms=400,
        ttfb_ms=100,
        rule="grant github",
        request_headers={"Authorization": "[REDACTED]"},
        response_headers={"content-type": "application/json"},
        response_body='{"title":"[b]x[/b]"}',
    )
    write_run(home, RUN)
    write_requests(home, RUN.id, record)
    intent = {"name": "github", "action": "intent", "host": record.host}
    data = {"method": "GET", "url": record.url, "status_code": 200, "duration_ms": 400}
    face.chains[RUN.id] = [
        FakeEntry(1, record.ts, "credential", intent),
        FakeEntry(2, record.ts, "network", data),
    ]
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "review · 1" in screen_text(pilot))
        await pilot.press("2", "enter")
        await wait_for(pilot, lambda: "#1 credential, #2 network" in screen_text(pilot))
        await wait_for(pilot, lambda: "████▒▒▒▒▒▒▒▒▒▒▒▒ 400ms, first byte after 100ms" in screen_text(pilot))
        await pilot.press("G")
        await wait_for(pilot, lambda: '"title": "[b]x[/b]"' in screen_text(pilot))
        await pilot.press("c")
        await wait_for(pilot, lambda: "curl -X GET" in pilot.app.clipboard)
        assert "# Authorization is left out" in pilot.app.clipboard
        detail = pilot.app.screen
        await pilot.press("a")
        await wait_for(pilot, lambda: pilot.app.screen is not detail)


async def test_a_field_on_its_way_does_not_empty_the_list(screen, home, mixed_run):
    async with screen() as pilot:
        await ready(pilot)
        await type_filter(pilot, "host:pypi stat")
        await wait_for(pilot, lambda: "6 of 60" in screen_text(pilot))
        assert ids(pilot) == FOUND
        await pilot.press("enter")
        await wait_for(pilot, lambda: "0 of 60" in screen_text(pilot))


async def test_the_same_run_selected_again_is_read_anew(screen, home, mixed_run):
    async with screen() as pilot:
        await ready(pilot)
        pilot.app.screen._select_run(RUN.id)
        await wait_for(pilot, lambda: "review · 60" in screen_text(pilot) and len(ids(pilot)) == 60)
        write_requests(home, RUN.id, mixed(61))
        await wait_for(pilot, lambda: "review · 61" in screen_text(pilot))
