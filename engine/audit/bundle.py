"""Proof bundle: a log as one JSON document that verifies without the database.

Version 1's object comes first, so its readers accept it; what the tree adds stands behind. The format is
in FORMAT.md, "The proof bundle".
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.audit.bundle_read import (
    MAX_BYTES,
    VERSION,
    Bundle,
    quick_bundle,
    read_bundle,
    read_document,
    rewrites,
)
from engine.audit.chain import ChainChecker
from engine.audit.gate import utc_now
from engine.audit.judging.evidence import Installation, TreeEvidence, installation_parts
from engine.audit.judging.judge import Case, judge
from engine.audit.judging.tree_checker import TreeChecker
from engine.audit.judging.tree_judge import TreeJudge
from engine.audit.judging.verdict import Verdict
from engine.audit.keys import installation_origin
from engine.audit.proof import NO_KEY, verify_proof
from engine.audit.read import entry_of, explained
from engine.audit.source import read_log
from engine.audit.strict_json import go_escaped
from engine.audit.tree_rows import read_tree
from engine.audit.verify import Progress, Watched, feed
from engine.errors import AuditError
from engine.events import timestamp

_REKOR_COLUMNS = ("seq", "log_index", "log_id", "tree_size", "root_hash", "hashes", "timestamp", "entry_uuid")


def export_bundle(
    path: Path,
    *,
    installation: Installation | None = None,
    anchors: Sequence[Mapping[str, Any]] = (),
    clock: Callable[[], datetime] = utc_now,
) -> bytes:
    """The log at `path`, live or finished, as a bundle. Blocking; changes nothing.

    installation, anchors: what goes under these keys; a log with a tree needs the first. It is exported as it
    is: whether it verifies is for the reader of the bundle to find out. Only what a live run has not sealed
    yet (the last 10 seconds, 256 entries at most) is left out, because nothing would vouch for it.
    Raises AuditError when the log is missing, damaged, or holds what is no entry.
    """
    with explained(path):
        parts = read_log(
            path, lambda connection, live: _parts(connection, live, installation, anchors, timestamp(clock()))
        )
    return "".join(parts).encode()


def verify_bundle(
    data: bytes,
    public_key: bytes | None = None,
    *,
    own_key: bytes | None = None,
    finished: bool = False,
    progress: Progress | None = None,
) -> Verdict:
    """Verify a bundle, ours or Go's, or a proof of single entries.

    public_key: the pinned one, an installation's first. own_key: this installation's, which is the pin when
    none is given and the bundle says that it comes from here. finished: the run is known to have ended.
    Raises AuditError for what is no bundle at all: not JSON, a key given twice, fields of another kind,
    another version, or larger than 512 MiB.
    """
    if (quick := quick_bundle(data)) is not None:
        verdict = _judged(quick, public_key, own_key, finished, progress, opaque=True)
        if verdict.valid:
            return verdict
    document = read_document(data)
    if "moat_proof" in document:
        return verify_proof(document, public_key, own_key=own_key, finished=finished)
    return _judged(read_bundle(document), public_key, own_key, finished, progress)


def _judged(
    bundle: Bundle,
    public_key: bytes | None,
    own_key: bytes | None,
    finished: bool,
    progress: Progress | None,
    *,
    opaque: bool = False,
) -> Verdict:
    pin = public_key if public_key is not None else _own(bundle, own_key)
    tree = TreeJudge(bundle.tree, bundle.installation) if bundle.tree is not None else None
    watched = (attestation.seq for attestation in bundle.attestations)
    leaves = TreeChecker(tree.seed, tree.watch, tree.since) if tree is not None and tree.seed else None
    chain = ChainChecker(watched, rewrites if tree is None else None, opaque=opaque and leaves is not None)
    feed(chain, leaves, bundle.rows(), bundle.count, Watched(progress))
    return judge(
        Case(
            chain,
            bundle.attestations,
            tree,
            leaves,
            pin,
            accepted=frozenset({pin} if pin is not None else ()),
            finished=finished,
            malformed=bundle.malformed,
            claimed_last=bundle.last_hash,
            entry_count=bundle.count,
            rekor_proof_count=bundle.rekor_proofs,
            anchor_count=bundle.anchors,
        )
    )


def _own(bundle: Bundle, own_key: bytes | None) -> bytes | None:
    """This installation's key, for a bundle that says that it is from here."""
    if own_key is None:
        return None
    if bundle.tree is not None:
        name = bundle.tree.origin.rpartition("/")[0]
        return own_key if name == installation_origin(own_key) else None
    return own_key if any(found.public_key == own_key for found in bundle.attestations) else None


def _parts(
    connection: sqlite3.Connection,
    live: bool,
    installation: Installation | None,
    anchors: Sequence[Mapping[str, Any]],
    created_at: str,
) -> list[str]:
    tree = read_tree(connection)
    entries = []
    last_hash = ""
    size = 0
    query = "SELECT seq, ts, type, prev_hash, data, hash FROM entries NOT INDEXED ORDER BY seq LIMIT ?"
    for row in connection.execute(query, (_sealed(tree) if live and tree is not None else -1,)):
        entry = entry_of(row)
        # The data goes in as the very text that was hashed.
        text = (
            f'{{"seq":{entry.seq},"ts":{_json(entry.ts)},"type":{_json(entry.type)},'
            f'"prev":{_json(entry.prev)},"data":{entry.data_json},"hash":{_json(entry.hash)}}}'
        )
        size += len(text)
        if size > MAX_BYTES:
            raise AuditError(f"the log is too large for one proof bundle (limit {MAX_BYTES >> 20} MiB)")
        entries.append(text)
        last_hash = entry.hash
    head = f'{{"version":{VERSION},"created_at":{_json(created_at)},"last_hash":{_json(last_hash)}'
    parts = [head, ',"entries":[', ",".join(entries), "]"]
    if attestations := _attestations(connection):
        parts += [',"attestations":', _json(attestations)]
    if proofs := _rekor_proofs(connection):
        parts += [',"rekor_proofs":', _json(proofs)]
    for name, value in _tree_parts(tree, installation, anchors).items():
        parts += [f',"{name}":', _json(value)]
    return [*parts, "}\n"]


def _tree_parts(
    tree: TreeEvidence | None, installation: Installation | None, anchors: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    if tree is None:
        return {}
    if installation is None:
        raise AuditError(NO_KEY, remedy="Restore heads/signing.pub from a backup.")
    return {
        "origin": tree.origin,
        "tree": {"seed": tree.seed},
        "checkpoints": list(tree.checkpoints),
        "keys": list(tree.certificates),
        "installation": installation_parts(installation),
        "anchors": list(anchors),
    }


def _sealed(tree: TreeEvidence) -> int:
    """Entries up to the last checkpoint; -1, no limit, where that is not to be told."""
    size = tree.checkpoints[-1].split("\n", 2)[1:2] if tree.checkpoints else []
    return int(size[0]) if size and size[0].isascii() and size[0].isdigit() else -1


def _json(value: object) -> str:
    """In the one compact form that a reader can tell at once."""
    try:
        return go_escaped(msgspec.json.encode(value)).decode()
    except (TypeError, ValueError):  # text of a damaged log that is no Unicode
        return json.dumps(value, separators=(",", ":"))


def _attestations(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT seq, root_hash, timestamp, signature, public_key FROM attestations ORDER BY seq"
    )
    try:
        return [
            {
                "seq": seq,
                "root_hash": root_hash,
                "timestamp": when,
                "signature": base64.b64encode(signature).decode(),
                "public_key": base64.b64encode(public_key).decode(),
            }
            for seq, root_hash, when, signature, public_key in rows
        ]
    except TypeError as error:
        raise AuditError("an attestation of the log was tampered with: it has no signature") from error


def _rekor_proofs(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    proofs = []
    for row in connection.execute(f"SELECT {', '.join(_REKOR_COLUMNS)} FROM rekor_proofs ORDER BY seq"):
        proof = dict(zip(_REKOR_COLUMNS, row, strict=True))
        try:
            proofs.append({**proof, "hashes": json.loads(proof["hashes"])})
        except (ValueError, TypeError) as error:
            raise AuditError(f"the Rekor proof at seq {proof['seq']!r} was tampered with") from error
    return proofs
