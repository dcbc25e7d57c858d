"""What a log holds, against what was signed for it: asked before a later command signs its end. Pure.

Every entry is looked at again: chain, tree, frontier, each checkpoint and the keys that made them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import msgspec

from engine.audit.chain import ChainChecker, Row
from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.keys import Certificate, parse_certificate
from engine.audit.leaf import SEED_BYTES, leaf_hasher
from engine.audit.merkle import Frontier
from engine.audit.note import BadNote, parse_note, verified_by
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
        keys = _certified(held.origin, held.certificates)
        heads = [_head(held.origin, size, text, keys) for size, text in held.checkpoints]
    except (BadNote, ValueError) as error:
        raise Inconsistent(f"its tree cannot be read: {error}") from error
    if len(seed) != SEED_BYTES:
        raise Inconsistent("its tree has no seed")
    if recorded is not None and held.certificates[:1] != (recorded.certificate,):
        raise Inconsistent("its first key is not the one that the run was given")
    signed = [(head.size, head.root) for head, _ in heads]
    if recorded is not None and recorded.size:
        signed.append((recorded.size, recorded.root))
    frontier = _grown(rows, seed, signed)
    if (stored.size, stored.roots) != (frontier.size, frontier.roots):
        raise Inconsistent(f"its entries are not those of its frontier, which has {stored.size}")
    sealed = heads[-1][0].size if heads else 0
    closed = heads[-1][0].closed if heads else ""
    if any(head.closed for head, _ in heads[:-1]) or (closed and sealed != frontier.size):
        raise Inconsistent("it goes on after its close record")
    if not closed:  # what is closed is signed by nobody any more
        if not all(by_run for _, by_run in heads):
            raise Inconsistent("a checkpoint in it was not made by the run")
        if frontier.size - sealed > EVERY or (frontier.size and not sealed):
            raise Inconsistent(f"it has no checkpoint over its {frontier.size} entries")
    return Tree(held.origin, seed, frontier, sealed), closed


def _certified(origin: str, texts: Iterable[str]) -> list[Certificate]:
    """The run's keys, each introduced by the one before. Raises BadNote."""
    keys: list[Certificate] = []
    for number, text in enumerate(texts):
        note = parse_note(text.encode())
        key = parse_certificate(note.text)
        first = not keys and key.size == 0
        later = bool(keys) and key.size >= keys[-1].size and verified_by(note, [keys[-1].note_key])
        if key.origin != origin or key.number != number or not (first or later):
            raise BadNote(f"key {number} was not introduced by the one before")
        keys.append(key)
    return keys


def _head(origin: str, size: int, text: str, keys: Sequence[Certificate]) -> tuple[Checkpoint, bool]:
    """A checkpoint, and whether it was made with the run's key of that moment. Raises BadNote."""
    note = parse_note(text.encode())
    head = parse_checkpoint(note.text)
    if (head.origin, head.size) != (origin, size):
        raise BadNote(f"the checkpoint over {size} entries is another one")
    ends = [*(key.size for key in keys[1:]), size]
    then = [key.note_key for key, end in zip(keys, ends, strict=False) if key.size <= size <= end]
    return head, bool(verified_by(note, then))


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
