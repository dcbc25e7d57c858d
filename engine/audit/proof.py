"""Single entries out of a log, each with the proof that the sealed log includes it; fields may be kept back.

The format is in FORMAT.md, "The proof of single entries".
"""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.audit.bundle_read import installation_of, records, texts
from engine.audit.canonical import ordered_json
from engine.audit.chain import TIMESTAMP, TYPE_NAME
from engine.audit.judging.evidence import Installation, TreeEvidence, installation_parts, strict_base64
from engine.audit.judging.grounds import anchored, key_grounds, later_command, plural
from engine.audit.judging.installation_judge import judge_events
from engine.audit.judging.judge import NO_PIN, OTHER_KEY
from engine.audit.judging.sealed import Sealed, read_sealed
from engine.audit.judging.tree_checker import TreeChecker
from engine.audit.judging.tree_judge import OWN_ENTRIES, SEALED_EVERY, TreeJudge
from engine.audit.judging.trust import BadKeys, RunTrust, trust_run
from engine.audit.judging.verdict import INTACT, OPEN, TRUNCATED, UNANCHORED, Failure, Verdict
from engine.audit.keys import installation_origin
from engine.audit.leaf import commitment, commitments, leaf_bytes, salts
from engine.audit.merkle import consistency_proof, consistent, included, inclusion_proof, leaf_hash
from engine.audit.read import entry_of, explained
from engine.audit.source import read_log
from engine.audit.tree_rows import read_tree
from engine.errors import AuditError

VERSION = 1
_ENTRY = (("seq", int), ("ts", str), ("type", str), ("data", dict), ("proof", list))
_SALT = re.compile(r"[0-9a-f]{32}")
_COMMITMENT = re.compile(r"[0-9a-f]{64}")
NO_KEY = "the installation's key is missing, so nobody could tell whose log this is"
_REMEDY = "Make it again with `moat audit prove RUN SEQ`."


class _BadEntry(Exception):
    """What is wrong with which entry of a proof."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(what)
        self.failure = Failure(what, at=seq)


def prove_entries(
    path: Path, seqs: Sequence[int], *, withheld: Collection[str] = (), installation: Installation | None
) -> bytes:
    """A proof of the entries `seqs` of the log at `path`, with the fields `withheld` kept back. Blocking.

    Raises AuditError when an entry or a field is not there or not sealed yet, or the log is damaged.
    """
    if installation is None:
        raise AuditError(NO_KEY, remedy="Restore heads/signing.pub from a backup.")
    chosen = sorted(set(seqs))
    with explained(path):
        document = read_log(
            path, lambda connection, _live: _document(connection, chosen, withheld, installation)
        )
    return msgspec.json.encode(document) + b"\n"


def verify_proof(
    document: dict[str, Any],
    public_key: bytes | None = None,
    *,
    own_key: bytes | None = None,
    finished: bool = False,
) -> Verdict:
    """As verify_bundle, of a proof that was parsed already. Raises AuditError for another shape."""
    if type(document.get("moat_proof")) is not int or document["moat_proof"] != VERSION:
        raise AuditError("this is not a proof that this Moat can read", remedy=_REMEDY)
    origin, note = document.get("origin"), document.get("checkpoint")
    later = document.get("run_checkpoint", "")
    if not isinstance(origin, str) or not isinstance(note, str) or not isinstance(later, str):
        raise AuditError("this is not a proof of entries", remedy=_REMEDY)
    certificates, path = texts(document, "keys"), texts(document, "consistency")
    entries = records(document, "entries", _ENTRY)
    document = {**document, "entries": entries, "keys": list(certificates)}
    for entry in entries:
        texts(entry, "proof")
    installation = installation_of(document)
    pin = public_key
    if pin is None and own_key is not None and origin.rpartition("/")[0] == installation_origin(own_key):
        pin = own_key
    try:
        trust = trust_run(origin, certificates, installation)
        sealed = read_sealed(note, trust)
        events = judge_events(TreeEvidence(origin, "", (note,), certificates), trust, installation)
        by_run = _sealed_by_run(sealed, later, path, trust)
        for head in events.heads:
            if head.said.closed and head.note != note:
                raise BadKeys("the installation's log has another close record")
        shown = _shown(entries, sealed)
    except BadKeys as error:
        return _refused(document, Failure(str(error)))
    except _BadEntry as error:
        return _refused(document, error.failure)
    if finished and not sealed.said.closed:
        what = f"the run has ended, but the proof is of its log while open, with {sealed.size} entries"
        return _refused(document, Failure(what, at=sealed.size + 1, kind=TRUNCATED))
    doubt = NO_PIN if pin is None else OTHER_KEY if pin != installation.key else ""
    of = plural(sealed.size, "entry", "entries")
    grounds = [
        f"inclusion in the Merkle tree with {of}, sealed by a checkpoint",
        *key_grounds(trust),
    ]
    if by_run < sealed.size:
        grounds.append(later_command(trust, sealed.seal.installation, by_run, sealed.size))
    return Verdict(
        valid=True,
        hash_chain_valid=True,
        attestations_valid=True,
        entry_count=len(entries),
        closed=bool(sealed.said.closed),
        verdict=UNANCHORED if doubt else INTACT if sealed.said.closed else OPEN,
        doubt=doubt,
        rests_on=(*grounds, anchored(0)),
        origin=origin,
        tree_valid=True,
        checkpoint_count=1,
        key_count=len(certificates),
        sealed_to=sealed.size,
        sealed_by_run_to=by_run,
        closed_as=sealed.said.closed,
        shown=tuple(shown),
    )


def _sealed_by_run(sealed: Sealed, later: str, path: Sequence[str], trust: RunTrust) -> int:
    """How many entries the run's own key sealed. Raises BadKeys when that is not known to be enough."""
    if sealed.seal.run >= 0:
        return sealed.size
    size = 0
    if later:
        before = read_sealed(later, trust)
        size = before.size
        try:
            proof = [strict_base64(part) for part in path]
        except ValueError as error:
            raise BadKeys("the checkpoint is not proved to go on from the run's own") from error
        goes_on = consistent(size, before.said.root, sealed.size, sealed.said.root, proof)
        if before.seal.run < 0 or not goes_on:
            raise BadKeys("the checkpoint is not proved to go on from the run's own")
    if sealed.size - size > SEALED_EVERY + OWN_ENTRIES:
        raise BadKeys(f"seq {size + 1} to {sealed.size} are sealed by a later command, more than one can add")
    return size


def _shown(entries: list[dict[str, Any]], sealed: Sealed) -> list[str]:
    lines: list[str] = []
    before = 0
    for entry in entries:
        seq, ts, kind = entry["seq"], entry["ts"], entry["type"]
        if seq <= before or not TIMESTAMP.fullmatch(ts) or not TYPE_NAME.fullmatch(kind):
            raise _BadEntry(seq if seq > before else before, f"seq {seq} is out of order or no entry")
        before = seq
        lines.append(f"seq {seq}  {ts}  {kind}")
        committed: dict[str, str] = {}
        for name, field in sorted(entry["data"].items()):
            committed[name], text = _field(seq, name, field)
            lines.append(f"  {name}: {text}")
        try:
            proof = [strict_base64(part) for part in entry["proof"]]
            leaf = leaf_hash(leaf_bytes(seq, ts, kind, committed))
        except (ValueError, AuditError) as error:
            raise _BadEntry(seq, f"the proof of seq {seq} is none") from error
        if not included(leaf, seq - 1, sealed.size, proof, sealed.said.root):
            raise _BadEntry(seq, f"seq {seq} is not what the sealed log has there")
    if not entries:
        raise BadKeys("the proof shows no entry")
    return lines


def _field(seq: int, name: str, field: object) -> tuple[str, str]:
    """The commitment to a field, and what a reader sees of it."""
    names = sorted(field) if isinstance(field, dict) else []
    match field:
        case {"commitment": str(digest)} if names == ["commitment"] and _COMMITMENT.fullmatch(digest):
            return digest, "kept back"
        case {"value": value, "salt": str(salt)} if names == ["salt", "value"] and _SALT.fullmatch(salt):
            try:
                text = ordered_json({name: value})
            except AuditError as error:
                raise _BadEntry(seq, f"a field of seq {seq} has a value that no entry can have") from error
            return commitment(bytes.fromhex(salt), name, value), text[1:-1].partition(":")[2]
    raise _BadEntry(seq, f"a field of seq {seq} is neither shown nor kept back")


def _refused(document: dict[str, Any], fault: Failure) -> Verdict:
    return Verdict(
        valid=False,
        hash_chain_valid=False,
        attestations_valid=False,
        entry_count=len(document["entries"]),
        error=fault.error,
        broken_at=fault.at,
        verdict=fault.kind,
        origin=document["origin"],
        tree_valid=False,
        checkpoint_count=1,
        key_count=len(document["keys"]),
    )


def _document(
    connection: sqlite3.Connection, seqs: list[int], withheld: Collection[str], installation: Installation
) -> dict[str, Any]:
    tree = read_tree(connection)
    if tree is None:
        raise AuditError(
            "this log has no tree, so no entry can be proved by itself",
            remedy="It was written by an older Moat; export all of it: moat audit RUN --export FILE",
        )
    judge = TreeJudge(tree, installation)
    if judge.failure is not None or not judge.checkpoints:
        raise AuditError("the log is not sealed as it should be", remedy=_SEE)
    last = judge.checkpoints[-1]
    if not seqs or seqs[0] < 1 or seqs[-1] > last.size:
        raise AuditError(
            f"entry {seqs[-1] if seqs and seqs[0] > 0 else 0} is not among the {last.size} that are sealed",
            remedy="A live run seals its entries every 10 seconds.",
        )
    leaves = TreeChecker(judge.seed, (last.size,), keep=True)
    rows = connection.execute(
        "SELECT seq, ts, type, prev_hash, data, hash FROM entries NOT INDEXED ORDER BY seq LIMIT ?",
        (last.size,),
    ).fetchall()
    entries = {row[0]: entry_of(row) for row in rows if row[0] in seqs}
    leaves.feed(rows)
    if leaves.roots.get(last.size) != last.said.root or leaves.failure is not None:
        raise AuditError("the log is not what was sealed, so nothing of it can be proved", remedy=_SEE)
    document: dict[str, Any] = {
        "moat_proof": VERSION,
        "origin": tree.origin,
        "checkpoint": last.note,
        "keys": list(tree.certificates),
        "installation": installation_parts(installation),
        "entries": [],
    }
    by_run = [found for found in judge.checkpoints if found.seal.run >= 0]
    if by_run and by_run[-1] is not last:
        document["run_checkpoint"] = by_run[-1].note
        document["consistency"] = _encoded(consistency_proof(leaves.kept, by_run[-1].size))
    unused = set(withheld)
    for seq in seqs:
        entry = entries[seq]
        names = sorted(entry.data)
        unused -= set(names)
        committed = commitments(judge.seed, seq, entry.data)
        salted = dict(zip(names, salts(judge.seed, seq, names), strict=True))
        document["entries"].append(
            {
                "seq": seq,
                "ts": entry.ts,
                "type": entry.type,
                "data": {
                    name: {"commitment": committed[name]}
                    if name in withheld
                    else {"value": entry.data[name], "salt": salted[name].hex()}
                    for name in names
                },
                "proof": _encoded(inclusion_proof(leaves.kept, seq - 1)),
            }
        )
    if unused:
        raise AuditError(
            f"none of these entries has a field {sorted(unused)[0]!r}",
            remedy="See the fields of an entry: moat audit RUN --export -",
        )
    return document


def _encoded(hashes: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(digest).decode() for digest in hashes]


_SEE = "`moat audit RUN` says where it breaks."
