"""A supervisor tells the installation's log how far its log has got, and never waits for it."""

from __future__ import annotations

import threading

import pytest

from engine.audit.checkpoint import Checkpoint
from engine.errors import AuditError
from engine.heads import RunHeads, read_history, record


@pytest.fixture
def said():
    return []


@pytest.fixture
def heads(machine, said):
    return RunHeads(machine.home, machine.keys(), "run_a1", said.append)


def notes(keys, *sizes, end=0):
    for size in sizes:
        yield str(Checkpoint(keys.origin, size, bytes(32)).sign(keys.signer)), size
    if end:
        yield str(Checkpoint.closing(keys.origin, end, bytes(32), "exited").sign(keys.signer)), end


def test_what_is_told_is_recorded_when_it_is_closed(machine, heads, said):
    keys = heads.begin()
    for note in notes(keys, 1, 5, 9, end=9):
        heads.tell(*note)
    heads.close()
    run = read_history(machine.home).runs["run_a1"]
    assert (run.size, bool(run.closed), run.fault, said) == (9, True, "", [])
    assert read_history(machine.home).signed == read_history(machine.home).size


def test_the_newest_waits_for_a_slow_disk_and_the_run_does_not(machine, heads, monkeypatch):
    keys = heads.begin()
    slow, asked = threading.Event(), threading.Event()
    real = record.record_head

    def record_head(*arguments):
        asked.set()
        assert slow.wait(20)
        real(*arguments)

    monkeypatch.setattr(record, "record_head", record_head)
    first, *rest = notes(keys, 1, 2, 3, 4)
    heads.tell(*first)
    assert asked.wait(20)
    for note in rest:
        heads.tell(*note)  # returns although nothing is recorded yet
    slow.set()
    heads.close()
    assert read_history(machine.home).size == 3  # start, the first and the newest head
    assert read_history(machine.home).runs["run_a1"].size == 4


def test_a_log_that_cannot_be_told_is_said_once(machine, heads, said):
    keys = heads.begin()
    (machine.home.heads / "heads.db").unlink()
    for note in notes(keys, 1, end=2):
        heads.tell(*note)
    heads.close()
    assert len(said) == 1
    assert "does not learn how far this run's log has got: the installation's log" in said[0]


def test_a_run_that_told_nothing_ends_at_once(heads):
    heads.close()


def test_a_start_that_cannot_be_recorded_is_an_error(machine, heads):
    machine.run("run_z9")
    (machine.home.heads / "heads.db").unlink()
    with pytest.raises(AuditError, match="is missing"):
        heads.begin()


def test_threads_of_one_process_do_not_break_each_others_locks(machine):
    """Closing any descriptor of a file drops all of a process's POSIX locks on it; readers copy the file."""
    runs = [machine.run(f"run_{number}") for number in range(4)]
    faults: list[str] = []

    def append(run):
        for _ in range(15):
            run.head(1)

    def read():
        faults.extend(read_history(machine.home).fault for _ in range(15))

    threads = [threading.Thread(target=append, args=(run,)) for run in runs]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    history = read_history(machine.home)
    assert (history.fault, history.size, set(faults)) == ("", 64, {""})
    assert {run.size for run in history.runs.values()} == {15}
