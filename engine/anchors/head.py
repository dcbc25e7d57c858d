"""What is anchored, and what came of it: a head of the installation's log, and what somebody said of it.

An anchor is a statement of a party that does not depend on this machine: that it saw the log's head, of
that size, at that time. Whoever rewrites the log later cannot have it said again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from engine.audit.checkpoint import Checkpoint
from engine.audit.merkle import consistency_proof, root_of
from engine.errors import MoatError

type Kind = Literal["directory", "git", "witness", "rfc3161", "rekor"]


class AnchorFailed(MoatError):
    """It did not come about this time; it is tried again later."""


class AnchorConflict(MoatError):
    """What was anchored before is no part of the log as it is: the log, or the place, was rewritten.

    proof: what both sides signed, for a person to read and to show; "" when there is only one side.
    """

    def __init__(self, what: str, *, remedy: str = "", detail: str = "", proof: str = "") -> None:
        super().__init__(what, remedy=remedy, detail=detail)
        self.proof = proof


class Head(msgspec.Struct, frozen=True):
    """The newest signed head of the installation's log.

    note: the checkpoint as it was signed. leaves: the leaf hashes of the log, `checkpoint.size` of them.
    """

    checkpoint: Checkpoint
    note: str
    leaves: Sequence[bytes]

    def root_at(self, size: int) -> bytes:
        """The root when the log had `size` leaves. Raises IndexError when it never had as many."""
        if not 0 <= size <= len(self.leaves):
            raise IndexError(size)
        return root_of(self.leaves[:size])

    def proof_from(self, size: int) -> list[bytes]:
        """That the log now begins with what it was at `size`. Raises IndexError."""
        return consistency_proof(self.leaves, size)

    def contains(self, earlier: Checkpoint) -> bool:
        """Whether `earlier` is a head that this log had."""
        if earlier.origin != self.checkpoint.origin or earlier.size > len(self.leaves):
            return False
        return self.root_at(earlier.size) == earlier.root


class Anchored(msgspec.Struct, frozen=True):
    """What a place last said. size, note: of the head it said it of, 0 and "" when it never did. at: when,
    RFC 3339 UTC.

    body: its statement in the place's own form, text. problem, tried_at: of the last try that failed since.
    conflict: that try found another history there.
    """

    kind: Kind
    place: str
    size: int = 0
    note: str = ""
    at: str = ""
    body: str = ""
    problem: str = ""
    tried_at: str = ""
    conflict: bool = False


class Place(Protocol):
    """Somewhere heads are anchored. kind and place: as in Anchored, and unique together."""

    kind: Kind
    place: str

    async def anchor(self, head: Head, before: Anchored) -> str:
        """Its statement about `head`. Raises AnchorFailed, AnchorConflict."""
        ...
