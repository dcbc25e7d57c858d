"""Rekor v2, Sigstore's public log: a head's digest becomes an entry that everybody sees.

What is signed there is the digest alone, by a key made for it and forgotten: the entry tells nothing about
this installation to who has not got the head. Sources: rekor-tiles' CLIENTS.md
(https://github.com/sigstore/rekor-tiles) and its TransparencyLogEntry; the log's checkpoints are C2SP notes.

The body is JSON: `note`, the checkpoint it is of, and `entry`, Rekor's answer as it came.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from engine.anchors.head import Anchored, AnchorFailed, Head, Kind
from engine.anchors.http import post
from engine.anchors.timestamp import digest
from engine.audit.checkpoint import parse_checkpoint
from engine.audit.merkle import included, leaf_hash
from engine.audit.note import BadNote, NoteKey, parse_note, verified_by

_PATH = "/api/v2/log/entries"
_CREATED = (200, 201)


class Envelope(msgspec.Struct, frozen=True):
    envelope: str


class InclusionProof(msgspec.Struct, frozen=True, rename="camel"):
    checkpoint: Envelope
    hashes: tuple[str, ...] = ()


class LogEntry(msgspec.Struct, frozen=True, rename="camel"):
    """What is needed of a TransparencyLogEntry; the proof's own index, size and root are not to be used."""

    log_index: str
    canonicalized_body: str
    inclusion_proof: InclusionProof


class Rekord(msgspec.Struct, frozen=True):
    note: str
    entry: msgspec.Raw


class Rekor:
    kind: Kind = "rekor"

    def __init__(self, url: str, key: NoteKey) -> None:
        """key: the log's own, of type 0x01, under the name of its origin."""
        self.place = url
        self._url = url.rstrip("/") + _PATH
        self._key = key

    async def anchor(self, head: Head, before: Anchored) -> str:
        reply = await post(self._url, _request(head.note), {"Content-Type": "application/json"})
        if reply.status not in _CREATED:
            raise AnchorFailed(f"Rekor at {self.place} answered {reply.status}: {reply.first_line()}")
        try:
            body = msgspec.json.encode(Rekord(head.note, msgspec.Raw(reply.body))).decode()
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise AnchorFailed(f"Rekor at {self.place} did not answer with an entry") from error
        included_in(body, self._key)
        return body


def included_in(body: str, key: NoteKey) -> int:
    """The entry's index in the log that `key` signs for. Raises AnchorFailed when it is not proven there."""
    try:
        rekord = msgspec.json.decode(body, type=Rekord)
        entry = msgspec.json.decode(rekord.entry, type=LogEntry)
        leaf = base64.b64decode(entry.canonicalized_body, validate=True)
        proof = [base64.b64decode(part, validate=True) for part in entry.inclusion_proof.hashes]
        note = parse_note(entry.inclusion_proof.checkpoint.envelope.encode())
        if not verified_by(note, [key]):
            raise AnchorFailed(f"Rekor's checkpoint is not signed by {key.name}")
        head = parse_checkpoint(note.text)
        index = int(entry.log_index)
        if head.origin != key.name or not included(leaf_hash(leaf), index, head.size, proof, head.root):
            raise AnchorFailed(f"Rekor's entry {index} is not in the log that its checkpoint is of")
        if _digest_in(leaf) != digest(rekord.note):
            raise AnchorFailed(f"Rekor's entry {index} is of something else")
    except (
        BadNote,
        msgspec.MsgspecError,
        RecursionError,
        binascii.Error,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        raise AnchorFailed("what Rekor answered is no proven entry", detail=str(error)) from error
    return index


def _request(note: str) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    hashed = digest(note)
    key = ec.generate_private_key(ec.SECP256R1())
    signature = key.sign(hashed, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    verifier = {"publicKey": {"rawBytes": _base64(public)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
    signed = {"content": _base64(signature), "verifier": verifier}
    return msgspec.json.encode({"hashedRekordRequestV002": {"digest": _base64(hashed), "signature": signed}})


def _digest_in(leaf: bytes) -> bytes:
    """The digest in a hashedrekord entry 0.0.2; another kind or version is a KeyError."""
    body: dict[str, Any] = msgspec.json.decode(leaf)
    if (body["kind"], body["apiVersion"]) != ("hashedrekord", "0.0.2"):
        raise KeyError(body["kind"])
    data = body["spec"]["hashedRekordV002"]["data"]
    if data["algorithm"] != "SHA2_256":
        raise KeyError(data["algorithm"])
    return base64.b64decode(data["digest"], validate=True)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
