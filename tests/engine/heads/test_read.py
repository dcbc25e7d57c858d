"""Reading the installation's log: every damage is named, nothing is touched, a run's evidence verifies."""

from __future__ import annotations

import base64
import json
import re
import sqlite3

import pytest

from engine.audit import Signer
from engine.audit.canonical import canonical_json
from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.keys import Certificate
from engine.audit.merkle import Frontier, included, leaf_hash
from engine.audit.note import NoteKey, parse_note, verified_by
from engine.audit.tree import frontier_json
from engine.errors import AuditError
from engine.heads import (
    HeadsState,
    closing,
    installation_evidence,
    known,
    look_at_heads,
    read_history,
    record_head,
)
from engine.heads.event import parse_event


def folder(machine):
    return {path.name: path.read_bytes() for path in machine.home.heads.iterdir()}


def test_reading_leaves_no_trace(lived):
    before = folder(lived)
    assert read_history(lived.home).fault == ""
    assert installation_evidence(lived.home, "run_a1")
    assert folder(lived) == before


def test_reading_what_a_killed_writer_left(lived):
    writer = sqlite3.connect(lived.home.heads / "heads.db", isolation_level=None)
    try:
        writer.execute("PRAGMA journal_mode = WAL")
        run = lived.run("run_d4")
        run.head(2)
        before = folder(lived)
        assert before["heads.db-wal"]
        history = read_history(lived.home)
        assert (history.fault, history.runs["run_d4"].size) == ("", 2)
        assert folder(lived) == before
    finally:
        writer.close()


def test_a_quick_look_sees_what_a_writer_would_refuse(lived):
    before = folder(lived)
    assert look_at_heads(lived.home) == HeadsState(10, 1)
    assert folder(lived) == before
    lived.sql("DELETE FROM events WHERE seq > 8")
    assert "ends at 8" in look_at_heads(lived.home).problem
    (lived.home.heads / "heads.db").write_bytes(b"x" * 5000)
    assert "is damaged" in look_at_heads(lived.home).problem
    (lived.home.heads / "heads.db").unlink()
    assert "is missing" in look_at_heads(lived.home).problem
    assert read_history(lived.home).fault == "the installation's log is missing"


def test_no_installation_has_no_history(machine):
    assert read_history(machine.home) is None
    assert look_at_heads(machine.home) is None
    assert not machine.home.root.exists()


@pytest.mark.parametrize("run_id", ["run_a1", "run_b2"])
def test_evidence_leads_from_the_pinned_key_to_the_runs_start(lived, run_id):
    lived.run("run_d4")  # under whose signed head the open run's newest one is
    evidence = json.loads(json.dumps(installation_evidence(lived.home, run_id)))
    key0 = base64.b64decode(evidence["key"])
    assert key0.hex() == (lived.home.heads / "signing.pub").read_text().strip()
    history = read_history(lived.home)
    keys = [NoteKey(history.origin, key0)] + [
        NoteKey(history.origin, base64.b64decode(note.split("\n")[2])) for note in evidence["keys"]
    ]
    note = parse_note(evidence["checkpoint"].encode())
    assert verified_by(note, keys)
    head = parse_checkpoint(note.text)
    events = []
    for item in evidence["events"]:
        event = json.loads(item["body"])
        proof = [base64.b64decode(part) for part in item["proof"]]
        assert included(leaf_hash(item["body"].encode()), event["seq"] - 1, head.size, proof, head.root)
        events.append(event["event"])
    assert events == ["start", "close" if run_id == "run_a1" else "head"]
    assert installation_evidence(lived.home, "run_zz") is None


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM events WHERE seq = 4", "event 4 of the installation's log is missing"),
        ("DELETE FROM events WHERE seq > 8", "it ends at event 8, and 10 were signed"),
        ("UPDATE events SET body = replace(body, '-01T', '-02T') WHERE seq = 2", "older than the one before"),
        ("UPDATE events SET body = replace(body, 'a1\",', 'a2\",') WHERE seq = 2", "no head of that run"),
        ("UPDATE events SET body = replace(body, 'run_a1', '../a1') WHERE seq = 2", "names no run"),
        ("UPDATE events SET body = replace(body, ',', ', ') WHERE seq = 2", "event 2 of .* is not one"),
        ("UPDATE events SET body = x'ff' WHERE seq = 2", "event 2 of .* is not one"),
        ("DELETE FROM checkpoints WHERE size = 10", "head of 10 events .* is missing"),
        ("UPDATE checkpoints SET note = (SELECT note FROM checkpoints) WHERE size = 10", "another one"),
        ("UPDATE checkpoints SET note = 'x' WHERE size = 10", "not a signed note"),
        ("UPDATE metadata SET value = 'moat/x' WHERE key = 'origin'", "another installation"),
        ("DELETE FROM metadata WHERE key = 'frontier'", "what its tree is"),
        ("DROP TABLE checkpoints", "table checkpoints is missing"),
    ],
)  # fmt: skip
def test_every_change_is_named(lived, statement, fault):
    lived.sql(statement)
    assert re.search(fault, read_history(lived.home).fault)


def test_a_log_of_other_keys_is_not_ours(lived):
    (lived.home.heads / "signing.pub").write_text(Signer(bytes(32)).public_key.hex())
    assert read_history(lived.home).fault == "event 1 of the installation's log certifies no key of that run"
    (lived.home.heads / "signing.pub").unlink()
    assert "signing.pub, is missing" in read_history(lived.home).fault


def test_a_start_that_todays_key_made_for_yesterday_is_refused(lived):
    """The key found on disk today cannot make a run of the day before: its certificates stand in between."""
    history = read_history(lived.home)
    forged = Signer(bytes(32))
    said = Certificate(f"{history.origin}/run_a1", 0, forged.public_key, 0, "2026-03-01T12:00:00Z")
    body = json.loads(lived.sql("SELECT body FROM events WHERE seq = 1")[0][0])
    body["note"] = str(said.sign(forged, history.origin))
    lived.sql(f"UPDATE events SET body = '{canonical_json(body)}' WHERE seq = 1")
    assert read_history(lived.home).fault == "event 1 of the installation's log certifies no key of that run"


def test_two_heads_of_one_size_contradict_each_other(machine):
    run, other = machine.run(), machine.run("run_b2")
    run.head(3)
    head = parse_checkpoint(parse_note(read_history(machine.home).runs[run.id].head.encode()).text)
    wrong = type(head)(head.origin, head.size, bytes(32))
    record_head(machine.home, run.id, str(wrong.sign(run.keys.signer)), clock=machine.clock)
    history = read_history(machine.home)
    assert history.runs[run.id].fault == "two different heads of 3 entries were recorded"
    assert (history.fault, history.runs[other.id].fault) == ("", "")


def test_a_head_after_the_close_record_contradicts_it(machine):
    run = machine.run()
    run.head(3)
    run.close()
    run.close()  # said again by a later command
    assert read_history(machine.home).runs[run.id].fault == ""
    run.head(1)
    assert "after its close record" in read_history(machine.home).runs[run.id].fault


def test_a_later_versions_keys_and_events_pass():
    body = canonical_json({"event": "witness", "more": [1], "seq": 3, "ts": "2026-03-01T12:00:00Z"})
    assert parse_event(body, 3).event == "witness"
    for damaged in (
        body.replace("3", "4"),
        body[:-1] + ',"seq":3}',
        body.replace('"seq"', '"s"'),
        "[]",
        "",
        None,
    ):
        with pytest.raises(AuditError):
            parse_event(damaged, 3)


def test_todays_key_cannot_make_up_yesterday(lived):
    """Whoever has the key that lies on the disk writes the log anew, without the run of the day before."""
    with closing(lived.home, lived.keys(), "run_x", clock=lived.clock) as today:
        signer = today.signer
    assert len(read_history(lived.home).certificates) == 1
    rows = lived.sql("SELECT seq, body FROM events ORDER BY seq")
    bodies = [json.loads(body) for _, body in rows]
    for body in bodies[:4]:
        body.pop("note")
        body |= {"event": "destroy", "run": "run_other"}
    tree = Frontier()
    connection = sqlite3.connect(lived.home.heads / "heads.db", isolation_level=None)
    for body in bodies:
        text = canonical_json(body)
        tree.add(leaf_hash(text.encode()))
        connection.execute("UPDATE events SET body = ? WHERE seq = ?", (text, body["seq"]))
    head = Checkpoint(read_history(lived.home).origin, tree.size, tree.root()).sign(signer)
    connection.execute("DELETE FROM checkpoints")
    connection.execute("INSERT INTO checkpoints VALUES (?, ?)", (tree.size, str(head)))
    for name in ("frontier", "signed"):
        connection.execute("UPDATE metadata SET value = ? WHERE key = ?", (frontier_json(tree), name))
    connection.close()
    known._known.clear()
    fault = "the head that the key before it signed last is missing before event 5 of the installation's log"
    assert read_history(lived.home).fault == fault
