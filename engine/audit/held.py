"""What a log holds, against what was signed for it: asked before a later command signs its end. Pure.

Every entry is looked at again: chain, tree, frontier, each checkpoint and the keys that made them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec

from engine.audit.chain import ChainChecker, Row
from engine.audit.judging.sealed import Sealed, read_sealed
from engine.audit.judging.trust import BadKeys, RunTrust, trust_run
from engine.audit.leaf import SEED_BYTES, leaf_hasher
from engine.audit.merkle import Frontier
from engine.audit.tree import EVERY, Tree, parse_frontier
from engine.errors import AuditError

CHUNK = 4096  # entries


class RecordedHead(msgspec.Struct, frozen=True):
    """What the installation's log knows of a run: the certificate of its key 0, and its largest head."""

    certificate: str
    size: int = 0
    root: bytes = b""


class Held(msgspec.Struct, frozen=True):
    """What stands in an audit.db, not yet believed: `frontier` is JSON, `checkpoints` are (size, note)."""

    origin: str
    seed: str
    frontier: str
    checkpoints: tuple[tuple[int, str], ...]
    certificates: tuple[str, ...]


class Inconsistent(AuditError):
    """The log is not what was signed; `what` says where."""


def check_held(held: Held, rows: Iterable[Row], recorded: RecordedHead | None = None) -> tuple[Tree, str]:
    """The log's tree as it stands, and why the log was closed ("" when it was not). Raises Inconsistent."""
    try:
        seed, stored = bytes.fromhex(held.seed), parse_frontier(held.frontier)
        trust = trust_run(held.origin, held.certificates, None)  # its first key is compared below
        heads = [_head(size, text, trust) for size, text in held.checkpoints]
    except (BadKeys, ValueError) as error:
        raise Inconsistent(f"its tree cannot be read: {error}") from error
    if len(seed) != SEED_BYTES:
        raise Inconsistent("its tree has no seed")
    if recorded is not None and held.certificates[:1] != (recorded.certificate,):
        raise Inconsistent("its first key is not the one that the run was given")
    signed = [(head.size, head.said.root) for head in heads]
    if recorded is not None and recorded.size:
        signed.append((recorded.size, recorded.root))
    frontier = _grown(rows, seed, signed)
    if (stored.size, stored.roots) != (frontier.size, frontier.roots):
        raise Inconsistent(f"its entries are not those of its frontier, which has {stored.size}")
    sealed = heads[-1].size if heads else 0
    closed = heads[-1].said.closed if heads else ""
    if any(head.said.closed for head in heads[:-1]) or (closed and sealed != frontier.size):
        raise Inconsistent("it goes on after its close record")
    if not closed:  # what is closed is signed by nobody any more
        if any(head.seal.run < 0 for head in heads):
            raise Inconsistent("a checkpoint in it was not made by the run")
        if frontier.size - sealed > EVERY or (frontier.size and not sealed):
            raise Inconsistent(f"it has no checkpoint over its {frontier.size} entries")
    return Tree(held.origin, seed, frontier, sealed), closed


def _head(size: int, text: str, trust: RunTrust) -> Sealed:
    found = read_sealed(text, trust)
    if found.size != size:
        raise BadKeys(f"the checkpoint over {size} entries is another one")
    return found


def _grown(rows: Iterable[Row], seed: bytes, signed: Iterable[tuple[int, bytes]]) -> Frontier:
    """The tree over `rows`; each of `signed` is held against it on the way. Raises Inconsistent."""
    waiting = sorted(signed, reverse=True)
    checker, frontier, leaf = ChainChecker(), Frontier(), leaf_hasher(seed)
    for chunk in itertools.batched(rows, CHUNK):
        checker.feed(chunk)
        if checker.failure is not None:
            raise Inconsistent(checker.failure.error)
        for seq, ts, kind, _, data_json, _ in chunk:
            frontier.add(leaf(seq, ts, kind, data_json))
            while waiting and waiting[-1][0] <= seq:
                size, root = waiting.pop()
                if size == seq and root != frontier.root():
                    raise Inconsistent(f"its first {size} entries are not those that were signed")
    if waiting:
        size = waiting[0][0]
        raise Inconsistent(f"{size} entries of it were signed, and it has {frontier.size}")
    return frontier
