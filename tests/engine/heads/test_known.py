"""A process that asks again reads only what was added, and comes to the same."""

from __future__ import annotations

import sqlite3

import pytest

from engine.heads import closing, history, known, read_history


@pytest.fixture
def looked_at(monkeypatch):
    seqs = []
    real = history.parse_event
    monkeypatch.setattr(history, "parse_event", lambda body, seq: seqs.append(seq) or real(body, seq))
    return seqs


def whole(machine):
    known._known.clear()
    return read_history(machine.home)


def facts(found):
    return (
        found.fault,
        found.size,
        found.signed,
        found.checkpoint,
        found.runs,
        found.bodies,
        found.leaves(found.size),
    )


def test_only_what_was_added_is_read(machine, looked_at):
    run = machine.run()
    run.head(3)
    first = read_history(machine.home)
    assert read_history(machine.home) is first
    assert looked_at == [1, 2]
    run.head(4)
    machine.clock.pass_(days=1)
    machine.run("run_b2")
    later = read_history(machine.home)
    assert looked_at == [1, 2, 3, 4, 5]
    assert (first.size, first.runs[run.id].size, "run_b2" in first.runs) == (2, 3, False)  # as it was
    assert facts(later) == facts(whole(machine))


def test_a_head_that_is_signed_later_counts(machine):
    machine.run().head(3)
    assert read_history(machine.home).signed == 1
    with closing(machine.home, machine.keys(), "run_a1", clock=machine.clock):
        pass
    later = read_history(machine.home)
    assert later.signed == later.size == 2
    assert facts(later) == facts(whole(machine))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM checkpoints WHERE size = 3",
        "UPDATE checkpoints SET note = 'x' WHERE size = 1",
        "UPDATE metadata SET value = 'x' WHERE key = 'origin'",
    ],
)
def test_what_the_log_says_of_itself_is_read_every_time(machine, statement):
    run = machine.run()
    run.head(3)
    run.close()
    assert read_history(machine.home).fault == ""
    connection = sqlite3.connect(machine.home.heads / "heads.db", isolation_level=None)
    connection.execute(statement)
    connection.close()
    assert read_history(machine.home).fault


def test_an_older_copy_put_back_meanwhile_is_seen(machine):
    run = machine.run()
    older = (machine.home.heads / "heads.db").read_bytes()
    run.head(3)
    assert read_history(machine.home).size == 2
    (machine.home.heads / "heads.db").write_bytes(older)
    for _ in range(2):
        assert "not those that were written" in read_history(machine.home).fault


def test_the_whole_log_is_read_again_after_a_while(machine, monkeypatch, looked_at):
    machine.run().head(3)
    read_history(machine.home)
    monkeypatch.setattr(known, "WHOLE_EVERY", -1)
    read_history(machine.home)
    assert looked_at == [1, 2, 1, 2]
