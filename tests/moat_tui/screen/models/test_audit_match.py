from __future__ import annotations

import pytest
from support.screen_home import FakeEntry, ago, request

from moat_tui.screen.models.audit_match import Match, find_entries

RECORD = request(1, ts=ago(seconds=1_000), duration_ms=90)


def network(seq, at, record=RECORD):
    data = {
        "method": record.method,
        "url": record.url,
        "status_code": record.status_code,
        "duration_ms": record.duration_ms,
    }
    return FakeEntry(seq, ago(seconds=at), "network", data)


def credential(seq, at, name="github"):
    data = {"name": name, "action": "intent", "host": "api.github.com"}
    return FakeEntry(seq, ago(seconds=at), "credential", data)


def found(entries, record=RECORD, reads=None):
    def read(after, limit):
        if reads is not None:
            reads.append(limit)
        return [entry for entry in entries if entry.seq > after][:limit]

    return find_entries(record, read, lambda: False)


@pytest.mark.parametrize("before", [0, 1, 2, 3, 7, 40, 1_000])
def test_it_is_found_wherever_it_stands(before):
    chain = [FakeEntry(seq, ago(seconds=9_000 - seq), "console", {}) for seq in range(1, before + 1)]
    chain += [credential(before + 1, 1_000), network(before + 2, 999), network(before + 3, 500)]
    assert found(chain) == [Match(before + 1, "credential"), Match(before + 2, "network")]


def test_a_long_log_is_not_read_from_its_start():
    chain = [FakeEntry(seq, ago(seconds=20_000 - seq), "console", {}) for seq in range(1, 19_001)]
    chain.append(network(19_001, 999))
    reads: list[int] = []
    assert found(chain, reads=reads) == [Match(19_001, "network")]
    assert sum(reads) < 2_000


def test_another_grant_or_request_does_not_count():
    other = request(2, ts=RECORD.ts, duration_ms=90)
    assert found([credential(1, 1_000, "openai"), network(2, 999, other)]) == []
    assert found([network(1, 900)]) == []  # half a minute too late
    assert found([]) == []


def test_a_refusal_is_a_policy_entry():
    denied = request(3, ts=RECORD.ts, decision="denied", host="evil.test", status_code=403, grant="")
    data = {"scope": "network", "operation": "connect", "decision": "deny", "message": "evil.test: no"}
    assert found([FakeEntry(1, ago(seconds=1_000), "policy", data)], denied) == [Match(1, "policy")]


def test_it_can_be_given_up():
    assert find_entries(RECORD, lambda after, limit: [network(after + 1, 999)], lambda: True) == []
