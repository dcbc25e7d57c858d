"""A proof bundle taken apart: shapes are checked here, what it says is for the judge.

What has another shape cannot be read at all (AuditError); text that is in its place and wrong is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from engine.audit.canonical import ordered_json
from engine.audit.chain import Attestation, Row
from engine.audit.judging.evidence import Installation, TreeEvidence, installation_from, strict_base64
from engine.audit.judging.verdict import Failure
from engine.audit.strict_json import DIGITS, MAX_DEPTH, deeper_than, go_escaped, no_float, quick_json
from engine.audit.types import DECLARED_ORDER
from engine.errors import AuditError

VERSION = 1
MAX_BYTES = 512 * 1024 * 1024
TREE_KEYS = ("origin", "tree", "checkpoints", "keys", "installation")

type _Fields = tuple[tuple[str, type], ...]

_ENTRY = (("seq", int), ("ts", str), ("type", str), ("prev", str), ("hash", str))
_ATTESTATION = (
    ("seq", int),
    ("root_hash", str),
    ("timestamp", str),
    ("signature", str),
    ("public_key", str),
)
_TOO_LARGE = 10**DIGITS
# What the quick encoder does not look at: integers beyond 2^53, and depth.
_LONG_NUMBER = re.compile(rb"[0-9]{16}")
_BRACKETS = 16
_sorted = msgspec.json.Encoder(order="sorted").encode
_as_it_stands = msgspec.json.Encoder().encode


class Bundle(msgspec.Struct, frozen=True):
    """rows: the entries for ChainChecker; with a tree the data in its one form, otherwise as it stands.

    malformed: the first attestation whose signature or key is no base64. tree: None for version 1.
    """

    last_hash: str
    count: int
    rows: Callable[[], Iterator[Row]]
    attestations: list[Attestation]
    malformed: Failure | None
    tree: TreeEvidence | None
    installation: Installation | None
    rekor_proofs: int
    anchors: int


class _QuickEntry(msgspec.Struct, frozen=True, gc=False):
    seq: int
    ts: str
    type: str
    prev: str
    data: msgspec.Raw
    hash: str


class _Quick(msgspec.Struct, frozen=True):
    """Our own export, key by key in its order; the data of entries is not looked into."""

    version: int
    created_at: str
    last_hash: str
    entries: list[_QuickEntry]
    attestations: Any = msgspec.UNSET
    rekor_proofs: Any = msgspec.UNSET
    origin: str | msgspec.UnsetType = msgspec.UNSET
    tree: Any = msgspec.UNSET
    checkpoints: Any = msgspec.UNSET
    keys: Any = msgspec.UNSET
    installation: Any = msgspec.UNSET
    anchors: Any = msgspec.UNSET


_decode_quick = msgspec.json.Decoder(_Quick, float_hook=no_float).decode


def read_document(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, in the strict form. Raises AuditError."""
    if len(data) > MAX_BYTES:
        raise AuditError(f"the proof bundle is larger than {MAX_BYTES >> 20} MiB", remedy=_REMEDY)
    try:
        document = quick_json(data)
    except ValueError as error:
        raise _no_bundle(str(error)) from error
    if not isinstance(document, dict):
        raise _no_bundle("it is no JSON object")
    return document


def quick_bundle(data: bytes) -> Bundle | None:
    """A bundle with a tree, in the very form in which we export it; None for any other.

    It is ours when it prints again as the same bytes, all but the data of entries: that is for the tree to
    look into, which takes no text but the one form. A fault found in this way may be one of the form only,
    so it has to be looked for again with `read_bundle`.
    """
    trimmed = data.removesuffix(b"\n")
    try:
        quick = _decode_quick(trimmed)
        if quick.origin is msgspec.UNSET or go_escaped(msgspec.json.encode(quick)) != trimmed:
            return None
        rest = {name: getattr(quick, name) for name in quick.__struct_fields__ if name != "entries"}
        document = {name: value for name, value in rest.items() if value is not msgspec.UNSET}
        if deeper_than(document, MAX_DEPTH):
            return None
        bundle = read_bundle({**document, "entries": []})
    except (ValueError, RecursionError, AuditError):
        return None

    def rows() -> Iterator[Row]:
        for entry in quick.entries:
            yield entry.seq, entry.ts, entry.type, entry.prev, bytes(entry.data).decode(), entry.hash

    return msgspec.structs.replace(bundle, rows=rows, count=len(quick.entries))


def read_bundle(document: dict[str, Any]) -> Bundle:
    """Raises AuditError for what is no bundle at all."""
    version = document.get("version")
    if type(version) is not int:
        raise _no_bundle("it has no version")
    if version != VERSION:
        raise AuditError(
            f"the proof bundle has version {version}; this Moat reads version {VERSION}",
            remedy="Verify it with the Moat that exported it.",
        )
    entries, attestations = records(document, "entries", _ENTRY), []
    malformed: Failure | None = None
    if not isinstance(document.get("created_at"), str) or not isinstance(document.get("last_hash"), str):
        raise _no_bundle("it lacks created_at or last_hash")
    if "entries" not in document or any("data" not in entry for entry in entries):
        raise _no_bundle("it lacks entries, or an entry its data")
    for found in records(document, "attestations", _ATTESTATION):
        seq, digest, ts = found["seq"], found["root_hash"], found["timestamp"]
        try:
            signature, key = strict_base64(found["signature"]), strict_base64(found["public_key"])
        except ValueError:
            malformed = malformed or Failure(f"invalid signature on attestation at seq {seq}", at=max(seq, 0))
            continue
        attestations.append(Attestation(seq, digest, ts, signature, key))
    tree, installation = _tree(document)
    encode = _as_it_stands if tree is None else _sorted

    def rows() -> Iterator[Row]:
        for entry in entries:
            text = _data_text(entry["data"], encode)
            yield entry["seq"], entry["ts"], entry["type"], entry["prev"], text, entry["hash"]

    return Bundle(
        document["last_hash"],
        len(entries),
        rows,
        attestations,
        malformed,
        tree,
        installation,
        len(records(document, "rekor_proofs", ())),
        len(records(document, "anchors", ())),
    )


def rewrites(kind: str, data: str) -> Iterator[str]:
    """The texts that an entry's data may have been hashed in, when not in the one that stands in the file:
    with sorted keys, or in the declared order of a Go struct (Go hashes that, and its exporter then sorts
    the keys away).
    """
    value = msgspec.json.decode(data)
    for order in ((), DECLARED_ORDER.get(kind, ())):
        try:
            yield ordered_json(value, order)
        except AuditError:
            return


def records(
    document: dict[str, Any], name: str, fields: tuple[tuple[str, type], ...]
) -> list[dict[str, Any]]:
    """The objects in the list `name`; none for null (as Go prints an empty list) and for no list."""
    found = document.get(name)
    if found is None:
        return []
    if type(found) is not list:
        raise _no_bundle(f"{name} is no list")
    for record in found:
        if type(record) is not dict:
            raise _no_bundle(f"{name} holds what is no object")
        for field, kind in fields:
            value = record.get(field)
            if type(value) is not kind or (kind is int and not -_TOO_LARGE < value < _TOO_LARGE):
                raise _no_bundle(f"{name}: {field} is missing or of another kind")
    return found


def texts(document: dict[str, Any], name: str) -> tuple[str, ...]:
    found = document.get(name, [])
    if type(found) is not list or not all(isinstance(text, str) for text in found):
        raise _no_bundle(f"{name} is no list of texts")
    return tuple(found)


def installation_of(document: dict[str, Any]) -> Installation:
    try:
        found = document["installation"]
        if type(found) is not dict:
            raise TypeError
        return installation_from(found)
    except (ValueError, KeyError, TypeError) as error:
        raise _no_bundle("installation is missing or of another kind") from error


def _tree(document: dict[str, Any]) -> tuple[TreeEvidence | None, Installation | None]:
    present = [name for name in TREE_KEYS if name in document]
    if not present:
        return None, None
    origin, tree = document.get("origin", ""), document.get("tree", {"seed": ""})
    if not isinstance(origin, str) or type(tree) is not dict or not isinstance(tree.get("seed"), str):
        raise _no_bundle("origin or tree is of another kind")
    missing = tuple(name for name in TREE_KEYS if name not in present)
    installation = installation_of(document) if "installation" in present else None
    checkpoints, certificates = texts(document, "checkpoints"), texts(document, "keys")
    return TreeEvidence(origin, tree["seed"], checkpoints, certificates, missing=missing), installation


def _data_text(data: object, encode: Callable[[object], bytes]) -> str:
    """The compact text of `data`; "" for what can never have been hashed."""
    try:
        raw = encode(data)
        if _LONG_NUMBER.search(raw) or raw.count(b"{") + raw.count(b"[") > _BRACKETS:
            ordered_json(data)  # type: ignore[arg-type]
        return go_escaped(raw).decode()
    except (AuditError, TypeError, AttributeError, ValueError, OverflowError, RecursionError):
        return ""


def _no_bundle(detail: str) -> AuditError:
    return AuditError("this is not a proof bundle", detail=detail, remedy=_REMEDY)


_REMEDY = "Export it again with `moat audit RUN --export FILE`."
