"""A log to anchor: its signed head at any size, and that of another history under the same name."""

from __future__ import annotations

from engine.anchors.head import Head
from engine.audit import Signer
from engine.audit.checkpoint import Checkpoint
from engine.audit.keys import installation_origin
from engine.audit.merkle import leaf_hash, root_of

LOG = Signer(bytes(range(32)))
ORIGIN = installation_origin(LOG.public_key)


def head_of(size: int, word: str = "leaf") -> Head:
    leaves = [leaf_hash(f"{word} {number}".encode()) for number in range(size)]
    checkpoint = Checkpoint(ORIGIN, size, root_of(leaves))
    return Head(checkpoint, str(checkpoint.sign(LOG)), leaves)
