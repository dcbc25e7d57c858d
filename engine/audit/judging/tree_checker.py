"""The Merkle tree over entries that the chain found good: its heads at the sizes that somebody signed.

Entries go in, in order, after ChainChecker; the first that cannot be a leaf is named. No I/O; the loop is
the hot path of verification, as the chain's is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.audit.chain import Row
from engine.audit.judging.verdict import Failure
from engine.audit.leaf import leaf_hasher
from engine.audit.merkle import EMPTY_ROOT, Frontier
from engine.errors import AuditError


class TreeChecker:
    """watch: the sizes whose heads are wanted afterwards in `roots`. since: no entry may be older.

    count: leaves so far. kept: their hashes, when `keep` is set (a proof needs them).
    """

    def __init__(self, seed: bytes, watch: Iterable[int], since: str = "", *, keep: bool = False) -> None:
        self.count = 0
        self.failure: Failure | None = None
        self.kept: list[bytes] = []
        self._watch = frozenset(watch)
        self.roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self._leaf = leaf_hasher(seed)
        self._latest = since[:-1]
        self._keep = keep
        self.frontier = Frontier()

    def feed(self, rows: Sequence[Row]) -> None:
        """Judge `rows`, all of which follow one another and are what the chain says."""
        if self.failure is not None:
            return
        leaf, watch, latest = self._leaf, self._watch, self._latest
        fresh: list[bytes] = []
        for seq, ts, kind, _, data_json, _ in rows:
            moment = ts[:-1]
            if moment < latest:
                self.failure = Failure(
                    f"the time of seq {seq} lies before the one before it", at=seq, found=ts
                )
                break
            latest = moment
            try:
                fresh.append(leaf(seq, ts, kind, data_json))
            except AuditError:
                self.failure = Failure(f"the data of seq {seq} is not in its one form", at=seq)
                break
            if seq in watch:
                self._grow(fresh)
                self.roots[seq] = self.frontier.root()
                fresh = []
        self._grow(fresh)
        self._latest = latest

    def _grow(self, fresh: list[bytes]) -> None:
        self.frontier.extend(fresh)
        self.count = self.frontier.size
        if self._keep:
            self.kept += fresh
