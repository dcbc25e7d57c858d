"""Cosignatures: a witness says when it saw a log's head, and that all it saw before is in it. Pure.

Source: C2SP tlog-cosignature, Ed25519 (https://c2sp.org/tlog-cosignature): a note signature of type 0x04,
`u64(seconds since 1970) ‖ Ed25519 signature` over `cosignature/v1`, the time and the whole note text.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.audit.note import BadNote, Note, NoteKey, Signature, key_id
from engine.audit.signer import SIGNATURE_BYTES, Signer, ed25519_valid

COSIGNATURE = 0x04  # the type byte
_TIME_BYTES = 8
_LATEST = 2**63 - 1


class Cosigned(msgspec.Struct, frozen=True):
    """Who cosigned, and when, in seconds since 1970 by that witness's clock."""

    witness: str
    time: int


def cosign(text: str, name: str, signer: Signer, now: int) -> Signature:
    """The line by which the witness `name` vouches for the checkpoint `text` at the time `now`."""
    signature = now.to_bytes(_TIME_BYTES, "big") + signer.sign_bytes(_message(text, now))
    return Signature(name, key_id(name, COSIGNATURE, signer.public_key), signature)


def cosigned_by(note: Note, witnesses: Iterable[NoteKey]) -> tuple[Cosigned, ...]:
    """The cosignatures on `note` by `witnesses` (keys of type 0x04), those of others passed over.

    Raises BadNote for one that names a known witness and is not its signature.
    """
    known = {(key.name, key.key_id): key for key in witnesses if key.kind == COSIGNATURE}
    found: dict[tuple[str, bytes], Cosigned] = {}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        time = int.from_bytes(line.signature[:_TIME_BYTES], "big")
        sound = len(line.signature) == _TIME_BYTES + SIGNATURE_BYTES and time <= _LATEST
        if not sound or not ed25519_valid(
            key.public_key, _message(note.text, time), line.signature[_TIME_BYTES:]
        ):
            raise BadNote(f"the cosignature of {line.name} is not valid")
        found[line.name, line.key_id] = Cosigned(line.name, time)
    return tuple(found.values())


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
