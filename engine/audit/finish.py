"""Finishing the log of a run whose writer died: recover, append, sign, close.

What a run left is signed only when it is what the run itself had signed: a later command has a key that
lies on a disk, and must not lend it to a log that somebody changed meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from engine.audit.canonical import Entry
from engine.audit.checkpoint import Checkpoint
from engine.audit.gate import gate_closed, prepare, reason_of, utc_now
from engine.audit.held import Held, Inconsistent, RecordedHead, check_held
from engine.audit.note import Note
from engine.audit.signer import Signer
from engine.audit.store import Pending, Store
from engine.audit.tree import EVERY, Growth, Tree
from engine.errors import AuditError
from engine.home import Home

INTERRUPTED = "interrupted"
MOST_ADDED = EVERY  # entries: nobody can make up more than these with a key that lies on a disk

# Whatever somebody put there comes out as a number and a text.
_CHECKPOINTS = (
    "SELECT CAST(size AS INTEGER), coalesce(CAST(note AS TEXT), '')"
    " FROM checkpoints NOT INDEXED ORDER BY size"
)
_CERTIFICATES = "SELECT coalesce(CAST(note AS TEXT), '') FROM keys NOT INDEXED ORDER BY number"


def append_and_close(
    home: Home,
    path: Path,
    entries: Iterable[tuple[str, dict[str, Any]]],
    signer: Signer | None = None,
    *,
    origin: str = "",
    recorded: RecordedHead | None = None,
) -> list[Entry]:
    """Returns what was appended: nothing when the log has its close record already. Blocking.

    entries: to a log with a tree, 1 to MOST_ADDED of them. signer: the installation's. origin: of the run's
    log. recorded: what the installation's log knows of it; a log that was cut off before it had any entry
    gets its tree by that. A version 1 log that was closed before gets a later attestation for its new end.
    Raises AuditError when there is no log (its removal must not be papered over by a fresh one), when it has
    a living writer, when it is damaged, or when it is not what was signed and recorded: then nothing is added
    and nothing signed. AuditGateClosed when the entries could not be made durable.
    """
    if not path.exists():
        raise AuditError(f"there is no audit log at {path}", remedy="It was removed, or its run never began.")
    now = utc_now()
    pending: list[Pending] = [(now, *prepare(entry)) for entry in entries]
    store = Store.open(home, path, ended=True)
    try:
        tree, closed = _tree(store, origin, recorded)
        if closed:
            return []
        written = store.chained(pending)
        try:
            growth = None if tree is None else _closing(tree, written, signer)
            store.commit(written, growth, attest=None if signer is None else (signer, now))
        except (sqlite3.Error, AuditError) as error:
            raise gate_closed(path, error) from error
        return written
    finally:
        store.close()


def _tree(store: Store, origin: str, recorded: RecordedHead | None) -> tuple[Tree | None, str]:
    """The log's tree, None for a version 1 log, and why the log was closed ("" when it was not)."""
    seed = store.metadata("tree_seed")
    if seed is None and recorded is None:
        return None, ""
    if seed is None and recorded is not None and not store.seq and not recorded.size:
        return store.begin_tree(origin, recorded.certificate), ""
    try:
        if seed is None:
            raise Inconsistent("the run kept a tree beside it, and that is gone")
        held = Held(
            origin=store.metadata("origin") or "",
            seed=seed,
            frontier=store.metadata("frontier") or "",
            checkpoints=tuple(store.rows(_CHECKPOINTS)),
            certificates=tuple(note for (note,) in store.rows(_CERTIFICATES)),
        )
        rows = store.rows("SELECT seq, ts, type, prev_hash, data, hash FROM entries ORDER BY seq")
        tree, closed = check_held(held, rows, recorded)
        if origin and tree.origin != origin:
            raise Inconsistent(f"it is that of {tree.origin}")
        return tree, closed
    except (AuditError, sqlite3.Error, OverflowError) as error:
        raise AuditError(
            f"{store.path} was changed after it was written: {reason_of(error)}",
            remedy="Nothing was added to it or signed; keep it as evidence.",
        ) from error


def _closing(tree: Tree, entries: Sequence[Entry], signer: Signer | None) -> Growth:
    """What was found under a checkpoint of its own, so that one sees where the run's own hand ends."""
    if signer is None or not 0 < len(entries) <= MOST_ADDED:
        raise ValueError(f"a later command closes a log with a key, and with 1 to {MOST_ADDED} entries")
    installation = tree.origin.rpartition("/")[0]

    def sign(checkpoint: Checkpoint) -> Note:
        return checkpoint.sign(signer, installation)

    found = tree.grown((), sign, seal=True)
    tree.adopt(found)
    end = tree.grown(entries, sign, reason=INTERRUPTED)
    return Growth(end.frontier, (*found.checkpoints, *end.checkpoints), end.sealed)
