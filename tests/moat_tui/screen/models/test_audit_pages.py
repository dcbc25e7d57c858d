"""A long log in pages, the mark in it, the filter by type, and what a chain's state is called."""

from __future__ import annotations

import pytest
from support.screen_home import NOW, FakeEntry, FakeVerdict, ago

from engine import AuditPages, RunInfo, RunState
from moat_tui.screen.models.audit_entry import (
    entry_report,
    mark_pieces,
    progress_bar,
    type_choices,
    type_tabs,
)
from moat_tui.screen.models.audit_pages import PAGE, PAGES_KEPT, Broken, EntryPages, broken_of
from moat_tui.screen.models.chain_states import ChainState, ChainStates, state_pieces

RUN = RunInfo("run_a1", "review", ago(minutes=4), RunState.RUNNING)


def page(first: int, number: int = PAGE) -> list[FakeEntry]:
    return [FakeEntry(first + place, ago(), "console", {"line": "x"}) for place in range(number)]


def text(pieces) -> str:
    return "".join(part for part, _ in pieces)


def test_only_what_is_looked_at_is_asked_for():
    wanted = []
    store = EntryPages(wanted.append)
    assert store.indexed(AuditPages((1, PAGE + 1, 2 * PAGE + 1), 2 * PAGE + 10), 0) == 2 * PAGE + 10
    assert len(store) == 2 * PAGE + 10
    assert store[PAGE + 3] is None
    assert wanted == [1]
    store.page_read(1, page(PAGE + 1))
    assert store[PAGE + 3].seq == PAGE + 4
    assert wanted == [1]
    with pytest.raises(IndexError):
        store[2 * PAGE + 10]


def test_the_last_page_grows():
    wanted = []
    store = EntryPages(wanted.append)
    store.indexed(AuditPages((1,), 3), 0)
    store.page_read(0, page(1, 3))
    assert store.resume_after == 0
    assert store.indexed(AuditPages((1, PAGE + 1), PAGE + 2), 0) == PAGE - 1
    assert store[3] is None
    assert store.resume_after == PAGE
    assert store.indexed(AuditPages((PAGE + 1,), 9), PAGE) == 7
    assert store[PAGE + 8] is None
    assert wanted == [1]
    assert len(store) == PAGE + 9


def test_a_half_read_last_page_is_asked_for_again():
    wanted = []
    store = EntryPages(wanted.append)
    store.indexed(AuditPages((1,), 5), 0)
    store.page_read(0, page(1, 3))
    assert store[4] is None
    assert wanted == [0]


def test_few_pages_are_kept():
    store = EntryPages(lambda number: None)
    store.indexed(AuditPages(tuple(range(1, 100 * PAGE, PAGE)), 100 * PAGE), 0)
    for number in range(100):
        store.page_read(number, page(number * PAGE + 1))
    assert sum(store[number * PAGE] is not None for number in range(100)) == PAGES_KEPT


def test_the_mark_stands_before_the_broken_entry():
    store = EntryPages(lambda number: None)
    store.indexed(AuditPages((1,), 5), 0)
    store.page_read(0, page(1, 5))
    mark = Broken(3, "hash mismatch", "aa", "bb")
    store.mark_at(mark, 2)
    assert len(store) == 6
    seqs = [store[place].seq if store[place] is not mark else "mark" for place in range(6)]
    assert seqs == [1, 2, "mark", 3, 4, 5]
    assert [store.line_of(place) for place in range(5)] == [0, 1, 3, 4, 5]
    store.unmark()
    assert [store[place].seq for place in range(5)] == [1, 2, 3, 4, 5]


def test_what_a_verdict_marks():
    assert broken_of(None) is None
    assert broken_of(FakeVerdict()) is None
    assert broken_of(FakeVerdict(valid=False, error="audit.db is missing")) is None
    verdict = FakeVerdict(valid=False, error="broken", broken_at=7, expected="a", found="b")
    assert broken_of(verdict) == Broken(7, "broken", "a", "b")
    assert "expected a  found b" in text(mark_pieces(Broken(7, "broken", "a", "b")))
    assert "gone \u241b[2J" in text(mark_pieces(Broken(7, "gone \x1b[2J", "", "")))


def test_an_entry_in_full_is_harmless_and_bounded():
    entry = FakeEntry(7, ago(), "console", {"line": "a\x1b[2J[red]b", "more": ["x" * 30_000]}, "p" * 64)
    lines = [text(line) for line in entry_report(entry, Broken(7, "hash mismatch", "aa", "bb"))]
    assert lines[0] == "✗ The chain breaks here: hash mismatch"
    assert "expected aa" in lines[1]
    assert any("more characters" in line for line in lines)
    assert not any("\x1b" in line for line in lines)
    assert "The chain breaks" not in text(entry_report(entry, Broken(8, "x", "", ""))[0])


def test_types_keep_their_order_and_a_flood_of_them_is_bounded():
    counts = {"zeta": 1, "network": 5, "container": 2} | {f"made-up-{n}": 3 for n in range(50)}
    choices = type_choices(counts)
    assert choices[:2] == ["container", "network"]
    assert len(choices) == 9
    tabs = type_tabs({"network": 1500, "container": 2}, "network")
    assert [(name, text(pieces)) for name, pieces in tabs] == [
        ("", "0 all 1,502"),
        ("container", "1 container 2"),
        ("network", "2 ▸network 1,500"),
    ]


def test_progress_has_a_bar():
    assert text(progress_bar(50, 200, 8)) == "◌ verifying ██░░░░░░  25%  50 of 200 entries"
    assert text(progress_bar(0, 0, 4)) == "◌ verifying ░░░░  …"


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (None, "· not verified"),
        (ChainState(NOW), "- no log"),
        (ChainState(NOW, FakeVerdict()), "✓ INTACT"),
        (ChainState(NOW, FakeVerdict(valid=False)), "✗ TAMPERED"),
        (ChainState(NOW, None, "no permission"), "✗ unreadable"),
    ],
)
def test_states_have_words(state, word):
    assert state_pieces(RUN, state)[0][0] == word


def test_the_alarm_is_for_live_runs():
    states = ChainStates()
    over = RunInfo("run_b2", "over", ago(), RunState.EXITED)
    assert not states.note(RUN.id, ChainState(NOW, FakeVerdict()))
    assert states.note(over.id, ChainState(NOW, FakeVerdict(valid=False)))
    assert states.alarm([RUN, over]) == ""
    assert states.note(RUN.id, ChainState(NOW, FakeVerdict(valid=False)))
    assert not states.note(RUN.id, ChainState(NOW, FakeVerdict(valid=False)))
    assert states.alarm([RUN, over]) == "✗ AUDIT CHAIN BROKEN: review"
    states.keep([over.id])
    assert states.alarm([RUN, over]) == ""


def test_the_newest_stand_for_a_log_that_is_not_indexed_yet():
    wanted: list[int] = []
    pages = EntryPages(wanted.append)
    everything = [FakeEntry(seq, ago(), "console", {}) for seq in range(1, 1001)]
    pages.show_newest(everything[-PAGE:])
    assert pages.provisional
    assert (len(pages), pages[0].seq, pages[PAGE - 1].seq) == (PAGE, 745, 1000)
    starts = tuple(entry.seq for entry in everything[::PAGE])
    assert pages.indexed(AuditPages(starts, 1000), 0) == 1000 - PAGE
    assert pages.newest_at == 744
    assert wanted == []
    assert [pages[place].seq for place in (744, 999)] == [745, 1000]  # at once, while their pages are read
    assert pages[743] is None
    assert wanted == [2, 3, 2]
    pages.clear()
    assert len(pages) == 0


def test_a_log_that_has_outgrown_the_newest_forgets_them():
    pages = EntryPages(lambda number: None)
    pages.show_newest([FakeEntry(seq, ago(), "console", {}) for seq in range(1, 11)])
    pages.indexed(AuditPages((5000, 5256), 300), 0)
    assert pages.newest_at == 0
    assert pages[0] is None
