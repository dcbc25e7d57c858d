"""The requests of several runs as one list, and those that are open."""

from __future__ import annotations

import msgspec
import pytest
from support.screen_home import NOW, ago, request, write_requests

from engine.run.records.open_file import OpenView
from moat_tui.screen import followed_file, open_watch, request_search
from moat_tui.screen.models import line_blocks
from moat_tui.screen.models.filter_language import compile_filter
from moat_tui.screen.models.open_lines import OPEN_FIRST
from moat_tui.screen.models.request_file import Source
from moat_tui.screen.models.request_lines import RequestLines
from moat_tui.screen.models.request_order import Order
from moat_tui.screen.request_search import RequestSearch
from moat_tui.screen.requests_read import Ask

RUNS = ("run_aaaa1111", "run_bbbb2222", "run_cccc3333")


class Opened:
    """What is open, by run."""

    def __init__(self):
        self.views: dict[str, OpenView] = {}

    def open_mark(self, run_id):
        return self.views.get(run_id)

    def open_requests(self, run_id):
        return self.views.get(run_id, OpenView(True))

    def now(self):
        return NOW

    def say(self, run_id, *records, live=True):
        self.views[run_id] = OpenView(live, records)


class Watched:
    """A search and the lines fed by it, as the pane does."""

    def __init__(self, sources, *, run_id=""):
        self.lines = RequestLines()
        self.opened = Opened()
        self.search = RequestSearch(run_id, sources, lambda: None, self.opened)
        self.ask = Ask()
        self.closed = []

    def look(self, *, paused=False):
        found = self.search.look(self.ask, paused=paused)
        if found is not None:
            self.lines.take(found, self.ask.version)
            self.closed += found.closed
        return found

    def settle(self, **given):
        for _ in range(10_000):
            if self.look(**given) is None:
                return
        raise AssertionError("it never came to rest")

    def want(self, text="", order=None):
        self.ask = Ask(self.ask.version + 1, compile_filter(text), order)
        self.lines.clear_found(filtering=bool(text))

    @property
    def ids(self):
        return [self.lines[place].id for place in range(len(self.lines))]

    def numbers(self):
        return [self.lines.number(place) for place in range(len(self.lines))]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """A few lines a block and a look, so that a hundred lines are a long file."""
    monkeypatch.setattr(line_blocks, "BLOCK", 1_000)
    monkeypatch.setattr(request_search, "AT_ONCE", 0.0005)
    monkeypatch.setattr(request_search, "FIRST_LINES", 10)
    monkeypatch.setattr(request_search, "ENDED_EVERY", 0.0)
    monkeypatch.setattr(open_watch, "TICK", 0.0)
    monkeypatch.setattr(followed_file, "NEWER_BYTES", 3_000)


@pytest.fixture
def sources(home):
    """`request(n)` is over `80 + n` ms after second n of the last ten minutes."""
    for place, run_id in enumerate(RUNS):
        write_requests(home, run_id, *(request(number) for number in range(place, 150, 3)))
    return [Source(run_id, f"run-{run_id[4]}", home.run(run_id) / "network.jsonl") for run_id in RUNS]


def ids(numbers):
    return [f"req_{number:04d}" for number in numbers]


def test_merged_by_time_from_the_newest_and_no_number_changes(sources):
    watched = Watched(sources)
    assert watched.look().reset
    first = watched.ids
    assert 0 < len(first) < 150
    assert first == ids(range(150 - len(first), 150))
    known = dict(zip(watched.ids, watched.numbers(), strict=True))
    watched.settle()
    assert watched.ids == ids(range(150))
    after = dict(zip(watched.ids, watched.numbers(), strict=True))
    assert after.items() >= known.items()
    assert [watched.lines[place].run for place in range(3)] == ["run-a", "run-b", "run-c"]
    assert watched.lines[1].run_id == RUNS[1]


def test_live_runs_keep_feeding_it_in_the_order_of_time(sources, home):
    watched = Watched(sources)
    watched.settle()
    write_requests(home, RUNS[2], request(151), request(153))
    write_requests(home, RUNS[0], request(150), request(152))
    watched.settle()
    assert watched.ids == ids(range(154))


def test_a_new_run_joins_and_one_that_is_gone_begins_it_anew(sources, home):
    watched = Watched(sources)
    watched.settle()
    write_requests(home, "run_dddd4444", request(150), request(151))
    new = Source("run_dddd4444", "new", home.run("run_dddd4444") / "network.jsonl")
    watched.search.keep_up([new, *sources])
    watched.settle()
    assert watched.ids == ids(range(152))
    assert watched.lines[151].run == "new"
    watched.search.keep_up([new, sources[1]])
    watched.settle()
    assert watched.ids == ids([*range(1, 150, 3), 150, 151])


def test_no_run_at_all_and_then_one(sources):
    watched = Watched([])
    watched.settle()
    assert len(watched.lines) == 0
    watched.search.keep_up(sources[:1])
    watched.settle()
    assert watched.ids == ids(range(0, 150, 3))


def test_filtered_by_run_and_stepped_through(sources, home):
    watched = Watched(sources)
    watched.want("run:=run-b")
    watched.settle()
    assert watched.ids == ids(range(1, 150, 3))
    write_requests(home, RUNS[1], request(151))
    write_requests(home, RUNS[2], request(152))
    watched.settle()
    assert watched.ids == [*ids(range(1, 150, 3)), "req_0151"]
    watched.lines.hiding = False
    assert len(watched.lines) == 152
    number = watched.lines.number(2)
    assert watched.lines.record(watched.lines.next_found(number, 1)).id == "req_0004"
    assert watched.lines.record(watched.lines.next_found(number, -1)).id == "req_0001"


def test_sorted_over_all_runs(sources):
    watched = Watched(sources)
    watched.want(order=Order("took", True))
    watched.settle()
    assert watched.ids == ids(range(149, -1, -1))


def test_times_that_cannot_be_read_do_not_lose_a_line(sources, home):
    lines = [b'{"id":"odd","ts":"never","method":"GET","url":""}\n', b"\xff\n", b'{"ts":1}\n']
    with (home.run(RUNS[0]) / "network.jsonl").open("ab") as file:
        file.writelines(lines)
    watched = Watched(sources)
    watched.settle()
    assert len(watched.lines) == 153
    assert sorted(watched.ids)[-1:] == ["req_0149"]
    assert "odd" in watched.ids


# Open requests


@pytest.fixture
def one(sources):
    watched = Watched(sources[:1], run_id=RUNS[0])
    watched.settle()
    return watched


def opened(number, **given):
    return request(number, duration_ms=500, ts=ago(seconds=600 - number), **given)


def look_on(watched):
    """A look that has something to say; with TICK 0 what is open is said in every one."""
    assert watched.look() is not None


def test_an_open_request_stands_last_until_its_record_takes_its_place(one, home):
    one.opened.say(RUNS[0], opened(150), opened(160, bytes_in=7))
    look_on(one)
    assert one.ids[-3:] == ["req_0147", "req_0150", "req_0160"]
    first = one.lines[50]
    assert (first.open, first.run, first.duration_ms) == (True, "run-a", 450_000)
    number = one.lines.number(50)
    assert number >= OPEN_FIRST
    one.opened.say(RUNS[0], opened(150, bytes_in=9), opened(160, bytes_in=9))
    look_on(one)
    assert one.lines.number(50) == number
    assert one.lines[50].bytes_in == 9
    write_requests(home, RUNS[0], request(150))
    look_on(one)  # the file of open ones still says it, and is read again
    assert one.ids[-3:] == ["req_0147", "req_0150", "req_0160"]
    assert one.closed == [(number, one.lines.number(50))]
    assert not one.lines[50].open
    assert one.lines.place(number) == 50
    assert one.lines.record(number).id == "req_0150"
    look_on(one)
    assert one.ids[-3:] == ["req_0147", "req_0150", "req_0160"]


def test_of_a_dead_run_they_are_not_open(one):
    one.opened.say(RUNS[0], opened(150, error="broken off: the run's supervisor died"), live=False)
    look_on(one)
    assert not one.lines[50].open
    assert one.lines[50].duration_ms == 500


def test_they_are_filtered_and_stepped_to(one, home):
    one.opened.say(RUNS[0], opened(150), opened(160, bytes_in=7))
    one.want("is:open")
    for _ in range(300):
        if one.look().done:
            break
    assert one.ids == ["req_0150", "req_0160"]
    one.lines.hiding = False
    assert len(one.lines) == 52
    assert one.lines.next_found(one.lines.number(3), 1) == one.lines.number(50)
    assert one.lines.next_found(one.lines.number(50), 1) == one.lines.number(51)
    assert one.lines.next_found(one.lines.number(51), 1) == one.lines.number(50)
    one.lines.hiding = True
    write_requests(home, RUNS[0], request(150))
    look_on(one)
    assert one.ids == ["req_0160"]


def test_they_are_sorted_among_the_others(one):
    one.want(order=Order("bytes", True))
    one.settle()
    one.opened.say(RUNS[0], opened(150, bytes_in=5))
    look_on(one)
    assert one.ids[0] == "req_0150"
    assert len(one.ids) == 51


def test_paused_nothing_of_them_moves(one):
    one.opened.say(RUNS[0], opened(150))
    assert one.look(paused=True) is None
    assert len(one.lines) == 50


def test_of_all_runs_they_stand_together_by_their_beginning(sources):
    watched = Watched(sources)
    watched.opened.say(RUNS[2], opened(155))
    watched.opened.say(RUNS[0], opened(160))
    for _ in range(300):
        watched.look()
    assert watched.ids == ids([*range(150), 155, 160])
    assert [watched.lines[place].run for place in (150, 151)] == ["run-c", "run-a"]
    watched.opened.say(RUNS[2])
    look_on(watched)
    assert watched.ids[-1:] == ["req_0160"]
    assert msgspec.structs.asdict(watched.lines[150])["open"]
