"""Closing the log of a run whose writer died."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.audit import (
    AuditLog,
    Signer,
    append_and_close,
    console,
    container,
    export_bundle,
    read_entries,
    verify_log,
)
from engine.errors import AuditError
from engine.home import Home

END = container("stopped", reason="interrupted")


def test_a_log_that_was_closed_gets_a_later_attestation(home: Home, written: Path, signer: Signer):
    (entry,) = append_and_close(home, written, [END], signer)
    assert entry.seq == 11
    verdict = verify_log(written, public_key=signer.public_key, finished=True)
    assert (verdict.valid, verdict.entry_count, verdict.attestation_count) == (True, 11, 2)
    assert [item.name for item in written.parent.iterdir()] == ["audit.db"]


def test_signing_the_same_end_again_changes_nothing(home: Home, written: Path, signer: Signer):
    before = json.loads(export_bundle(written))["attestations"]
    assert append_and_close(home, written, [], signer) == []
    assert json.loads(export_bundle(written))["attestations"] == before  # its time too
    append_and_close(home, written, [], Signer.generate())
    assert json.loads(export_bundle(written))["attestations"] != before


async def test_a_killed_writers_log_is_recovered(home: Home, path: Path, signer: Signer):
    left = home.run("run_left")
    async with await AuditLog.open(home, path) as log:
        await log.append(console("kept"))
        shutil.copytree(path.parent, left)
    append_and_close(home, left / "audit.db", [END], signer)
    assert [entry.data for entry in read_entries(left / "audit.db")] == [{"line": "kept"}, END[1]]
    assert verify_log(left / "audit.db", public_key=signer.public_key, finished=True).valid
    assert [item.name for item in left.iterdir()] == ["audit.db"]


def test_a_log_cut_off_before_its_first_entry(home: Home, path: Path, signer: Signer):
    home.ensure_dir(path.parent)
    path.touch(0o600)
    append_and_close(home, path, [END], signer)
    assert verify_log(path, finished=True).entry_count == 1


def test_a_removed_log_is_not_papered_over(home: Home, path: Path, signer: Signer):
    with pytest.raises(AuditError, match="there is no audit log"):
        append_and_close(home, path, [END], signer)
    assert not path.exists()


def test_an_entry_that_does_not_fit_changes_nothing(home: Home, written: Path, signer: Signer):
    before = written.read_bytes()
    with pytest.raises(AuditError, match="consol"):
        append_and_close(home, written, [END, ("consol", {})], signer)
    assert written.read_bytes() == before


def test_a_broken_log_is_not_signed(home: Home, path: Path, signer: Signer):
    home.ensure_dir(path.parent)
    path.write_bytes(b"x" * 5000)
    with pytest.raises(AuditError, match="cannot be used"):
        append_and_close(home, path, [END], signer)
    assert path.read_bytes() == b"x" * 5000
