"""An entry as a leaf of the tree: every field of its data stands as a salted commitment.

So one entry can be shown, and some of its fields kept back, with a proof that holds all the same. Pure;
the format is in FORMAT.md, "The tree".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from engine.audit.canonical import canonical_json
from engine.audit.merkle import leaf_hash

SEED_BYTES = 32
SALT_BYTES = 16


def salts(seed: bytes, seq: int, names: list[str]) -> list[bytes]:
    """One of 16 bytes for each of the sorted field names of entry `seq`."""
    stream = hashlib.shake_256(seed + seq.to_bytes(8, "big")).digest(SALT_BYTES * len(names))
    return [stream[at : at + SALT_BYTES] for at in range(0, len(stream), SALT_BYTES)]


def commitment(salt: bytes, name: str, value: object) -> str:
    """64 hex digits that bind to `{name: value}` and tell nothing about it without the salt."""
    return hashlib.sha256(salt + canonical_json({name: value}).encode()).hexdigest()


def commitments(seed: bytes, seq: int, data: Mapping[str, Any]) -> dict[str, str]:
    names = sorted(data)
    return {
        name: commitment(salt, name, data[name])
        for name, salt in zip(names, salts(seed, seq, names), strict=True)
    }


def leaf_bytes(seq: int, ts: str, kind: str, committed: Mapping[str, str]) -> bytes:
    """The leaf of an entry, given its fields' commitments."""
    return canonical_json({"data": dict(committed), "seq": seq, "ts": ts, "type": kind}).encode()


def entry_leaf(seed: bytes, seq: int, ts: str, kind: str, data: Mapping[str, Any]) -> bytes:
    """The leaf hash of an entry, 32 bytes."""
    return leaf_hash(leaf_bytes(seq, ts, kind, commitments(seed, seq, data)))
