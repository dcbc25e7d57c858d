"""approvals, approve, deny: what is shown of a waiting request, and what is asked of the engine."""

from __future__ import annotations

import json

import pytest

from engine import Approval, RunState

LOOKALIKE = "xn--pple-43d.com"
WAITING = Approval(
    "a1", LOOKALIKE, 443, "GET", "/\u202ex", since="2026-01-12T10:00:00Z", until="2099-01-01T00:00:00Z",
    reads_as="\u0430pple.com", requests=2,
)  # fmt: skip


@pytest.fixture
def waiting(put_run, fake):
    run = put_run(policy="ask", state=RunState.RUNNING, exit_code=None)
    fake("waiting_approvals", lambda home, run_id: [WAITING] if run_id == run.id else [])
    fake("reap", _nothing)
    return run


async def _nothing(home):
    return []


@pytest.fixture
def answered(fake):
    answers = []

    async def answer(home, run_id, approval, answer):
        answers.append((run_id, approval, answer))

    fake("answer_approval", answer)
    return answers


def test_the_host_stands_there_whole_as_it_is_sent_and_as_it_reads(moat, waiting, capsys):
    assert moat("approvals") == 0
    out = capsys.readouterr().out
    assert f"swift-otter a1 GET https://{LOOKALIKE}:443/\\u202ex" in out
    assert "2 alike" in out
    assert "reads as \u0430pple.com" in out


def test_json_has_the_run_and_every_field(moat, waiting, capsys):
    assert moat("approvals", "swift-otter", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "run_id": waiting.id, "run": "swift-otter", "id": "a1", "host": LOOKALIKE, "port": 443,
        "method": "GET", "path": "/\u202ex", "since": WAITING.since, "until": WAITING.until, "tls": True,
        "reads_as": "\u0430pple.com", "requests": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (("approve",), "once"),
        (("approve", "--once"), "once"),
        (("approve", "--run"), "run"),
        (("approve", "--always"), "always"),
        (("deny",), "deny"),
        (("deny", "--run"), "deny-run"),
    ],
)
def test_answers(moat, waiting, answered, capsys, argv, answer):
    command, *options = argv
    assert moat(command, "swift-otter", "a1", *options) == 0
    assert answered == [(waiting.id, "a1", answer)]
    assert LOOKALIKE in capsys.readouterr().out


def test_nothing_waits_and_no_supervisor(moat, put_run, capsys):
    assert moat("approvals") == 0
    assert "no request waits" in capsys.readouterr().err
    put_run(policy="ask")
    assert moat("approve", "swift-otter", "a1") == 125
    assert "does not answer on its control socket" in capsys.readouterr().err


def test_watching_says_that_somebody_is_there_until_the_run_is_over(moat, waiting, put_run, fake, capsys):
    told = []

    async def watch(home, run_id):
        told.append(run_id)
        put_run(policy="ask", state=RunState.EXITED)

    fake("watch_approvals", watch)
    assert moat("approvals", waiting.id, "--watch") == 0
    said = capsys.readouterr()
    assert told == [waiting.id]
    assert f"https://{LOOKALIKE}:443" in said.out
    assert "watching" in said.err
    assert "the run is over" in said.err
