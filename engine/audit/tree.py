"""The tree over a log as it grows, and when its head is signed. Pure: it says what to store, others store it.

A checkpoint is due over the first entries, at the latest every EVERY entries, and when somebody says so:
after INTERVAL seconds in which something was written, before a key is replaced, and at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from engine.audit.canonical import Entry
from engine.audit.checkpoint import Checkpoint
from engine.audit.leaf import own_leaf_hasher
from engine.audit.merkle import Frontier
from engine.audit.note import Note

EVERY = 256  # entries
INTERVAL = 10.0  # seconds

type Sign = Callable[[Checkpoint], Note]


class Growth(msgspec.Struct, frozen=True):
    """What entries make of a tree, to be stored together with them. sealed: size of the last checkpoint."""

    frontier: Frontier
    checkpoints: tuple[tuple[int, str], ...]  # size, note
    sealed: int


class Tree:
    """sealed: the size at the last checkpoint, 0 for none. `adopt` what was stored, and only then."""

    def __init__(self, origin: str, seed: bytes, frontier: Frontier | None = None, sealed: int = 0) -> None:
        self.origin = origin
        self.seed = seed
        self.frontier = frontier or Frontier()
        self.sealed = sealed
        self._leaf = own_leaf_hasher(seed)

    @property
    def unsealed(self) -> int:
        """Entries since the last checkpoint."""
        return self.frontier.size - self.sealed

    def grown(self, entries: Sequence[Entry], sign: Sign, *, seal: bool = False, reason: str = "") -> Growth:
        """The tree with `entries` added; seal: with a checkpoint at its end; reason: as its close record."""
        frontier, sealed, leaf = self.frontier.copy(), self.sealed, self._leaf
        checkpoints: list[tuple[int, str]] = []
        done = 0
        while done < len(entries):
            part = entries[done : done + EVERY - (frontier.size - sealed)]
            frontier.extend([leaf(entry.seq, entry.ts, entry.type, entry.data_json) for entry in part])
            done += len(part)
            if frontier.size - sealed == EVERY:
                sealed = frontier.size
                checkpoints.append((sealed, str(sign(Checkpoint(self.origin, sealed, frontier.root())))))
        size = frontier.size
        if reason:
            checkpoints = [(at, note) for at, note in checkpoints if at < size]  # one of a size
            closing = Checkpoint.closing(self.origin, size, frontier.root(), reason)
            checkpoints.append((size, str(sign(closing))))
            sealed = size
        elif size > sealed and (seal or not sealed):
            checkpoints.append((size, str(sign(Checkpoint(self.origin, size, frontier.root())))))
            sealed = size
        return Growth(frontier, tuple(checkpoints), sealed)

    def adopt(self, growth: Growth) -> None:
        self.frontier, self.sealed = growth.frontier, growth.sealed


def frontier_json(frontier: Frontier) -> str:
    """As `metadata` holds it (FORMAT.md)."""
    roots = ",".join([f'"{root.hex()}"' for root in frontier.roots])
    return f'{{"size":{frontier.size},"roots":[{roots}]}}'


def parse_frontier(text: str) -> Frontier:
    """Raises ValueError for what is none."""
    try:
        found = msgspec.json.decode(text, type=_Frontier)
        return Frontier(found.size, [bytes.fromhex(root) for root in found.roots])
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ValueError("this is not the frontier of a tree") from error


class _Frontier(msgspec.Struct, frozen=True):
    size: int
    roots: list[str]
