"""A later command closes what a dead run left, and lends its key to nothing that the run had not signed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.run_keys import RUN, keys_of

from engine.audit import (
    RecordedHead,
    RunKeys,
    Signer,
    append_and_close,
    console,
    container,
    read_entries,
    verify_log,
)
from engine.audit.canonical import entry_hash
from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.gate import prepare
from engine.audit.keys import installation_origin, run_origin
from engine.audit.note import NoteKey, parse_note, verified_by
from engine.audit.store import Store
from engine.audit.tree import EVERY, Tree
from engine.errors import AuditError
from engine.home import Home

END = container("interrupted")
NOW = datetime(2026, 1, 12, 10, tzinfo=UTC)


@pytest.fixture
def keys(signer: Signer) -> RunKeys:
    return keys_of(signer)


@pytest.fixture
def origin(signer: Signer) -> str:
    return run_origin(installation_origin(signer.public_key), RUN)


def leave(home: Home, path: Path, keys: RunKeys | None, *batches: int) -> None:
    """A log as a killed writer leaves it: `batches` of entries, and no end."""
    store = Store.open(home, path, keys)
    number = 0
    for batch in batches:
        store.append([(NOW, *prepare(console(f"line {number + n}"))) for n in range(batch)])
        number += batch
    store.close()


@pytest.fixture
def left(home: Home, path: Path, keys: RunKeys) -> Path:
    """300 entries; sealed at 2 and 258."""
    leave(home, path, keys, 2, 298)
    return path


def change(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()


def notes(path: Path) -> list[Checkpoint]:
    database = sqlite3.connect(path)
    rows = database.execute("SELECT note FROM checkpoints ORDER BY size").fetchall()
    database.close()
    return [parse_checkpoint(parse_note(note.encode()).text) for (note,) in rows]


def test_what_was_found_is_sealed_apart_from_what_is_added(
    home: Home, left: Path, signer: Signer, origin: str
):
    assert [head.size for head in notes(left)] == [2, 258]
    (entry,) = append_and_close(home, left, [END], signer, origin=origin)
    assert entry.seq == 301
    heads = notes(left)
    assert [(head.size, head.closed) for head in heads] == [
        (2, ""),
        (258, ""),
        (300, ""),
        (301, "interrupted"),
    ]
    database = sqlite3.connect(left)
    theirs = NoteKey(installation_origin(signer.public_key), signer.public_key)
    for (text,) in database.execute("SELECT note FROM checkpoints WHERE size >= 300").fetchall():
        assert verified_by(parse_note(text.encode()), [theirs])
    attested = database.execute("SELECT seq, public_key FROM attestations").fetchall()
    database.close()
    assert attested == [(301, signer.public_key)]
    assert verify_log(left, public_key=signer.public_key, finished=True).valid


def test_it_is_closed_once(home: Home, left: Path, signer: Signer):
    append_and_close(home, left, [END], signer)
    before = left.read_bytes()
    assert append_and_close(home, left, [END], signer) == []
    assert left.read_bytes() == before


def test_a_run_that_closed_its_log_itself_is_left_as_it_is(
    home: Home, path: Path, keys: RunKeys, signer: Signer
):
    store = Store.open(home, path, keys)
    store.append([(NOW, *prepare(console("x")))])
    store.finish("exited", NOW)
    store.close()
    assert append_and_close(home, path, [END], signer) == []
    assert [(head.size, head.closed) for head in notes(path)] == [(1, "exited")]


def test_where_the_run_itself_sealed_the_end_its_checkpoint_stays(
    home: Home, path: Path, keys: RunKeys, signer: Signer
):
    leave(home, path, keys, 1)
    append_and_close(home, path, [END], signer)
    first, last = notes(path)
    assert ((first.size, first.closed), (last.size, last.closed)) == ((1, ""), (2, "interrupted"))


@pytest.mark.parametrize("born", ["empty file", "tables", "tree"])
def test_a_log_cut_off_before_its_first_entry_gets_a_tree(
    home: Home, path: Path, keys: RunKeys, signer: Signer, origin: str, born: str
):
    if born == "empty file":
        home.ensure_dir(path.parent)
        path.touch(0o600)
    else:
        leave(home, path, keys if born == "tree" else None)
    known = RecordedHead(str(keys.certificates[0]))
    append_and_close(home, path, [END], signer, origin=origin, recorded=known)
    assert [(head.origin, head.size, head.closed) for head in notes(path)] == [(origin, 1, "interrupted")]
    assert verify_log(path, public_key=signer.public_key, finished=True).valid


def test_rotated_keys_are_followed(home: Home, path: Path, signer: Signer, keys: RunKeys):
    ticks = [0.0]
    store = Store.open(home, path, keys, ticks=lambda: ticks[0])
    for number in range(4):
        store.append([(NOW, *prepare(console(str(number))))])
        ticks[0] += 3600.0
    store.close()
    assert keys.number == 3
    append_and_close(home, path, [END], signer)
    assert verify_log(path, public_key=signer.public_key, finished=True).valid


def test_no_more_is_added_than_one_could_make_up(home: Home, left: Path, signer: Signer):
    before = left.read_bytes()
    for entries in ([], [END] * (EVERY + 1)):
        with pytest.raises(ValueError, match="1 to 256"):
            append_and_close(home, left, entries, signer)
    assert left.read_bytes() == before
    assert len(append_and_close(home, left, [END] * EVERY, signer)) == EVERY


def rehash(path: Path, seq: int, data: str) -> None:
    """Change an entry and every hash after it, as somebody with the file and our source would."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("UPDATE entries SET data = ? WHERE seq = ?", (data, seq))
    prev = ""
    for number, ts, kind, text in database.execute(
        "SELECT seq, ts, type, data FROM entries ORDER BY seq"
    ).fetchall():
        digest = entry_hash(number, ts, kind, prev, text)
        database.execute("UPDATE entries SET prev_hash = ?, hash = ? WHERE seq = ?", (prev, digest, number))
        prev = digest
    database.close()


def reseal(path: Path) -> None:
    """A frontier that fits the entries again."""
    database = sqlite3.connect(path, isolation_level=None)
    seed = database.execute("SELECT value FROM metadata WHERE key = 'tree_seed'").fetchone()[0]
    tree = Tree("", bytes.fromhex(seed))
    entries = read_entries(path, limit=10_000)
    grown = tree.grown(entries, lambda checkpoint: parse_note(b"x\n\n\xe2\x80\x94 a AAAAAAA=\n"))
    text = '{"size":%d,"roots":[%s]}' % (  # noqa: UP031
        grown.frontier.size, ",".join(f'"{root.hex()}"' for root in grown.frontier.roots),
    )  # fmt: skip
    database.execute("UPDATE metadata SET value = ? WHERE key = 'frontier'", (text,))
    database.close()


def another_frontier(path: Path) -> None:
    change(
        path,
        "UPDATE metadata SET value = replace(value, '\"size\":300', '\"size\":301') WHERE key = 'frontier'",
    )


def edited(path: Path) -> None:
    change(path, 'UPDATE entries SET data = \'{"line":"evil"}\' WHERE seq = 7')


def rehashed(path: Path) -> None:
    rehash(path, 7, '{"line":"evil"}')
    reseal(path)


def rehashed_tail(path: Path) -> None:
    rehash(path, 300, '{"line":"evil"}')  # beyond the last checkpoint: only the frontier tells


def cut(path: Path) -> None:
    change(path, "DELETE FROM entries WHERE seq > 200")
    reseal(path)


def cut_with_its_checkpoints(path: Path) -> None:
    change(path, "DELETE FROM entries WHERE seq > 2", "DELETE FROM checkpoints WHERE size > 2")
    reseal(path)


def untreed(path: Path) -> None:
    change(
        path,
        "DROP TABLE checkpoints",
        "DROP TABLE keys",
        "DELETE FROM metadata",
    )


def unsealed(path: Path) -> None:
    change(path, "DELETE FROM checkpoints WHERE size = 258")


def forged_checkpoint(path: Path) -> None:
    line = "char(10) || '{}' || char(10)"
    change(path, f"UPDATE checkpoints SET note = replace(note, {line.format(258)}, {line.format(259)})")


def another_key(path: Path) -> None:
    change(path, f"UPDATE keys SET note = '{keys_of(Signer.generate()).certificates[0]}'")


def no_key(path: Path) -> None:
    change(path, "DELETE FROM keys")


def no_json(path: Path) -> None:
    rehash(path, 7, '{"line":"a","line":"b"}')


def no_text(path: Path) -> None:
    change(
        path,
        "DROP TABLE keys",
        "CREATE TABLE keys (number, note)",
        "INSERT INTO keys VALUES (NULL, NULL), (x'00', x'ff'), ('a', 7)",
    )


def no_note(path: Path) -> None:
    change(path, "UPDATE checkpoints SET note = x'00ff' WHERE size = 2")


RECORDED_ONLY = {untreed, cut_with_its_checkpoints}


@pytest.mark.parametrize(
    "damage",
    [
        edited, rehashed, rehashed_tail, cut, cut_with_its_checkpoints, untreed, unsealed, forged_checkpoint,
        another_key, no_key, another_frontier, no_json, no_text, no_note,
    ],
)  # fmt: skip
def test_what_the_run_had_not_signed_is_not_signed_by_another(
    home: Home, left: Path, signer: Signer, keys: RunKeys, origin: str, damage: Callable[[Path], None]
):
    known = RecordedHead(str(keys.certificates[0]), 258, notes(left)[-1].root)
    damage(left)
    before = left.read_bytes()
    with pytest.raises(AuditError, match="was changed after it was written") as caught:
        append_and_close(home, left, [END], signer, origin=origin, recorded=known)
    assert "signed" in caught.value.remedy
    assert left.read_bytes() == before
    if damage not in RECORDED_ONLY:
        with pytest.raises(AuditError, match="was changed after it was written"):
            append_and_close(home, left, [END], signer, origin=origin)


def test_a_log_restored_from_a_copy_is_not_gone_on_with(
    home: Home, path: Path, signer: Signer, keys: RunKeys, origin: str
):
    leave(home, path, keys, 5)
    root = notes(path)[-1].root
    certificate = str(keys.certificates[0])
    for known in (
        RecordedHead(certificate, 6, root),
        RecordedHead(certificate, 5, bytes(32)),
        RecordedHead(str(keys_of(signer).certificates[0]), 5, root),
    ):
        with pytest.raises(AuditError, match="was changed after it was written"):
            append_and_close(home, path, [END], signer, origin=origin, recorded=known)
    with pytest.raises(AuditError, match="it is that of"):
        append_and_close(home, path, [END], signer, origin=origin[:-1] + "9")
    assert append_and_close(
        home, path, [END], signer, origin=origin, recorded=RecordedHead(certificate, 5, root)
    )
