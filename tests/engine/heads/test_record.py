"""What a run's life leaves in the installation's log, and what keeps it from being left."""

from __future__ import annotations

import pytest

from engine.audit.checkpoint import parse_checkpoint
from engine.audit.keys import parse_certificate
from engine.audit.note import NoteKey, parse_note, verified_by
from engine.credentials import KeySource
from engine.errors import AuditError, CredentialError, KeychainError, MoatError
from engine.heads import closing, destroy_run, read_history, read_pin, record_head, recorded_heads


class Locked(KeySource):
    def load(self):
        raise KeychainError("the keychain is locked")

    load_or_create = load


def events(machine):
    return [row[0] for row in machine.sql("SELECT json_extract(body, '$.event') FROM events ORDER BY seq")]


def test_a_life_is_recorded(lived):
    history = read_history(lived.home)
    assert history.fault == ""
    assert events(lived) == [
        "start",
        "head",
        "head",
        "close",
        "key",
        "start",
        "head",
        "start",
        "close",
        "destroy",
    ]
    first, second, third = (history.runs[name] for name in ("run_a1", "run_b2", "run_c3"))
    assert (first.size, bool(first.closed), first.destroyed_at) == (5, True, "")
    assert parse_checkpoint(parse_note(first.closed.encode()).text).closed == "exited"
    assert (second.size, second.closed) == (7, "")
    assert third.destroyed_at == "2026-03-02T13:00:10Z"
    assert history.signed == history.size == 10
    assert recorded_heads(lived.home, "run_zz") is None


def test_a_runs_certificate_leads_to_the_pinned_key(lived):
    history = read_history(lived.home)
    keys = [NoteKey(history.origin, read_pin(lived.home))]
    keys += [parse_certificate(note.text).note_key for note in history.certificates]
    signed_by = [verified_by(parse_note(history.runs[r].start.encode()), keys) for r in ("run_a1", "run_b2")]
    assert signed_by == [(keys[0],), (keys[1],)]  # a day later, by another key
    said = parse_certificate(parse_note(history.runs["run_b2"].start.encode()).text)
    assert (said.origin, said.number, said.size) == (f"{history.origin}/run_b2", 0, 0)


def test_no_key_is_made_while_the_keychain_is_locked(lived):
    before = lived.sql("SELECT * FROM events")
    lived.clock.pass_(days=2)
    locked = closing(lived.home, Locked(lived.home, {}), "run_b2", clock=lived.clock)
    with pytest.raises(KeychainError), locked:
        pass
    assert lived.sql("SELECT * FROM events") == before
    destroy_run(lived.home, Locked(lived.home, {}), "run_b2", clock=lived.clock)
    history = read_history(lived.home)
    assert (history.fault, history.signed, history.size) == ("", 10, 11)
    assert history.runs["run_b2"].destroyed_at
    lived.run("run_d4")  # whoever signs next signs that too
    assert read_history(lived.home).signed == 13


def test_times_never_go_back(machine):
    machine.run("run_a1")
    machine.clock.pass_(days=-400)
    machine.run("run_b2")
    history = read_history(machine.home)
    assert history.fault == ""
    assert history.runs["run_a1"].started_at == history.runs["run_b2"].started_at


def test_a_clock_that_was_set_back_does_not_keep_a_key_alive(machine):
    machine.clock.pass_(days=400)
    machine.run("run_a1")
    machine.clock.pass_(days=-400)
    for name in ("run_b2", "run_c3"):
        machine.run(name)
    assert len(read_history(machine.home).certificates) == 1  # once, and not at every run
    machine.clock.pass_(days=1)
    machine.run("run_d4")
    assert len(read_history(machine.home).certificates) == 2


def test_a_dead_runs_log_is_closed_with_the_key_of_the_day(machine):
    run = machine.run()
    run.head(4)
    machine.clock.pass_(days=3)
    with closing(machine.home, machine.keys(), run.id, clock=machine.clock) as last:
        found = run.grow(1)
        end = found.closing(found.origin, found.size, found.root, "interrupted")
        note = end.sign(last.signer, last.origin)
        last.record(str(note))
    history = read_history(machine.home)
    assert history.fault == ""
    assert history.runs[run.id].closed == str(note)
    assert history.runs[run.id].size == 5
    key = parse_certificate(history.certificates[-1].text).note_key
    assert verified_by(note, [key]) == (key,)


def test_a_head_that_is_none_is_not_recorded(machine):
    run = machine.run()
    with pytest.raises(AuditError, match="not a signed note"):
        record_head(machine.home, run.id, "nonsense", clock=machine.clock)
    assert read_history(machine.home).size == 1


def test_without_an_installation_nothing_is_recorded(machine):
    destroy_run(machine.home, machine.keys(), "run_a1")
    assert not machine.home.heads.exists()
    with pytest.raises((MoatError, FileNotFoundError)):
        record_head(machine.home, "run_a1", "note")


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM events WHERE seq = 9", "event 9|cut off|written"),
        ("DELETE FROM events WHERE seq > 8", "should hold 10 events and ends at 8"),
        ("DELETE FROM checkpoints WHERE size = 10", "not among its checkpoints"),
        ("UPDATE metadata SET value = 'moat/0123456789abcdef' WHERE key = 'origin'", "0123456789abcdef"),
        ("UPDATE metadata SET value = '{}' WHERE key = 'frontier'", "what its tree is"),
        ("UPDATE metadata SET value = '{\"size\":0,\"roots\":[]}' WHERE key = 'signed'", "checkpoints"),
        ("DELETE FROM metadata", "emptied"),
        ("DROP TABLE events", "emptied"),
    ],
)
def test_nothing_is_signed_over_a_log_that_was_changed(lived, statement, why):
    lived.sql(statement)
    if "seq = 9" in statement:  # before the last signed head: what is signed still is what was signed
        lived.run("run_d4")
        assert read_history(lived.home).fault == "event 9 of the installation's log is missing"
        return
    with pytest.raises(AuditError, match=why):
        lived.run("run_d4")
    assert read_history(lived.home).fault


def test_unsigned_events_that_were_changed_are_not_signed(machine):
    run = machine.run()
    run.head(3)
    run.head(2)
    machine.sql("UPDATE events SET body = replace(body, '\"seq\":2', '\"seq\":2 ') WHERE seq = 2")
    with pytest.raises(AuditError, match="events after 1 are not those that were written"):
        machine.run("run_b2")


def test_a_removed_log_is_missed(lived):
    (lived.home.heads / "heads.db").unlink()
    with pytest.raises(AuditError, match=r"heads\.db is missing"):
        lived.run("run_d4")
    assert not (lived.home.heads / "heads.db").exists()


def test_a_removed_log_is_missed_before_the_first_new_key(machine):
    machine.run()
    (machine.home.heads / "heads.db").unlink()
    with pytest.raises(AuditError, match=r"heads\.db is missing"):
        machine.run("run_b2")


@pytest.mark.parametrize("name", ["signing.key.enc", "signing.pub"])
def test_a_missing_key_is_not_made_again(lived, name):
    (lived.home.heads / name).unlink()
    with pytest.raises(MoatError, match=f"{name} is missing"):
        lived.run("run_d4")
    assert not (lived.home.heads / name).exists()


def test_an_older_copy_of_the_key_is_refused(machine):
    machine.run()
    old = (machine.home.heads / "signing.key.enc").read_bytes()
    machine.clock.pass_(days=1)
    machine.run("run_b2")
    (machine.home.heads / "signing.key.enc").write_bytes(old)
    with pytest.raises(CredentialError, match="not the key that the installation's log names"):
        machine.run("run_c3")


def test_an_older_copy_of_the_log_is_refused_after_a_new_key(machine):
    machine.run()
    old = (machine.home.heads / "heads.db").read_bytes()
    machine.clock.pass_(days=1)
    machine.run("run_b2")
    (machine.home.heads / "heads.db").write_bytes(old)
    with pytest.raises(CredentialError, match="not the key that the installation's log names"):
        machine.run("run_c3")


def test_an_installation_from_before_keeps_its_key(machine, tmp_path):
    from engine.audit import Signer
    from engine.credentials import SealedFile

    signer = Signer(bytes(range(32)))
    SealedFile(machine.home, machine.keys()).write(
        machine.home.heads / "signing.key.enc", "moat:audit-signing-key", signer.seed
    )
    pin = signer.public_key.hex().encode() + b"\n"
    machine.home.write(machine.home.heads / "signing.pub", pin)
    machine.run()
    machine.clock.pass_(days=1)
    machine.run("run_b2")
    assert (machine.home.heads / "signing.pub").read_bytes() == pin
    history = read_history(machine.home)
    assert (history.fault, history.key0, len(history.certificates)) == ("", signer.public_key, 1)
