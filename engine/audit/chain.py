"""The hash chain as a state machine: entries go in, in order; the first that does not fit is named.

It does no I/O. The loop is the hot path of verification (over 100,000 entries a second), hence its
local names and its rows as plain tuples.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from engine.audit.judging.verdict import Failure, shown

type Row = tuple[Any, Any, Any, Any, Any, Any]  # seq, ts, type, prev, data_json, hash: not to be trusted

# The hash has no separators between its parts, so a boundary could be moved without changing it. These
# shapes make it unambiguous: ts has its only "Z" at the end, a type has neither upper case nor brace,
# prev is known, and data begins with a brace.
TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{0,8}[1-9])?Z")
TYPE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_parse_object = msgspec.json.Decoder(dict[str, Any]).decode


class ChainChecker:
    """Feed it rows; it stops at the first that is wrong.

    watch: seqs whose hashes are wanted afterwards in `hashes` (those that attestations cover).
    rewrites: other texts that the same data may have been hashed in, given type and text; asked only
    when the text as it stands does not hash to what it should. opaque: whoever comes after takes the data
    apart, so that it need not be done twice.
    """

    def __init__(
        self,
        watch: Iterable[int] = (),
        rewrites: Callable[[str, str], Iterable[str]] | None = None,
        *,
        opaque: bool = False,
    ) -> None:
        self.count = 0  # entries that were found good
        self.last_hash = ""
        self.failure: Failure | None = None
        self.hashes: dict[int, str] = {}
        self._watch = frozenset(watch)
        self._rewrites = rewrites
        self._types: set[str] = set()
        self._opaque = opaque

    @classmethod
    def at(cls, seq: int, last_hash: str) -> ChainChecker:
        """A checker for what follows the entry `seq`, which is taken on trust."""
        checker = cls()
        checker.count, checker.last_hash = seq, last_hash
        return checker

    def feed(self, rows: Iterable[Row]) -> int:
        """Judge `rows`; returns how many were good. Errors of the iterator pass through, state intact."""
        if self.failure is not None:
            return 0
        before = seq = self.count
        previous = self.last_hash
        watch, types, opaque = self._watch, self._types, self._opaque
        sha256, pack, is_timestamp = hashlib.sha256, struct.Struct(">Q").pack, TIMESTAMP.fullmatch
        try:
            for number, ts, kind, prev, data, found in rows:
                if number != seq + 1 or type(number) is not int:
                    self.failure = _gap(seq + 1, number)
                    break
                if prev != previous:
                    self.failure = Failure(
                        f"broken chain at seq {number}: prev_hash mismatch",
                        at=number,
                        expected=shown(previous),
                        found=shown(prev),
                    )
                    break
                try:
                    computed = sha256(pack(number) + (ts + kind + prev + data).encode()).hexdigest()
                    if not opaque:
                        _parse_object(data)
                    sound = is_timestamp(ts) is not None
                except (TypeError, AttributeError, ValueError, RecursionError):
                    self.failure = _tampered(number, "", found)  # NULL, blob, no Unicode, no JSON object
                    break
                if computed != found and not self._rewritten(number, ts, kind, prev, data, found):
                    self.failure = _tampered(number, computed, found)
                    break
                if not sound or (kind not in types and not TYPE_NAME.fullmatch(kind)):
                    self.failure = _tampered(number, "", found)
                    break
                types.add(kind)
                seq = number
                previous = found
                if number in watch:
                    self.hashes[number] = found
        finally:
            self.count, self.last_hash = seq, previous
        return seq - before

    def _rewritten(self, number: int, ts: str, kind: str, prev: str, data: str, found: object) -> bool:
        if self._rewrites is None:
            return False
        return any(
            hashlib.sha256(number.to_bytes(8, "big") + (ts + kind + prev + text).encode()).hexdigest()
            == found
            for text in self._rewrites(kind, data)
        )


def _gap(expected: int, found: object) -> Failure:
    got = found if type(found) is int else shown(found)
    # The earlier of the two is where the log stops being what was written: the entry that is missing,
    # or the one that is there twice.
    at = min(expected, found) if type(found) is int and found > 0 else expected
    return Failure(
        f"sequence gap: expected {expected}, got {got}", at=at, expected=str(expected), found=str(got)
    )


def _tampered(seq: int, computed: str, found: object) -> Failure:
    return Failure(
        f"invalid hash at seq {seq}: entry tampered", at=seq, expected=computed, found=shown(found)
    )


class Attestation(msgspec.Struct, frozen=True):
    """A signature over the chain up to `seq`: `root_hash` is the hash of the entry with that seq."""

    seq: int
    root_hash: str
    timestamp: str
    signature: bytes
    public_key: bytes
