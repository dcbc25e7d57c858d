"""Proof bundle, v1: a log as one JSON document that verifies without the database.

    {"version":1, "created_at", "last_hash", "entries":[{seq, ts, type, prev, data, hash}],
     "attestations":[{seq, root_hash, timestamp, signature, public_key}]?, "rekor_proofs":[…]?}

Signature and key are standard base64. Unknown keys are ignored, so a later version may add some.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.audit.canonical import ordered_json
from engine.audit.chain import Attestation, ChainChecker
from engine.audit.gate import utc_now
from engine.audit.read import entry_of, explained
from engine.audit.source import read_log
from engine.audit.types import DECLARED_ORDER
from engine.audit.verdict import Verdict
from engine.audit.verify import judge
from engine.errors import AuditError
from engine.events import timestamp

VERSION = 1
MAX_BYTES = 512 * 1024 * 1024

_REKOR_COLUMNS = ("seq", "log_index", "log_id", "tree_size", "root_hash", "hashes", "timestamp", "entry_uuid")


class _BundleEntry(msgspec.Struct, frozen=True):
    seq: int
    ts: str
    type: str
    prev: str
    data: msgspec.Raw
    hash: str


class _Bundle(msgspec.Struct, frozen=True):
    version: int
    created_at: str
    last_hash: str
    entries: list[_BundleEntry] | None  # Go prints an empty list as null
    attestations: list[Attestation] | None = None
    rekor_proofs: list[dict[str, Any]] | None = None


def export_bundle(path: Path, *, clock: Callable[[], datetime] = utc_now) -> bytes:
    """The log at `path`, live or finished, as a bundle. Blocking; changes nothing.

    It is exported as it is: whether it verifies is for the reader of the bundle to find out. Raises
    AuditError when the log is missing, damaged, or holds what is no entry.
    """
    with explained(path):
        parts = read_log(path, lambda connection, _live: _parts(connection, timestamp(clock())))
    return "".join(parts).encode()


def verify_bundle(data: bytes, public_key: bytes | None = None) -> Verdict:
    """Verify a bundle, ours or Go's. public_key: as for verify_log.

    Raises AuditError for what is no bundle at all: not JSON, a key given twice, fields of another kind,
    another version, or larger than 512 MiB.
    """
    bundle = _parse(data)
    attestations = bundle.attestations or []
    checker = ChainChecker(watch=(a.seq for a in attestations), rewrites=_rewrites)
    entries = bundle.entries or []
    try:
        checker.feed((e.seq, e.ts, e.type, e.prev, bytes(e.data).decode(), e.hash) for e in entries)
    except UnicodeDecodeError as error:  # cannot be: the whole was decoded before
        raise AuditError("the proof bundle is not UTF-8 text") from error
    return judge(
        checker,
        attestations,
        public_key=public_key,
        claimed_last=bundle.last_hash,
        entry_count=len(entries),
        rekor_proof_count=len(bundle.rekor_proofs or []),
    )


def _rewrites(kind: str, data: str) -> Iterator[str]:
    """The texts that an entry's data may have been hashed in, when not in the one that stands in the file:
    with sorted keys (an indented bundle), or in the declared order of a Go struct (Go hashes that, and
    its exporter then sorts the keys away).
    """
    value = json.loads(data)
    for order in ((), DECLARED_ORDER.get(kind, ())):
        try:
            yield ordered_json(value, order)
        except AuditError:
            return  # a float, a huge integer: nothing that was ever hashed


def _parse(data: bytes) -> _Bundle:
    if len(data) > MAX_BYTES:
        raise AuditError(f"the proof bundle is larger than {MAX_BYTES >> 20} MiB")
    try:
        text = data.decode()
        # msgspec would take the last of two equal keys without a word: two readers, two truths.
        json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        bundle = msgspec.json.decode(data, type=_Bundle)
    except (ValueError, RecursionError) as error:
        raise AuditError(
            "this is not a proof bundle",
            detail=str(error) or "nested too deeply",
            remedy="Export it again with `moat audit RUN --export FILE`.",
        ) from error
    if bundle.version != VERSION:
        raise AuditError(
            f"the proof bundle has version {bundle.version}; this Moat reads version {VERSION}",
            remedy="Verify it with the Moat that exported it.",
        )
    return bundle


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _parts(connection: sqlite3.Connection, created_at: str) -> list[str]:
    entries = []
    last_hash = ""
    size = 0
    query = "SELECT seq, ts, type, prev_hash, data, hash FROM entries NOT INDEXED ORDER BY seq"
    for row in connection.execute(query):
        entry = entry_of(row)
        # The data goes in as the very text that was hashed.
        text = (
            f'{{"seq":{entry.seq},"ts":{json.dumps(entry.ts)},"type":{json.dumps(entry.type)},'
            f'"prev":{json.dumps(entry.prev)},"data":{entry.data_json},"hash":{json.dumps(entry.hash)}}}'
        )
        size += len(text)
        if size > MAX_BYTES:
            raise AuditError(f"the log is too large for one proof bundle (limit {MAX_BYTES >> 20} MiB)")
        entries.append(text)
        last_hash = entry.hash
    head = f'{{"version":{VERSION},"created_at":{json.dumps(created_at)},"last_hash":{json.dumps(last_hash)}'
    parts = [head, ',"entries":[', ",".join(entries), "]"]
    if attestations := _attestations(connection):
        parts += [',"attestations":', json.dumps(attestations)]
    if proofs := _rekor_proofs(connection):
        parts += [',"rekor_proofs":', json.dumps(proofs)]
    return [*parts, "}\n"]


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
