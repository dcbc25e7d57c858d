"""The vocabulary: what an older or newer Moat wrote still opens, and times look as Go prints them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from engine.events import (
    ControlReply,
    ControlRequest,
    GrantInfo,
    GrantState,
    GrantUse,
    LogLine,
    ProviderInfo,
    RequestRecord,
    RunInfo,
    RunState,
    timestamp,
)

RUN = RunInfo(id="run_1", name="x", created_at="2026-01-12T10:00:00Z")
EVERY = [
    RUN,
    msgspec.structs.replace(RUN, state=RunState.EXITED, exit_code=0, grants=("github",), command=("a", "b")),
    RequestRecord(id="1", ts="t", method="GET", url="https://a.test/", request_headers={"A": "b"}),
    LogLine(ts="t", line="é\u2028", stream="stderr"),
    ControlRequest(op="stop"),
    ControlReply(ok=False, error="no"),
    GrantInfo(provider="github", state=GrantState.EXPIRED, env={"GH_TOKEN": "x"}),
    ProviderInfo(name="a", title="A", hosts=("a.test",), header="X"),
    GrantUse(last_used_at="t", uses=3),
]


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_what_is_written_is_read_back(event: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_keys_of_a_newer_moat_are_ignored(event: msgspec.Struct) -> None:
    newer = msgspec.json.decode(msgspec.json.encode(event)) | {"from_the_future": [1, {"a": None}]}
    assert msgspec.json.decode(msgspec.json.encode(newer), type=type(event)) == event


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_events_are_frozen(event: msgspec.Struct) -> None:
    with pytest.raises(AttributeError):
        setattr(event, event.__struct_fields__[0], "x")


def test_what_is_empty_is_left_out() -> None:
    assert msgspec.json.encode(RUN) == b'{"id":"run_1","name":"x","created_at":"2026-01-12T10:00:00Z"}'
    ended = msgspec.structs.replace(RUN, exit_code=0)
    assert b'"exit_code":0' in msgspec.json.encode(ended), "0 is an answer, not an absence"


def test_defaults_are_not_shared() -> None:
    one, two = (RequestRecord(id=i, ts="", method="", url="") for i in "12")
    one.request_headers["A"] = "b"
    assert two.request_headers == {}


def test_which_states_have_ended() -> None:
    assert {state for state in RunState if state.ended} == {
        RunState.EXITED,
        RunState.STOPPED,
        RunState.FAILED,
        RunState.INTERRUPTED,
    }


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 12, 10, 0, 0, tzinfo=UTC), "2026-01-12T10:00:00Z"),
        (datetime(2026, 1, 12, 10, 0, 0, 120000, tzinfo=UTC), "2026-01-12T10:00:00.12Z"),
        (datetime(2026, 1, 12, 10, 0, 0, 1, tzinfo=UTC), "2026-01-12T10:00:00.000001Z"),
        (datetime(2026, 1, 12, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2026-01-11T23:30:00Z"),
        (datetime(999, 1, 2, tzinfo=UTC), "0999-01-02T00:00:00Z"),
    ],
)
def test_times_are_rfc_3339_in_utc(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text
    assert datetime.fromisoformat(text) == moment


def test_now_is_now() -> None:
    before = datetime.now(UTC)
    assert before <= datetime.fromisoformat(timestamp()) <= datetime.now(UTC)
