"""Which waiting request is looked at, when a key counts, and what is said about a request."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from engine import Approval
from moat_tui.screen.models.approval_lines import approval_lines, list_line
from moat_tui.screen.models.approval_queue import QUIET, ApprovalQueue

NOW = datetime(2026, 1, 12, 14, 30, 0, tzinfo=UTC)


def approval(id="a1", **changes):
    base = Approval(
        id, "new.test", 443, "GET", "/x", since="2026-01-12T14:29:48Z", until="2026-01-12T14:30:48Z"
    )
    return msgspec.structs.replace(base, **changes)


def text(lines):
    return "\n".join("".join(part for part, _ in line) for line in lines)


@pytest.fixture
def queue():
    found = ApprovalQueue()
    found.update({"r1": [approval("a1"), approval("a2", since="2026-01-12T14:29:49Z")]}, 0)
    return found


def test_the_oldest_of_all_runs_is_looked_at_first(queue):
    new = queue.update({"r2": [approval("a1", since="2026-01-12T14:00:00Z")], "r1": [approval("a1")]}, 5)
    assert [item.key for item in new] == [("r2", "a1")]
    assert queue.current.key == ("r2", "a1")
    assert queue.counts() == {"r2": 1, "r1": 1}


def test_each_is_news_once_for_ever(queue):
    assert queue.update({}, 1) == []
    assert queue.update({"r1": [approval("a2")]}, 2) == []


def test_a_chosen_one_stays_until_it_is_over(queue):
    queue.step(1, 10)
    assert queue.current.key == ("r1", "a2")
    queue.step(1, 10)
    assert queue.current.key == ("r1", "a2")
    queue.update({"r0": [approval("a0", since="2020-01-01T00:00:00Z")], "r1": [approval("a2")]}, 11)
    assert queue.current.key == ("r1", "a2")
    queue.update({"r1": [approval("a3")]}, 12)
    assert queue.current.key == ("r1", "a3")


def test_a_key_counts_only_when_what_is_shown_has_stood_still(queue):
    queue.disturb(100)
    assert not queue.heard(100 + QUIET - 0.01)
    assert not queue.heard(100 + QUIET + 0.01)  # the one before began the wait again
    assert queue.heard(101 + QUIET)
    queue.update({"r1": [approval("a2")]}, 200)  # the first was answered elsewhere: another one is shown
    assert not queue.heard(200.1)
    queue.update({"r1": [approval("a2"), approval("a9")]}, 300)  # one more behind it changes nothing
    assert queue.heard(300)


def test_the_host_stands_there_whole_and_as_it_reads():
    host = "api.github.com." + "a" * 60 + "." + "b" * 60 + ".evil.test"
    shown = text(approval_lines(approval(host=host), "swift-otter", NOW))
    assert f"{host}:443" in shown
    assert "swift-otter wants to send GET to" in shown
    assert "Path /x" in shown
    assert "12s, refused in 48s" in shown
    assert "reads as" not in shown
    lookalike = text(
        approval_lines(approval(host="xn--pple-43d.com", reads_as="\u0430pple.com"), "swift-otter", NOW)
    )
    assert "xn--pple-43d.com:443" in lookalike
    assert "which reads as \u0430pple.com" in lookalike
    assert "Foreign letters" in lookalike


def test_threat_32_nothing_of_the_agents_reaches_the_terminal_as_it_is():
    hostile = approval(
        method="G\x1bT", path="/\x1b]0;x\x07\u202e[bold]", reads_as="a\u200bb.test", host="a\x9bb"
    )
    shown = text([*approval_lines(hostile, "ru\nn", NOW), list_line(hostile, "r\x1b", chosen=True)])
    assert not set(shown) & set("\x1b\x07\u202e\u200b\x9b")
    assert "[bold]" in shown


def test_a_long_path_is_cut_at_its_end_and_says_so():
    shown = text(approval_lines(approval(path="/" + "p" * 1999), "r", NOW))
    assert "(2,000 characters)" in shown
    assert len(shown) < 800


def test_plain_http_and_how_many_are_alike():
    shown = text(approval_lines(approval(tls=False, port=80, requests=3), "r", NOW))
    assert "over plain HTTP, not encrypted" in shown
    assert "3 like this one wait" in shown
