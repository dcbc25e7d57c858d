"""The chain without a database: honest ones pass, every single change is caught and named."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.audit import ChainChecker, canonical_json, entry_hash

MESSAGES = re.compile(
    r"sequence gap: expected \d+, got \d+|broken chain at seq \d+: prev_hash mismatch"
    r"|invalid hash at seq \d+: entry tampered"
)
VECTOR_LAST = "72a3f44a5651607f4f6a6fb0e3721d9ef9301c140ec0eebb3ede9f350f88dc6f"


def chain(lines: list[str], start: int = 0) -> list[tuple]:
    rows: list[tuple] = []
    prev = ""
    for seq, line in enumerate(lines, 1):
        ts = f"2026-01-12T10:{start:02d}:{seq:02d}Z"
        data = canonical_json({"line": line})
        digest = entry_hash(seq, ts, "console", prev, data)
        rows.append((seq, ts, "console", prev, data, digest))
        prev = digest
    return rows


def check(rows: list[tuple]) -> ChainChecker:
    checker = ChainChecker()
    checker.feed(rows)
    return checker


lines = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=2, max_size=9)


def test_vector_chain_of_five():
    checker = check(chain(["1", "2", "3", "4", "5"]))
    assert checker.failure is None
    assert (checker.count, checker.last_hash) == (5, VECTOR_LAST)


@given(lines, st.integers(1, 4))
def test_an_honest_chain_passes_in_pieces_of_any_size(texts: list[str], piece: int):
    rows = chain(texts)
    checker = ChainChecker(watch={2})
    for at in range(0, len(rows), piece):
        checker.feed(rows[at : at + piece])
    assert checker.failure is None
    assert checker.count == len(rows)
    assert checker.hashes == {2: rows[1][5]}


@given(lines, st.data())
def test_any_change_of_any_field_is_caught_at_its_entry(texts: list[str], data: st.DataObject):
    rows = chain(texts)
    at = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.integers(0, 5))
    value = rows[at][field]
    other = data.draw(
        st.sampled_from(
            [None, b"x", 1.5, str(value) + "x", str(value)[:-1], str(value).upper() + "!", -1, 10**30]
        )
    )
    assume(other != value)
    rows[at] = (*rows[at][:field], other, *rows[at][field + 1 :])
    checker = check(rows)
    assert checker.failure is not None
    assert checker.count == at
    assert str(at + 1) in checker.failure.error


@given(lines, st.data())
def test_delete_duplicate_swap_and_splice_are_caught_and_named(texts: list[str], data: st.DataObject):
    rows = chain(texts)
    at = data.draw(st.integers(0, len(rows) - 2))
    kind = data.draw(st.sampled_from(["delete", "duplicate", "swap", "splice"]))
    if kind == "delete":
        del rows[at]
    elif kind == "duplicate":
        rows.insert(at, rows[at])
    elif kind == "swap":
        rows[at], rows[at + 1] = rows[at + 1], rows[at]
    else:  # the rest comes from another run's log
        rows[at + 1 :] = chain(texts, start=7)[at + 1 :]
    checker = check(rows)
    assert checker.failure is not None
    assert MESSAGES.fullmatch(checker.failure.error)
    assert checker.failure.at in (at + 1, at + 2)
    assert checker.feed(chain(texts)) == 0  # nothing is judged after the first fault


def test_boundaries_cannot_be_moved():
    """The hash has no separators, so the same bytes can be cut elsewhere: the shapes forbid it."""
    seq, ts, kind, prev, data, digest = chain(["x"])[0]
    for moved in [
        (seq, ts[:-1], "Z" + kind, prev, data, digest),
        (seq, ts + kind[0], kind[1:], prev, data, digest),
        (seq, ts, kind + data[0], prev, data[1:], digest),
        (seq, ts, kind[:-1], prev, kind[-1] + data, digest),
        (seq, ts + kind, "", prev, data, digest),
    ]:
        assert entry_hash(*moved[:5]) == digest
        failure = check([moved]).failure
        assert failure is not None
        assert failure.error == "invalid hash at seq 1: entry tampered"


@pytest.mark.parametrize(
    "ts", ["2026-01-12T10:00:00.120Z", "2026-01-12T10:00:00+00:00", "2026-01-12T10:00:00.Z"]
)
def test_a_time_in_another_form_is_no_entry(ts: str):
    digest = entry_hash(1, ts, "console", "", "{}")
    assert check([(1, ts, "console", "", "{}", digest)]).failure is not None


@pytest.mark.parametrize("data", ["", "null", "[]", "{", '{"a":1}x', "5", '{"a":NaN}', "[" * 5000])
def test_data_that_is_no_object_is_tampered_with_however_it_hashes(data: str):
    ts = "2026-01-12T10:00:00Z"
    failure = check([(1, ts, "console", "", data, entry_hash(1, ts, "console", "", data))]).failure
    assert failure is not None
    assert failure.error == "invalid hash at seq 1: entry tampered"


def test_upper_case_hash_is_not_the_hash():
    seq, ts, kind, prev, data, digest = chain(["x"])[0]
    assert check([(seq, ts, kind, prev, data, digest.upper())]).failure is not None


def test_types_of_a_newer_moat_pass():
    ts = "2026-01-12T10:00:00Z"
    assert check([(1, ts, "checkpoint", "", "{}", entry_hash(1, ts, "checkpoint", "", "{}"))]).failure is None


def test_what_is_reported_cannot_steer_a_terminal():
    seq, ts, kind, prev, data, _ = chain(["x"])[0]
    failure = check([(seq, ts, kind, prev, data, "\x1b]52;c;" + "A" * 500)]).failure
    assert failure is not None
    assert failure.found.isprintable()
    assert len(failure.found) <= 80
