"""Counting and paging a log without loading it."""

from __future__ import annotations

import pytest

from engine.audit import (
    AuditCounts,
    AuditPages,
    count_entries,
    find_pages,
    place_of,
    read_entries,
    read_newest,
)
from engine.errors import AuditError


def test_entries_are_counted_by_type(written):
    assert count_entries(written) == AuditCounts({"console": 8, "container": 1, "credential": 1}, 10)
    assert count_entries(written, after=8) == AuditCounts({"console": 2}, 10)
    assert count_entries(written, after=10) == AuditCounts({}, 0)


def test_pages_begin_where_reading_goes_on(written):
    pages = find_pages(written, size=4)
    assert pages == AuditPages((1, 5, 9), 10)
    read = [[entry.seq for entry in read_entries(written, start - 1, 4)] for start in pages.starts]
    assert read == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert find_pages(written, after=8, size=4) == AuditPages((9,), 2)
    assert find_pages(written, after=10) == AuditPages((), 0)


def test_pages_of_some_types_only(written):
    assert find_pages(written, ("console",), size=3) == AuditPages((3, 6, 9), 8)
    assert find_pages(written, ("container", "credential"), size=4) == AuditPages((1,), 2)
    assert find_pages(written, ("ssh",)) == AuditPages((), 0)


def test_a_missing_entry_is_a_gap_and_not_a_page_that_is_wrong(edit, written):
    edit("DELETE FROM entries WHERE seq = 2")
    assert find_pages(written, size=4) == AuditPages((1, 6, 10), 9)
    assert place_of(written, 6) == 4


def test_where_an_entry_stands(written):
    assert [place_of(written, seq) for seq in (1, 5, 10, 99)] == [0, 4, 9, 10]
    assert place_of(written, 5, ("console",)) == 2


def test_what_cannot_be_read_is_an_error(written):
    written.write_bytes(b"not a database" * 1000)
    for call in (count_entries, find_pages, lambda path: place_of(path, 1)):
        with pytest.raises(AuditError):
            call(written)


def test_the_newest_entries_in_order(written):
    assert [entry.seq for entry in read_newest(written, 3)] == [8, 9, 10]
    assert [entry.seq for entry in read_newest(written, 99)] == list(range(1, 11))
    found = read_newest(written, 2, ("credential", "container"))
    assert [entry.type for entry in found] == [
        entry.type for entry in read_entries(written) if entry.type != "console"
    ]
    written.write_bytes(b"not a database" * 1000)
    with pytest.raises(AuditError):
        read_newest(written)
