"""A log with a tree as audit.db: what only the database can have wrong, and that evidence stays as it is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from support.audit_cases import PIN, long_log, sealed_log
from support.audit_forge import Log, closed, root
from support.audit_proofs import interrupted
from support.run_keys import keys_of

from engine.audit import (
    AuditLog,
    Installation,
    Recorded,
    Signer,
    console,
    export_bundle,
    prove_entries,
    render_verdict,
    verify_bundle,
    verify_log,
)
from engine.audit.standalone import moat_verify
from engine.errors import AuditError
from engine.home import Home

OWN = Installation(PIN)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return sealed_log().database(tmp_path / "run" / "audit.db")


@pytest.fixture
def change(path: Path) -> Callable[[str], None]:
    def run(sql: str) -> None:
        connection = sqlite3.connect(path)
        connection.executescript(sql)
        connection.close()

    return run


def verdict(path: Path, **more: object) -> tuple[str, int]:
    before = {item.name: item.read_bytes() for item in path.parent.iterdir()}
    found = verify_log(path, public_key=PIN, **more)
    assert {item.name: item.read_bytes() for item in path.parent.iterdir()} == before
    return found.verdict, found.broken_at


def test_looking_at_it_changes_nothing(path: Path):
    assert verdict(path, finished=True) == ("INTACT", 0)
    before = path.read_bytes(), path.stat().st_mtime_ns
    export_bundle(path, installation=OWN)
    prove_entries(path, [5], installation=OWN)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE metadata SET value = replace(value, '10', '9') WHERE key = 'frontier'", ("TAMPERED", 10)),
        ("UPDATE metadata SET value = '{' WHERE key = 'frontier'", ("TAMPERED", 10)),
        (
            """UPDATE metadata SET value = '{"x":' || printf('%.*c', 100000, '[') WHERE key = 'frontier'""",
            ("TAMPERED", 10),
        ),
        ("DELETE FROM metadata WHERE key = 'frontier'", ("TAMPERED", 10)),
        ("DELETE FROM metadata WHERE key = 'tree_seed'", ("TAMPERED", 0)),
        ("DELETE FROM metadata WHERE key = 'origin'", ("TAMPERED", 0)),
        ("DELETE FROM metadata", ("TAMPERED", 0)),
        ("DROP TABLE checkpoints", ("TAMPERED", 10)),
        ("DROP TABLE keys", ("TAMPERED", 0)),
        ("UPDATE checkpoints SET size = 7 WHERE size = 8", ("TAMPERED", 5)),
        ("UPDATE checkpoints SET note = '' WHERE size = 8", ("TAMPERED", 5)),
        ("UPDATE checkpoints SET note = CAST(note AS BLOB) WHERE size = 8", ("TAMPERED", 5)),
        ("UPDATE checkpoints SET note = x'ff00' WHERE size = 8", ("TAMPERED", 5)),
        ("UPDATE keys SET number = 1", ("TAMPERED", 0)),
        (
            "ALTER TABLE checkpoints RENAME TO c; CREATE VIEW checkpoints AS SELECT * FROM c",
            ("TAMPERED", 0),
        ),
        ('UPDATE entries SET data = \'{ "line":"line 5"}\' WHERE seq = 5', ("TAMPERED", 5)),
        (
            "DELETE FROM metadata; DROP TABLE keys; DROP TABLE checkpoints",
            ("TAMPERED", 10),  # the attestation is by a key that nobody certified
        ),
    ],
)
def test_what_only_the_database_can_have_wrong(
    path: Path, change: Callable[[str], None], sql: str, found: tuple[str, int]
):
    change(sql)
    assert verdict(path) == found


def recorded(log: Log, size: int, *, close: bool = True) -> Recorded:
    return Recorded(log.certificates[0], size, root(log.leaves(size)), log.checkpoints[-1] if close else "")


def test_what_the_installation_recorded(path: Path, tmp_path: Path, change: Callable[[str], None]):
    log = sealed_log()
    assert verdict(path, recorded=recorded(log, 10)) == ("INTACT", 0)
    assert verdict(path, recorded=Recorded(log.certificates[0])) == ("INTACT", 0)
    other = closed(12, run="run_other")
    assert verdict(path, recorded=recorded(other, 12)) == ("TAMPERED", 0)
    older = Log(site=log.site).begin().write(4).seal().database(tmp_path / "older" / "audit.db")
    assert verdict(older, recorded=recorded(log, 10)) == ("TRUNCATED", 5)
    assert verdict(older, recorded=recorded(log, 4)) == ("TRUNCATED", 5)
    assert verdict(older, recorded=recorded(log, 4, close=False)) == ("OPEN", 0)
    replaced = msgspec.structs.replace(recorded(log, 8, close=False), root=bytes(32))
    assert verdict(path, recorded=replaced) == ("TAMPERED", 1)
    change("DELETE FROM metadata; DROP TABLE keys; DROP TABLE checkpoints; DELETE FROM attestations")
    assert verdict(path)[0] == "OPEN"
    found = verify_log(path, public_key=PIN, recorded=recorded(log, 10))
    assert found.error == "the installation's log says that this log had a tree: it was taken away"


def test_an_export_of_each_kind_verifies_by_both(tmp_path: Path):
    for number, log in enumerate((sealed_log(), long_log(), interrupted(), Log().begin())):
        path = log.database(tmp_path / str(number) / "audit.db")
        data = export_bundle(path, installation=OWN)
        found = verify_bundle(data, PIN)
        assert found.verdict == ("OPEN" if number == 3 else "INTACT")
        assert moat_verify.verify(data, PIN)["verdict"] == found.verdict
        assert list(json.loads(data))[:4] == ["version", "created_at", "last_hash", "entries"]
        assert verify_bundle(data, own_key=PIN).verdict == found.verdict
        assert verify_bundle(data, own_key=bytes(32)).verdict == "UNANCHORED"


async def test_what_a_live_run_has_not_sealed_yet_is_left_out(tmp_path: Path, signer: Signer):
    home = Home(tmp_path / "moat")
    path = home.run("run_a1") / "audit.db"
    keys = keys_of(signer, "run_a1", "2026-01-01T00:00:00Z")
    async with await AuditLog.open(home, path, keys=keys) as log:
        for number in range(5):
            await log.append(console(f"<{number}> & é"))
        assert verify_log(path, public_key=signer.public_key).verdict == "OPEN"
        found = verify_bundle(
            export_bundle(path, installation=Installation(signer.public_key)), signer.public_key
        )
        assert (found.verdict, found.entry_count) == ("OPEN", 1)
        with pytest.raises(AuditError, match="entry 5 is not among the 1 that are sealed"):
            prove_entries(path, [5], installation=Installation(signer.public_key))
    data = export_bundle(path, installation=Installation(signer.public_key))
    assert (verify_bundle(data, signer.public_key).verdict, len(json.loads(data)["entries"])) == ("INTACT", 5)
    assert moat_verify.verify(data, signer.public_key, True)["verdict"] == "INTACT"


def test_a_proof_shows_what_it_shows_and_nothing_else(path: Path):
    data = prove_entries(path, [7, 5, 5], withheld=["line"], installation=OWN)
    found = verify_bundle(data, PIN)
    assert found.verdict == "INTACT"
    assert found.shown == (
        "seq 5  2026-01-12T10:00:05Z  console",
        "  line: kept back",
        "seq 7  2026-01-12T10:00:07Z  console",
        "  line: kept back",
    )
    assert b"line 5" not in data
    assert sealed_log().seed.hex().encode() not in data
    assert "  seq 5  2026-01-12T10:00:05Z  console" in render_verdict(found, "x")


def test_proofs_of_an_interrupted_and_of_a_long_log(tmp_path: Path):
    for log, seqs in ((interrupted(), [1, 256, 310, 321]), (long_log(), [1, 768, 769, 775])):
        path = log.database(tmp_path / str(len(seqs) + len(log.entries)) / "audit.db")
        data = prove_entries(path, seqs, installation=OWN)
        assert verify_bundle(data, PIN).verdict == moat_verify.verify(data, PIN)["verdict"] == "INTACT"
    assert "seq 1 to 300 sealed by the run itself" in "\n".join(
        verify_log(interrupted().database(tmp_path / "x" / "audit.db"), public_key=PIN).rests_on
    )


def test_what_cannot_be_proved(path: Path, tmp_path: Path, change: Callable[[str], None]):
    with pytest.raises(AuditError, match="has a field"):
        prove_entries(path, [5], withheld=["nothing"], installation=OWN)
    with pytest.raises(AuditError, match="not among the 10"):
        prove_entries(path, [5, 11], installation=OWN)
    with pytest.raises(AuditError, match="key is missing"):
        prove_entries(path, [5], installation=None)
    change('UPDATE entries SET data = \'{"line":"x"}\' WHERE seq = 2')
    with pytest.raises(AuditError, match="not what was sealed"):
        prove_entries(path, [5], installation=OWN)
    old = Log(version=1).write(3).database(tmp_path / "old" / "audit.db")
    with pytest.raises(AuditError, match="no tree"):
        prove_entries(old, [1], installation=OWN)
