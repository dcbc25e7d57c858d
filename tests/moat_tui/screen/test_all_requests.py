"""Open requests in the list, and the requests of all runs."""

from __future__ import annotations

import pytest
from support.screen_home import ago, request, write_requests, write_run
from support.waiting import screen_text, wait_for

from engine import RunInfo, RunState
from engine.run.metadata import SupervisorLock
from engine.run.records.open_file import OpenFile
from moat_tui.screen.dialogs.report import ReportBody
from moat_tui.screen.panes.requests import RequestsPane

REVIEW = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING)
NIGHTLY = RunInfo("run_bbbb2222", "nightly", ago(hours=1), RunState.EXITED, exit_code=0)
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)])


def pane_of(pilot) -> RequestsPane:
    return pilot.app.screen_stack[0].query_one(RequestsPane)


def ids(pilot) -> list[str]:
    lines = pane_of(pilot).lines
    return [lines[place].id for place in range(len(lines))]


def stream(number: int, **given):
    """Began twelve seconds before the screen's clock, and then another each second."""
    url = f"https://api.anthropic.com/v1/messages/{number}"
    return request(number, host="api.anthropic.com", url=url, ts=ago(seconds=12 - number), **given)


@pytest.fixture
def supervisor(home):
    """A live run with twenty requests, and its file of open ones."""
    write_run(home, REVIEW)
    write_requests(home, REVIEW.id, *(request(number) for number in range(100, 120)))
    lock = SupervisorLock(home, REVIEW.id)
    yield OpenFile(home, REVIEW.id), lock
    lock.release()


async def on_requests(pilot) -> None:
    await pilot.press("2")
    await wait_for(pilot, lambda: pane_of(pilot).view.has_focus)


@SIZES
async def test_an_open_request_ticks_and_its_record_takes_its_place(screen, home, supervisor, size):
    file, _ = supervisor
    file.write([stream(0, bytes_in=2048), stream(1, bytes_in=0, status_code=0)])
    async with screen(size) as pilot:
        await on_requests(pilot)
        await wait_for(pilot, lambda: "review · 20 · 2 open" in screen_text(pilot))
        text = screen_text(pilot)
        assert "◌ open" in text
        assert "12.0s" in text
        assert "2.0K" in text
        assert pane_of(pilot).view.follow.on
        await pilot.press("up")
        assert pane_of(pilot).current.id == "req_0000"
        file.write([stream(0, bytes_in=4096), stream(1)])
        await wait_for(pilot, lambda: "4.0K" in screen_text(pilot))
        write_requests(home, REVIEW.id, request(130), stream(0, bytes_in=5000), request(131))
        await wait_for(pilot, lambda: "review · 23 · 1 open" in screen_text(pilot))
        assert ids(pilot)[-4:] == ["req_0130", "req_0000", "req_0131", "req_0001"]
        assert pane_of(pilot).current.id == "req_0000"  # the cursor is on its record now
        assert not pane_of(pilot).current.open
        await pilot.press("end")
        file.write([])
        await wait_for(
            pilot, lambda: "review · 23" in screen_text(pilot) and "open" not in screen_text(pilot)
        )
        assert pane_of(pilot).current.id == "req_0131"


async def test_filter_sort_and_detail_work_on_them(screen, home, supervisor):
    file, _ = supervisor
    file.write([stream(0, bytes_in=2048)])
    async with screen() as pilot:
        await on_requests(pilot)
        await pilot.press("B")
        await wait_for(pilot, lambda: ids(pilot)[:1] == ["req_0000"])
        await pilot.press("B", "B", "slash", *"is", "colon", *"open", "enter")
        await wait_for(pilot, lambda: ids(pilot) == ["req_0000"])
        await pilot.press("enter")
        await wait_for(pilot, lambda: "◌ open" in str(pilot.app.screen.query_one(ReportBody).render()))
        write_requests(home, REVIEW.id, stream(0, bytes_in=3072, duration_ms=4_000))
        await wait_for(
            pilot, lambda: "✓ allowed" in screen_text(pilot) and "3.0K received" in screen_text(pilot)
        )
        await pilot.press("escape")
        await wait_for(pilot, lambda: ids(pilot) == [])


async def test_of_a_run_whose_supervisor_dies_nothing_stays_open(screen, home, supervisor):
    file, lock = supervisor
    file.write([stream(0)])
    async with screen() as pilot:
        await wait_for(pilot, lambda: "◌ open" in screen_text(pilot))
        lock._fd = _swap(lock)
        await wait_for(pilot, lambda: "✗ broken" in screen_text(pilot))
        assert "◌ open" not in screen_text(pilot)


def _swap(lock) -> int:
    """Let go of the lock, and leave something to close."""
    import os

    os.close(lock._fd)
    return os.open(os.devnull, os.O_RDONLY)


@SIZES
async def test_all_runs_in_one_list_and_back_to_the_same_place(screen, home, face, supervisor, size):
    write_run(home, NIGHTLY)
    write_requests(home, NIGHTLY.id, *(request(number, host="pypi.test") for number in range(90, 112)))
    async with screen(size) as pilot:
        await on_requests(pilot)
        await wait_for(pilot, lambda: "review · 20" in screen_text(pilot))
        await pilot.press("up", "up", "up")
        assert pane_of(pilot).current.id == "req_0116"
        await pilot.press("A")
        await wait_for(pilot, lambda: "all runs · 42" in screen_text(pilot))
        records = [pane_of(pilot).lines[place] for place in range(42)]
        assert [record.id for record in records] == sorted(record.id for record in records)
        assert {(record.run, record.run_id) for record in records} == {
            ("review", REVIEW.id), ("nightly", NIGHTLY.id),
        }  # fmt: skip
        await wait_for(pilot, lambda: " Run " in screen_text(pilot))
        write_requests(home, REVIEW.id, request(140))
        await wait_for(pilot, lambda: "all runs · 43" in screen_text(pilot) and ids(pilot)[-1] == "req_0140")
        await pilot.press("slash", *"run", "colon", *"night", "enter")
        await wait_for(pilot, lambda: "22 of 43" in screen_text(pilot))
        await pilot.press("end", "c")
        await wait_for(pilot, lambda: "curl -X GET" in pilot.app.clipboard)
        await pilot.press("enter")
        await wait_for(pilot, lambda: pilot.app.screen is not pilot.app.screen_stack[0])
        assert pilot.app.screen._run_id == NIGHTLY.id  # its log is where the entries are looked for
        await pilot.press("escape", "escape")
        await wait_for(pilot, lambda: "all runs · 43" in screen_text(pilot))
        await pilot.press("A")
        await wait_for(pilot, lambda: "review · 21" in screen_text(pilot))
        assert pane_of(pilot).current.id == "req_0116"
        assert not pane_of(pilot).view.follow.on


async def test_where_the_requests_are_hidden_the_key_brings_them_up(screen, home, supervisor):
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: "review · 20" in screen_text(pilot))
        await pilot.press("3")
        await wait_for(pilot, lambda: not pane_of(pilot).display)
        await pilot.press("A")
        await wait_for(pilot, lambda: "all runs · 20" in screen_text(pilot))


async def test_another_run_selected_meanwhile_is_there_afterwards(screen, home, supervisor):
    write_run(home, NIGHTLY)
    write_requests(home, NIGHTLY.id, request(1), request(2))
    async with screen() as pilot:
        await wait_for(pilot, lambda: "review · 20" in screen_text(pilot))
        await pilot.press("A")
        await wait_for(pilot, lambda: "all runs · 22" in screen_text(pilot))
        await pilot.press("1", "down")
        await pilot.press("A")
        await wait_for(pilot, lambda: "nightly · 2" in screen_text(pilot) and len(ids(pilot)) == 2)
        assert pane_of(pilot).view.follow.on
