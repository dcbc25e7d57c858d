"""The version 2 part of audit.db, as evidence: read, not judged."""

from __future__ import annotations

import sqlite3

from engine.audit.judging.evidence import TreeEvidence


def read_tree(connection: sqlite3.Connection) -> TreeEvidence | None:
    """None for a log without a tree: a version 1 log.

    What is no text, or stands under another size or number than it says itself, becomes "", which is no
    note: the judge names it.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    metadata = dict(
        connection.execute(
            "SELECT key, value FROM metadata WHERE key IN ('origin', 'tree_seed', 'frontier') AND"
            " typeof(value) = 'text'"
        )
    )
    checkpoints = _notes(connection, "checkpoints", "size") if "checkpoints" in tables else []
    keys = _notes(connection, "keys", "number") if "keys" in tables else []
    if "tree_seed" not in metadata and not checkpoints and not keys and "origin" not in metadata:
        return None
    return TreeEvidence(
        origin=metadata.get("origin", ""),
        seed=metadata.get("tree_seed", ""),
        checkpoints=tuple(note if _line(note, 1) == str(size) else "" for size, note in checkpoints),
        certificates=tuple(note if _line(note, 1) == f"key {number}" else "" for number, note in keys),
        frontier=metadata.get("frontier", ""),
    )


def _notes(connection: sqlite3.Connection, table: str, by: str) -> list[tuple[object, str]]:
    rows = connection.execute(f"SELECT {by}, note FROM {table} NOT INDEXED ORDER BY {by}")
    return [(number, note if isinstance(note, str) else "") for number, note in rows]


def _line(note: str, number: int) -> str:
    lines = note.split("\n", number + 1)
    return lines[number] if len(lines) > number else ""
