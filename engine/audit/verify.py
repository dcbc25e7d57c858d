"""Is this log what was written? Every entry, every link, every signature; the first fault is named."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine.audit.chain import Attestation, ChainChecker, Row
from engine.audit.judging.evidence import Installation, Recorded
from engine.audit.judging.judge import Case, judge
from engine.audit.judging.tree_checker import TreeChecker
from engine.audit.judging.tree_judge import TreeJudge
from engine.audit.judging.trust import BadKeys, installation_keys
from engine.audit.judging.verdict import OPEN, Failure, Verdict, shown, unreadable
from engine.audit.keys import installation_origin
from engine.audit.source import Unusable, read_log
from engine.audit.tree_rows import read_tree

CHUNK = 4096  # entries between two looks at `cancelled`
CANCELLED = "cancelled"

type Progress = Callable[[int, int], None]


def verify_log(
    path: Path,
    *,
    public_key: bytes | None = None,
    installation: Installation | None = None,
    recorded: Recorded | None = None,
    finished: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Verdict:
    """Verify the log at `path`, live or finished, without changing a byte of it. Blocking.

    public_key: the installation's first, 32 bytes: what it did not lead to is a fault. installation: with
    it, the later keys (its first must be that one). recorded: what the installation's log says of the run.
    finished: the run ended, so the log must have been closed (a tail cut off together with what signs it
    shows only by this). progress: told (done, total) every few thousand entries. cancelled: asked as often.
    Never raises for what is in the file: a missing, emptied, foreign or damaged one is a Verdict too.
    """
    try:
        return read_log(
            path,
            lambda connection, live: _verify(
                connection, live, public_key, installation, recorded, finished, Watched(progress, cancelled)
            ),
        )
    except Unusable as error:
        return unreadable(error.what)
    except (sqlite3.Error, OSError, OverflowError) as error:
        return unreadable(f"{path.name} is damaged: {shown_reason(error)}")


def shown_reason(error: BaseException) -> str:
    """SQLite's words, without what it quotes from the file: rows that are no UTF-8, names of tables."""
    text = str(error)
    if text.startswith("Could not decode"):
        return "text that is no UTF-8"
    return "".join(char if char.isprintable() else "?" for char in text[:200])


def _verify(
    connection: sqlite3.Connection,
    live: bool,
    public_key: bytes | None,
    installation: Installation | None,
    recorded: Recorded | None,
    finished: bool,
    watched: Watched,
) -> Verdict:
    attestations, malformed = _attestations(connection)
    rekor_proofs = connection.execute("SELECT count(*) FROM rekor_proofs").fetchone()[0]
    evidence = read_tree(connection)
    if evidence is None and recorded is not None:
        return unreadable("the installation's log says that this log had a tree: it was taken away")
    known = installation or (Installation(public_key) if public_key is not None else None)
    tree = TreeJudge(evidence, known, recorded) if evidence is not None else None
    leaves = TreeChecker(tree.seed, tree.watch, tree.since) if tree is not None and tree.seed else None
    chain = ChainChecker((a.seq for a in attestations), opaque=leaves is not None)
    rows = connection.execute(
        "SELECT seq, ts, type, prev_hash, data, hash FROM entries NOT INDEXED ORDER BY seq"
    )
    total = _highest(connection) if watched.progress else 0
    try:
        if not feed(chain, leaves, rows, total, watched):
            return _cancelled(chain.count)
    except (sqlite3.Error, OverflowError) as error:
        return _stopped_reading(chain, error)
    if live and not chain.count and not attestations and evidence is None and chain.failure is malformed:
        # Its first entry is on the way.
        return Verdict(valid=True, hash_chain_valid=True, attestations_valid=True, verdict=OPEN)
    return judge(
        Case(
            chain,
            attestations,
            tree,
            leaves,
            public_key,
            accepted=accepted_keys(known),
            own=True,
            finished=finished and not live,
            malformed=malformed,
            entry_count=_count(connection, chain) if chain.failure else None,
            rekor_proof_count=rekor_proofs,
        )
    )


class Watched(msgspec.Struct, frozen=True):
    """Who is told how far a verification is, and asked whether it shall go on."""

    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None


def feed(
    chain: ChainChecker, leaves: TreeChecker | None, rows: Iterator[Row], total: int, watched: Watched
) -> bool:
    """Every row through both; False when it was cancelled. Errors of `rows` pass through, state intact."""
    done = False
    while not done:
        chunk: list[Row] = []
        before = chain.count
        try:
            chunk.extend(itertools.islice(rows, CHUNK))
        finally:
            # What came before a row that cannot be read counts.
            good = chain.feed(chunk)
            if leaves is not None:
                leaves.feed(chunk[:good])
        done = len(chunk) < CHUNK or good < CHUNK
        if watched.progress and (not done or chain.failure is None):
            watched.progress(chain.count, max(total, chain.count) if not done else chain.count)
        if not done and watched.cancelled and watched.cancelled():
            return False
        assert chain.count == before + good
    return True


def accepted_keys(installation: Installation | None) -> frozenset[bytes]:
    """The keys that may have signed a log without a tree: the installation's, of any day."""
    if installation is None:
        return frozenset()
    try:
        keys = installation_keys(installation_origin(installation.key), installation)
    except BadKeys:
        return frozenset({installation.key})
    return frozenset(key.public_key for key in keys)


def _cancelled(count: int) -> Verdict:
    return Verdict(
        valid=False,
        hash_chain_valid=False,
        attestations_valid=False,
        entry_count=count,
        error=CANCELLED,
        cancelled=True,
    )


def _attestations(connection: sqlite3.Connection) -> tuple[list[Attestation], Failure | None]:
    """Those that have the right shape, and the fault of the first that has not."""
    good: list[Attestation] = []
    rows = connection.execute(
        "SELECT seq, root_hash, timestamp, signature, public_key FROM attestations ORDER BY seq"
    )
    for seq, root_hash, timestamp, signature, public_key in rows:
        texts = isinstance(root_hash, str) and isinstance(timestamp, str)
        blobs = isinstance(signature, bytes) and isinstance(public_key, bytes)
        if type(seq) is not int or seq < 1 or not texts or not blobs:
            return good, Failure(f"invalid signature on attestation at seq {shown(seq)}")
        good.append(Attestation(seq, root_hash, timestamp, signature, public_key))
    return good, None


def _stopped_reading(checker: ChainChecker, error: Exception) -> Verdict:
    """Text that is no UTF-8 was put there by hand; anything else is a page that cannot be read."""
    seq = checker.count + 1
    if str(error).startswith("Could not decode"):
        return unreadable(f"invalid hash at seq {seq}: entry tampered", entry_count=checker.count, at=seq)
    return unreadable(
        f"the log is damaged after seq {checker.count}: {shown_reason(error)}",
        entry_count=checker.count,
        at=seq,
    )


def _highest(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT max(seq) FROM entries").fetchone()[0]
    return found if isinstance(found, int) else 0


def _count(connection: sqlite3.Connection, checker: ChainChecker) -> int:
    try:
        return int(connection.execute("SELECT count(*) FROM entries NOT INDEXED").fetchone()[0])
    except sqlite3.Error:
        return checker.count
