"""Threats 35 and 36 on a real audit.db, and that looking at evidence leaves it as it was."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.audit import AuditLog, Signer, Verdict, append_and_close, console, entry_hash, verify_log
from engine.audit.lock import WriterLock
from engine.home import Home

type Edit = Callable[..., None]


def snapshot(directory: Path) -> dict[str, bytes]:
    return {item.name: item.read_bytes() for item in sorted(directory.iterdir())}


def check(path: Path, error: str, **options: object) -> Verdict:
    before = snapshot(path.parent)
    verdict = verify_log(path, **options)
    assert snapshot(path.parent) == before
    assert verdict.error == error
    assert verdict.valid is (not error)
    return verdict


def test_an_honest_log(written: Path, signer: Signer):
    verdict = check(written, "", public_key=signer.public_key, finished=True)
    assert (verdict.entry_count, verdict.attestation_count, verdict.closed) == (10, 1, True)
    assert len(verdict.last_hash) == 64
    assert sorted(snapshot(written.parent)) == ["audit.db"]


@pytest.mark.parametrize(
    ("sql", "error", "at"),
    [
        ("UPDATE entries SET data = replace(data, 'line 3', 'line 9') WHERE seq = 6", "hash", 6),
        ("UPDATE entries SET ts = '2026-01-01T00:00:00Z' WHERE seq = 4", "hash", 4),
        ("UPDATE entries SET type = 'network' WHERE seq = 1", "hash", 1),
        ("UPDATE entries SET hash = upper(hash) WHERE seq = 5", "hash", 5),
        ("UPDATE entries SET hash = 'x' WHERE seq = 10", "hash", 10),
        ("UPDATE entries SET data = CAST(data AS BLOB) WHERE seq = 2", "hash", 2),
        ("UPDATE entries SET data = '{' WHERE seq = 2", "hash", 2),
        ("UPDATE entries SET data = CAST(x'7bff7d' AS TEXT) WHERE seq = 7", "hash", 7),
        ("UPDATE entries SET prev_hash = '' WHERE seq = 3", "prev", 3),
        ("DELETE FROM entries WHERE seq = 4", "gap", 4),
        ("DELETE FROM entries WHERE seq = 1", "gap", 1),
        ("UPDATE entries SET seq = 40 WHERE seq = 4", "gap", 4),
        ("UPDATE entries SET seq = -1 WHERE seq = 1", "gap", 1),
    ],
)
def test_each_change_is_named(written: Path, edit: Edit, sql: str, error: str, at: int):
    edit(sql)
    verdict = verify_log(written)
    assert not verdict.valid
    assert not verdict.hash_chain_valid
    assert verdict.broken_at == at
    expected = {
        "hash": f"invalid hash at seq {at}: entry tampered",
        "prev": f"broken chain at seq {at}: prev_hash mismatch",
    }.get(error, f"sequence gap: expected {at}, got ")
    assert verdict.error.startswith(expected)


REBUILD = (
    "CREATE TABLE loose (seq, ts, type, prev_hash, data, hash)",
    "INSERT INTO loose SELECT * FROM entries",
    "DROP TABLE entries",
    "ALTER TABLE loose RENAME TO entries",
)


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("INSERT INTO entries SELECT * FROM entries WHERE seq = 3", "sequence gap: expected 4, got 3"),
        ("UPDATE entries SET seq = 3.0 WHERE seq = 3", "sequence gap: expected 3, got '3.0'"),
        ("UPDATE entries SET seq = '3' WHERE seq = 3", "sequence gap: expected 3, got 4"),
        ("UPDATE entries SET data = NULL WHERE seq = 3", "invalid hash at seq 3: entry tampered"),
        ("UPDATE entries SET hash = NULL WHERE seq = 3", "invalid hash at seq 3: entry tampered"),
        ("UPDATE entries SET ts = NULL WHERE seq = 3", "invalid hash at seq 3: entry tampered"),
        (
            "UPDATE entries SET seq = CASE seq WHEN 3 THEN 4 ELSE 3 END WHERE seq IN (3, 4)",
            "broken chain at seq 3",
        ),
    ],
)
def test_a_table_rebuilt_without_its_key_hides_nothing(written: Path, edit: Edit, sql: str, error: str):
    edit(*REBUILD, sql)
    verdict = verify_log(written)
    assert not verdict.valid
    assert verdict.error.replace("got 3.0", "got '3.0'").startswith(error)


def test_a_view_in_place_of_the_table(written: Path, edit: Edit):
    edit("ALTER TABLE entries RENAME TO real", "CREATE VIEW entries AS SELECT * FROM real")
    check(written, "entries is not an ordinary table")


def test_entries_of_another_run_spliced_in(home: Home, written: Path, edit: Edit):
    other = home.run("run_b2") / "audit.db"
    home.ensure_dir(other.parent)
    other.touch(0o600)
    append_and_close(home, other, [console(f"other {n}") for n in range(10)])
    edit(
        f"ATTACH '{other}' AS other",
        "DELETE FROM entries WHERE seq = 5",
        "INSERT INTO entries SELECT * FROM other.entries WHERE seq = 5",
    )
    verdict = verify_log(written)
    assert verdict.error == "broken chain at seq 5: prev_hash mismatch"
    assert len(verdict.expected) == len(verdict.found) == 64


def rehash(path: Path, last: int) -> None:
    """Change entry 3 and re-hash everything after it: a chain that is right in itself."""
    connection = sqlite3.connect(path)
    connection.execute("UPDATE entries SET data = '{\"line\":\"forged\"}', type = 'console' WHERE seq = 3")
    prev = connection.execute("SELECT hash FROM entries WHERE seq = 2").fetchone()[0]
    for seq in range(3, last + 1):
        ts, kind, data = connection.execute(
            "SELECT ts, type, data FROM entries WHERE seq = ?", (seq,)
        ).fetchone()
        digest = entry_hash(seq, ts, kind, prev, data)
        connection.execute("UPDATE entries SET prev_hash = ?, hash = ? WHERE seq = ?", (prev, digest, seq))
        prev = digest
    connection.commit()
    connection.close()


def test_the_whole_chain_rehashed(written: Path):
    rehash(written, 10)
    verdict = verify_log(written)
    assert verdict.error == "last hash mismatch: the attestation at seq 10 was made over another chain"
    assert verdict.hash_chain_valid
    assert not verdict.attestations_valid
    assert not verdict.closed


def test_the_whole_chain_rehashed_and_signed_with_another_key(
    written: Path, home: Home, edit: Edit, signer: Signer
):
    rehash(written, 10)
    edit("DELETE FROM attestations")
    append_and_close(home, written, [], Signer.generate())
    verdict = check(
        written,
        "invalid signature on attestation at seq 10: not made with this installation's key",
        public_key=signer.public_key,
    )
    assert verdict.expected == signer.public_key.hex()


def test_the_tail_cut_off(written: Path, edit: Edit):
    edit("DELETE FROM entries WHERE seq > 7")
    verdict = verify_log(written)
    assert verdict.error == "last hash mismatch: an attestation covers seq 10, but the log ends at seq 7"
    assert verdict.broken_at == 8


def test_the_tail_cut_off_with_its_attestation(written: Path, edit: Edit):
    edit("DELETE FROM entries WHERE seq > 7", "DELETE FROM attestations")
    assert verify_log(written).valid  # all that the file itself can tell …
    verdict = verify_log(written, finished=True)  # … but the run ended in order
    assert verdict.error == "last hash mismatch: no attestation covers the last entry, seq 7"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE attestations SET signature = zeroblob(64)",
        "UPDATE attestations SET signature = x'00'",
        "UPDATE attestations SET signature = 'text'",
        "UPDATE attestations SET public_key = zeroblob(32)",
        "UPDATE attestations SET root_hash = upper(root_hash)",
    ],
)
def test_a_changed_attestation(written: Path, edit: Edit, sql: str):
    edit(sql)
    verdict = verify_log(written)
    assert verdict.error == "invalid signature on attestation at seq 10"
    assert (verdict.hash_chain_valid, verdict.attestations_valid) == (True, False)
    assert verdict.attestation_count == 1


def test_every_entry_deleted(written: Path, edit: Edit):
    edit("DELETE FROM entries")
    assert verify_log(written).error.startswith("last hash mismatch: an attestation covers seq 10")
    edit("DELETE FROM attestations")
    assert verify_log(written).error.startswith("the log has no entries")


@pytest.mark.parametrize("table", ["entries", "metadata", "attestations", "rekor_proofs"])
def test_a_table_dropped(written: Path, edit: Edit, table: str):
    edit(f"DROP TABLE {table}")
    check(written, f"table {table} is missing")


def test_the_file_removed_emptied_or_replaced(written: Path):
    whole = written.read_bytes()
    written.write_bytes(b"")
    check(written, "audit.db is empty")
    written.write_bytes(b"this is no database at all" * 400)
    check(written, "audit.db is damaged: file is not a database")
    written.write_bytes(whole[: len(whole) // 2])
    assert not verify_log(written).valid
    written.unlink()
    check(written, "audit.db is missing")
    written.mkdir()
    assert verify_log(written).error == "audit.db is missing"


def test_every_page_overwritten_in_turn_gives_a_verdict_and_never_a_traceback(written: Path):
    whole = written.read_bytes()
    changed = 0
    for at in range(0, len(whole), 512):
        written.write_bytes(whole[:at] + bytes(b ^ 0xFF for b in whole[at : at + 512]) + whole[at + 512 :])
        verdict = verify_log(written)
        changed += not verdict.valid
        assert bool(verdict.error) is not verdict.valid
    assert changed


def test_names_in_a_broken_schema_cannot_steer_a_terminal(written: Path, edit: Edit):
    edit(
        "CREATE TABLE evil (x)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = 'nonsense', name = 'e' || char(27) || ']52;c;' WHERE name = 'evil'",
    )
    verdict = verify_log(written)
    assert verdict.error.startswith("audit.db is damaged: malformed database schema")
    assert verdict.error.isprintable()


async def test_a_log_that_is_just_being_made_is_waited_for(
    home: Home, path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Between the empty file and its tables a viewer may look: a birth is not tampering."""
    waiting, made = threading.Event(), threading.Event()

    def sleep(_: float) -> None:
        waiting.set()
        made.wait(20)

    monkeypatch.setattr("engine.audit.source.time", SimpleNamespace(sleep=sleep))
    lock = WriterLock(home, path)
    path.touch(0o600)
    check = asyncio.ensure_future(asyncio.to_thread(verify_log, path))
    assert await asyncio.to_thread(waiting.wait, 20)
    lock.release()
    async with await AuditLog.open(home, path):
        made.set()
        assert (await check).valid


def test_progress_and_cancel(home: Home, path: Path):
    home.ensure_dir(path.parent)
    path.touch(0o600)
    append_and_close(home, path, [console(str(n)) for n in range(9000)])
    told: list[tuple[int, int]] = []
    assert verify_log(path, progress=lambda done, total: told.append((done, total))).valid
    assert told == [(4096, 9000), (8192, 9000), (9000, 9000)]
    verdict = verify_log(path, cancelled=lambda: True)
    assert verdict.cancelled
    assert verdict.entry_count == 4096


async def test_a_live_log_verifies_and_is_left_alone(home: Home, path: Path):
    async with await AuditLog.open(home, path) as log:
        assert verify_log(path).valid  # nothing written yet, but somebody is about to
        for number in range(5):
            await log.append(console(str(number)))
            before = snapshot(path.parent)
            verdict = verify_log(path, finished=True)
            assert (verdict.valid, verdict.entry_count, verdict.closed) == (True, number + 1, False)
            after = snapshot(path.parent)
            # The -shm is SQLite's lock table, shared with the writer; it holds no entry.
            assert {k: v for k, v in after.items() if k != "audit.db-shm"} == {
                k: v for k, v in before.items() if k != "audit.db-shm"
            }


async def test_a_log_left_by_a_dead_writer_is_read_from_a_copy(home: Home, path: Path, tmp_path: Path):
    async with await AuditLog.open(home, path) as log:
        await log.append(console("kept"))
        left = tmp_path / "left"
        shutil.copytree(path.parent, left)  # what a kill -9 leaves: audit.db, -wal, -shm, the lock file
    (left / "audit.db-shm").unlink()
    before = snapshot(left)
    assert "audit.db-wal" in before
    verdict = verify_log(left / "audit.db")
    assert (verdict.valid, verdict.entry_count) == (True, 1)
    assert snapshot(left) == before
