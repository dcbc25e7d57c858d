"""What the reading thread finds and what the list shows of it, without a screen."""

from __future__ import annotations

import os

import msgspec
import pytest
from support.screen_home import request, write_requests

from moat_tui.screen import request_search
from moat_tui.screen.models import line_blocks, request_order
from moat_tui.screen.models.filter_language import compile_filter
from moat_tui.screen.models.request_file import Source
from moat_tui.screen.models.request_lines import RequestLines
from moat_tui.screen.models.request_order import COLUMNS, Order, next_order
from moat_tui.screen.request_search import RequestSearch
from moat_tui.screen.requests_read import Ask

RUN = "run_aaaa1111"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """A few lines a block, so that a hundred lines are a long file."""
    monkeypatch.setattr(line_blocks, "BLOCK", 1_000)
    monkeypatch.setattr(request_search, "FIRST_BYTES", 2_000)
    monkeypatch.setattr(request_search, "AT_ONCE", 0.0005)


class Watched:
    """A search and the lines fed by it, as the pane does."""

    def __init__(self, path):
        self.lines = RequestLines()
        self.path = path
        self.search = RequestSearch(RUN, [Source(RUN, "review", path)], lambda: None)
        self.ask = Ask()
        self.looks = 0

    def look(self, *, paused=False):
        found = self.search.look(self.ask, paused=paused)
        if found is not None:
            self.lines.take(found, self.ask.version)
            self.looks += 1
        return found

    def settle(self, **given):
        while self.look(**given) is not None:
            assert self.looks < 10_000

    def want(self, text="", order=None):
        self.ask = Ask(self.ask.version + 1, compile_filter(text), order)
        self.lines.clear_found(filtering=bool(text))

    @property
    def ids(self):
        return [self.lines[place].id for place in range(len(self.lines))]


@pytest.fixture
def path(home):
    return home.run(RUN) / "network.jsonl"


@pytest.fixture
def watched(home, path):
    write_requests(home, RUN, *(request(number, status_code=200 + number % 3) for number in range(100)))
    return Watched(path)


def ids(numbers):
    return [f"req_{number:04d}" for number in numbers]


def test_the_end_is_there_at_once_and_the_rest_comes(watched):
    assert watched.look().reset
    first = watched.ids
    assert 0 < len(first) < 20
    assert first[-1] == "req_0099"
    number = watched.lines.number(0)
    watched.settle()
    assert watched.ids == ids(range(100))
    assert watched.lines.number(watched.lines.place(number)) == number
    assert watched.look() is None


def test_what_is_added_comes_at_the_end_and_a_torn_line_waits(watched, home, path):
    watched.settle()
    line = msgspec.json.encode(request(100)) + b"\n"
    with path.open("ab") as file:
        file.write(line[:30])
    watched.settle()
    assert len(watched.lines) == 100
    with path.open("ab") as file:
        file.write(line[30:])
    watched.settle()
    assert watched.ids[-1] == "req_0100"


def test_a_line_that_is_no_request_is_shown_as_one(watched, path):
    with path.open("ab") as file:
        file.write(b"\xff{]\n\n")
    watched.settle()
    assert len(watched.lines) == 102
    assert "cannot be read" in watched.lines[101].url


def test_a_file_that_was_replaced_is_read_anew(watched, home, path):
    watched.settle()
    path.unlink()
    write_requests(home, RUN, request(7))
    watched.settle()
    assert watched.ids == ["req_0007"]


def test_a_file_that_comes_later(home, path):
    watched = Watched(path)
    watched.settle()
    assert watched.ids == []
    write_requests(home, RUN, request(1))
    watched.settle()
    assert watched.ids == ["req_0001"]


def test_a_filter_finds_old_and_new(watched, home):
    watched.settle()
    watched.want("status:201")
    watched.settle()
    assert watched.ids == ids(range(1, 100, 3))
    write_requests(home, RUN, request(200, status_code=201), request(201))
    watched.settle()
    assert watched.ids == [*ids(range(1, 100, 3)), "req_0200"]


def test_a_filter_that_is_asked_for_while_the_file_is_still_being_found(watched):
    watched.look()
    watched.want("status:201")
    watched.settle()
    assert watched.ids == ids(range(1, 100, 3))
    assert watched.search.look(watched.ask, paused=False) is None


def test_a_look_that_finds_nothing_is_not_the_last(watched):
    watched.settle()
    watched.want("status:599")
    looks = watched.looks
    while not watched.look().done:
        pass
    assert watched.looks - looks > 1
    assert watched.look() is None


def test_answers_to_an_older_ask_are_not_shown(watched):
    watched.settle()
    watched.want("status:201")
    found = watched.search.look(watched.ask, paused=False)
    watched.want("status:202")
    watched.lines.take(found, watched.ask.version)
    assert watched.ids == []
    watched.settle()
    assert watched.ids == ids(range(2, 100, 3))


def test_all_lines_can_be_shown_with_a_filter_and_its_lines_stepped_through(watched):
    watched.settle()
    watched.want("status:201")
    watched.settle()
    watched.lines.hiding = False
    assert len(watched.lines) == 100
    start = watched.lines.number(1)
    assert watched.lines.record(watched.lines.next_found(start, 1)).id == "req_0004"
    assert watched.lines.record(watched.lines.next_found(start, -1)).id == "req_0097"
    assert watched.lines.record(watched.lines.next_found(watched.lines.number(99), 1)).id == "req_0001"


def test_paused_leaves_new_lines_in_the_file(watched, home):
    watched.settle()
    write_requests(home, RUN, request(100))
    watched.settle(paused=True)
    assert len(watched.lines) == 100
    watched.want("status:201")
    watched.settle(paused=True)
    assert watched.ids == ids(range(1, 100, 3))
    watched.want()
    watched.settle()
    assert watched.ids[-1] == "req_0100"


@pytest.mark.parametrize("column", COLUMNS)
def test_sorted_by_every_column(watched, column):
    watched.settle()
    watched.want(order=Order(column, True))
    watched.settle()
    keys = [COLUMNS[column].key(watched.lines[place]) for place in range(100)]
    assert keys == sorted(keys, reverse=True)


def test_sorted_and_filtered_with_new_lines(watched, home):
    watched.want("status:201", Order("took", True))
    watched.settle()
    write_requests(home, RUN, request(150, status_code=201, duration_ms=1))
    watched.settle()
    assert watched.ids == [*reversed(ids(range(1, 100, 3))), "req_0150"]


def test_only_the_newest_are_sorted(watched, home, monkeypatch):
    monkeypatch.setattr(request_order, "SORTED_MOST", 30)
    watched.want(order=Order("took", False))
    watched.settle()
    assert watched.ids == ids(range(70, 100))
    write_requests(home, RUN, request(100))
    watched.settle()
    assert watched.ids == ids(range(71, 101))


def test_the_key_of_a_column_turns_it_and_then_goes_back_to_time():
    assert next_order(None, "took") == Order("took", True)
    assert next_order(Order("took", True), "took") == Order("took", False)
    assert next_order(Order("took", False), "took") is None
    assert next_order(Order("took", True), "host") == Order("host", False)


def test_memory_holds_a_bounded_number_of_requests(watched, monkeypatch):
    from moat_tui.screen.models import request_lines

    monkeypatch.setattr(request_lines, "CACHED", 3)
    watched.settle()
    assert watched.ids == ids(range(100))
    assert len(watched.lines._cache) <= 3
    os.truncate(watched.path, 0)
    assert "cannot be read" in watched.lines[0].url
