"""Anchors in a proof bundle: what a reader sees with the right keys, the wrong ones and none."""

from __future__ import annotations

import msgspec
import pytest
from support.anchor_log import ORIGIN, head_of

from engine.anchors.cosignature import COSIGNATURE, cosign
from engine.anchors.evidence import Finding, Pins, Statement, held, judge_statement, statements
from engine.anchors.head import Anchored, Head
from engine.anchors.kept import write_anchored
from engine.audit import Signer
from engine.audit.note import NoteKey
from engine.home import Home

WITNESS = Signer(bytes(31) + b"w")
NAME = "witness.test/w1"
PINS = Pins((NoteKey(NAME, WITNESS.public_key, COSIGNATURE),))
NOW = 1_679_315_147


def cosigned(head: Head) -> str:
    return head.note + cosign(head.checkpoint.text(), NAME, WITNESS, NOW).line()


def kept(home: Home, head: Head, body: str, kind: str = "witness") -> Statement:
    """As it comes out of a bundle that quotes a head of 9 events."""
    write_anchored(home, Anchored(kind, "there", head.checkpoint.size, head.note, "", body))  # type: ignore[arg-type]
    (found,) = statements(home, head_of(9))
    return msgspec.convert(found, Statement)


def judged(statement: Statement, pins: Pins = PINS, newest: int = 3) -> Finding:
    return judge_statement(statement, head_of(9).checkpoint, newest, pins)


@pytest.mark.parametrize("size", [1, 4, 8, 9])
def test_a_cosignature_is_confirmed_by_its_key_only(home: Home, size: int):
    statement = kept(home, head_of(size), cosigned(head_of(size)))
    found = judged(statement, newest=1)
    assert found.confirmed
    assert "cosigned by witness.test/w1 at 2023-03-20T12:25:47Z" in found.text
    assert "this run's among them" in found.text
    assert "not yet all" in judged(statement, newest=size + 1).text
    unknown = judged(statement, Pins())
    assert not unknown.confirmed
    assert "its key was not given" in unknown.text


def test_another_history_that_a_pinned_witness_saw_contradicts(home: Home):
    other = head_of(4, "other")
    statement = Statement("witness", "there", 4, cosigned(other), kept(home, head_of(4), "x").proof)
    found = judged(statement)
    assert (found.confirmed, found.contradicts) == (True, True)
    assert not judged(statement, Pins()).contradicts  # anybody could have made that up


def test_a_changed_cosignature_does_not_hold(home: Home):
    body = cosigned(head_of(4))
    for wrong in (body.replace("\n4\n", "\n5\n", 1), body.replace(ORIGIN, "moat/else", 1), "nonsense", ""):
        found = judged(Statement("witness", "there", 4, wrong, ()))
        assert not found.confirmed


def test_what_cannot_be_verified_says_how_to(home: Home):
    head = head_of(4)
    directory = kept(home, head, head.note, "directory")
    assert "compare with what lies there" in judged(directory).text
    git = Statement("git", "r\x1b[31m", 4, f"commit abc\n\n{head.note}", directory.proof)
    assert "compare with the commit there" in judged(git).text
    assert "\x1b" not in judged(git).text
    for nonsense in ("{}", '{"x":' + "[" * 100_000):
        assert "does not hold" in judged(Statement("rekor", "there", 4, nonsense, ())).text


def test_what_is_beyond_the_quoted_head_stays_out(home: Home):
    write_anchored(home, Anchored("directory", "there", 12, head_of(12).note, "", head_of(12).note))
    assert statements(home, head_of(9)) == []
    assert statements(home, None) == []


def test_what_a_place_holds_by_our_own_account():
    assert held(Anchored("directory", "/x", 4, "", "2026-01-12T10:00:00Z"), 3).endswith(
        "since 2026-01-12T10:00:00Z"
    )
    assert "nothing yet: no way" in held(Anchored("directory", "/x", problem="no way"), 3)
