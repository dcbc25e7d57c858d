"""The Merkle tree over a log's leaves: its head, and proofs that one head contains a leaf or another head.

Pure. Source: RFC 9162 §2.1 (the same tree as RFC 6962): a leaf hashes with 0x00 before it and a node
with 0x01, so neither can be passed off as the other; a tree of n leaves splits at the largest power of
two below n. Hashes are 32 raw bytes; indices count from 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the full subtrees that stand beside one another in a tree of `size` leaves.

    There is one for each bit of `size`, the largest first: all that appending needs, so it is all that
    is kept. `add` costs two hashes on average.
    """

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        """Raises ValueError when `roots` cannot be the frontier of `size` leaves."""
        if size < 0 or len(roots) != size.bit_count() or any(len(root) != HASH_BYTES for root in roots):
            raise ValueError(f"not the frontier of a tree of {size} leaves")
        self.size = size
        self._roots = list(roots)

    @property
    def roots(self) -> tuple[bytes, ...]:
        return tuple(self._roots)

    def add(self, leaf: bytes) -> None:
        """Append a leaf, given its `leaf_hash`."""
        full = self.size
        while full & 1:
            leaf = node_hash(self._roots.pop(), leaf)
            full >>= 1
        self._roots.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """As `add` for each of `leaves`, in order, and quicker: the tree is built a level at a time."""
        sha256, level, size = hashlib.sha256, list(leaves), self.size
        self.size += len(level)
        added: list[bytes] = []
        while level:
            if size & 1:
                level.insert(0, self._roots.pop())
            if len(level) & 1:
                added.insert(0, level.pop())
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
            size >>= 1
        self._roots += added

    def root(self) -> bytes:
        """The head of the tree as it stands."""
        if not self._roots:
            return EMPTY_ROOT
        head = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            head = node_hash(left, head)
        return head

    def copy(self) -> Frontier:
        same = Frontier()
        same.size, same._roots = self.size, self._roots.copy()
        return same


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The head over these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The path from leaf `index` to the head over `leaves` (RFC 9162 §2.1.3.1). Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"a tree of {len(leaves)} leaves has no leaf {index}")
    path: list[bytes] = []
    begin, end = 0, len(leaves)
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(root_of(leaves[middle:end]))
            end = middle
        else:
            path.append(root_of(leaves[begin:middle]))
            begin = middle
    path.reverse()
    return path


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """That the tree over `leaves` begins with its first `old_size` (RFC 9162 §2.1.4.1).

    Empty for the whole tree itself, and for the empty one, with which everything begins. Raises IndexError.
    """
    if not 0 <= old_size <= len(leaves):
        raise IndexError(f"a tree of {len(leaves)} leaves never had {old_size}")
    if old_size in (0, len(leaves)):
        return []
    path: list[bytes] = []
    begin, end = 0, len(leaves)
    known = True  # whether the old tree's head is the subtree that is left, so that it need not be said
    while old_size != end:
        middle = begin + _split(end - begin)
        if old_size <= middle:
            path.append(root_of(leaves[middle:end]))
            end = middle
        else:
            path.append(root_of(leaves[begin:middle]))
            begin = middle
            known = False
    if not known:
        path.append(root_of(leaves[begin:end]))
    path.reverse()
    return path


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` leads from the leaf hash at `index` to `root`, the head of `size` leaves (§2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, head = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            head = node_hash(part, head)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            head = node_hash(head, part)
        number >>= 1
        last >>= 1
    return last == 0 and head == root


def consistent(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the newer tree begins with all of the older one (RFC 9162 §2.1.4.2)."""
    if not 0 <= old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)  # a full subtree, so the proof does not repeat it
    if not path:
        return False
    number, last = old_size - 1, new_size - 1
    while number & 1:
        number >>= 1
        last >>= 1
    old_head = new_head = path[0]
    for part in path[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            old_head = node_hash(part, old_head)
            new_head = node_hash(part, new_head)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            new_head = node_hash(new_head, part)
        number >>= 1
        last >>= 1
    return last == 0 and old_head == old_root and new_head == new_root


def _split(size: int) -> int:
    """The largest power of two that is smaller than `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)
