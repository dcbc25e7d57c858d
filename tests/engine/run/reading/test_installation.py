"""The runs that are there, held against the installation's log of those that were."""

from __future__ import annotations

import shutil

import pytest

from engine.audit import append_and_close, console
from engine.audit.checkpoint import Checkpoint
from engine.audit.judging.verdict import Verdict
from engine.credentials import KeySource
from engine.errors import AuditError, RunStateError
from engine.events import RunInfo, RunState, timestamp
from engine.heads import begin_run, read_history, record, record_head
from engine.home import Home
from engine.run import lifecycle
from engine.run.lifecycle import destroy_run
from engine.run.metadata import write_metadata
from engine.run.reading import installation
from engine.run.reading.installation import audit_installation, missing_runs, recorded_fault

GOOD = Verdict(
    valid=True, hash_chain_valid=True, attestations_valid=True, entry_count=3, closed=True, verdict="INTACT"
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    monkeypatch.setattr(installation, "verify_run", lambda home, run_id: GOOD)
    return Home(tmp_path / "moat")


@pytest.fixture
def put(home):
    """A finished run as it lies in runs/; with `recorded`, as a supervisor of this installation left it."""

    def make(run_id, *, recorded=True, log=True):
        info = RunInfo(run_id, f"name-{run_id}", timestamp(), RunState.EXITED)
        write_metadata(home, info)
        if recorded:
            keys = begin_run(home, KeySource(home), run_id)
            head = Checkpoint(keys.origin, 3, bytes(32))
            record_head(home, run_id, str(head.sign(keys.signer)))
        if log:
            path = home.run(run_id) / "audit.db"
            path.touch(0o600)
            append_and_close(home, path, [console("hello")])
        return info

    return make


def told(home):
    return {run.run: (run.verdict, run.why) for run in audit_installation(home).runs}


def test_every_run_has_a_line(home, put):
    put("run_a1")
    put("run_b2")
    found = audit_installation(home)
    assert found.well
    assert [(run.run, run.name, run.verdict, run.entries) for run in found.runs] == [
        ("run_b2", "name-run_b2", "INTACT", 3),
        ("run_a1", "name-run_a1", "INTACT", 3),
    ]
    assert (found.events, found.signed, found.keys, found.destroyed) == (4, 3, 0, 0)
    assert missing_runs(home).runs == ()


def test_without_a_log_of_its_own_an_installation_is_well(home, put):
    put("run_a1", recorded=False)
    assert audit_installation(home).well
    assert missing_runs(home).runs == ()


def test_a_removed_directory_is_named(home, put):
    put("run_a1")
    put("run_b2")
    shutil.rmtree(home.run("run_a1"))
    found = audit_installation(home)
    (gone,) = missing_runs(home).runs
    assert gone == found.runs[-1]
    assert (gone.run, gone.verdict, gone.well, gone.entries) == ("run_a1", "TRUNCATED", False, 3)
    assert gone.why.startswith("its directory was removed, and not by moat destroy; it began at 20")
    assert not found.well


def test_a_moved_away_runs_directory_is_all_runs_missing(home, put):
    put("run_a1")
    shutil.rmtree(home.runs)
    assert [run.run for run in missing_runs(home).runs] == ["run_a1"]


async def test_a_destroyed_run_is_not_missing(home, put):
    put("run_a1")
    await destroy_run(home, "run_a1")
    found = audit_installation(home)
    assert (found.well, found.runs, found.destroyed) == (True, (), 1)
    assert found.signed == found.events  # the key was at hand


async def test_a_destroyed_run_that_was_put_back_is_named(home, put, tmp_path):
    put("run_a1")
    shutil.copytree(home.run("run_a1"), tmp_path / "copy")
    await destroy_run(home, "run_a1")
    shutil.copytree(tmp_path / "copy", home.run("run_a1"))
    verdict, why = recorded_fault(home, "run_a1", read_history(home))
    assert verdict == "TAMPERED"
    assert "put back from a copy" in why


def test_a_run_from_elsewhere_is_named(home, put):
    put("run_a1")
    put("run_b2", recorded=False)
    assert "knows nothing of this run" in recorded_fault(home, "run_b2", read_history(home))[1]


def test_a_run_from_before_the_log_is_left_alone(home, put):
    put("run_a1", recorded=False)
    put("run_b2")
    assert recorded_fault(home, "run_a1", read_history(home)) == ("", "")


def test_a_run_that_never_began_has_nothing_to_compare(home, put):
    put("run_a1")
    put("run_b2", recorded=False, log=False)
    assert recorded_fault(home, "run_b2", read_history(home)) == ("", "")


def test_a_run_that_failed_before_it_had_a_log_is_no_alarm(home, put, monkeypatch):
    def missing(home, run_id):
        raise AuditError("audit.db is missing")

    monkeypatch.setattr(installation, "verify_run", missing)
    put("run_a0", recorded=False, log=False)  # from before the installation had a log: who could tell?
    put("run_b1", log=False)  # it began, so its log was taken away
    put("run_c2", recorded=False, log=False)
    assert told(home) == dict.fromkeys(("run_a0", "run_b1"), ("TAMPERED", "audit.db is missing"))


def test_a_log_that_does_not_hold_is_the_installations_fault(home, put):
    put("run_a1")
    (home.heads / "heads.db").unlink()
    found = audit_installation(home)
    assert (found.well, found.fault) == (False, "the installation's log is missing")


async def test_a_full_disk_does_not_keep_a_run(home, put, monkeypatch):
    """Destroying is what makes room: what cannot be recorded before is recorded after."""
    put("run_a1")
    calls = []

    def full(*arguments, **named):
        calls.append(home.run("run_a1").exists())
        if calls == [True]:
            raise AuditError("the disk is full")
        return real(*arguments, **named)

    real = record.destroy_run
    monkeypatch.setattr("engine.heads.destroy_run", full, raising=False)
    await destroy_run(home, "run_a1")
    assert calls == [True, False]
    assert audit_installation(home).well


async def test_a_live_run_is_not_recorded_as_destroyed(home, put, monkeypatch):
    put("run_a1")
    monkeypatch.setattr(lifecycle, "supervisor_alive", lambda home, run_id: True)
    with pytest.raises(RunStateError):
        await destroy_run(home, "run_a1")
    assert not read_history(home).runs["run_a1"].destroyed_at


def test_a_run_that_is_destroyed_meanwhile_has_no_line(home, put, monkeypatch):
    put("run_a1")

    def verify(home, run_id):
        record.destroy_run(home, KeySource(home), run_id)
        shutil.rmtree(home.run(run_id))
        raise AuditError("there is no audit log")

    monkeypatch.setattr(installation, "verify_run", verify)
    assert audit_installation(home).well
