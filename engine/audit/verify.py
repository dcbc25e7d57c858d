"""Is this log what was written? Every entry, every link, every signature; the first fault is named."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path

from engine.audit.chain import Attestation, ChainChecker, check_attestations
from engine.audit.keys import installation_origin, parse_certificate
from engine.audit.note import BadNote, NoteKey, parse_note, verified_by
from engine.audit.source import Unusable, read_log
from engine.audit.verdict import Failure, Verdict, shown, unreadable

CHUNK = 4096  # entries between two looks at `cancelled`
CANCELLED = "cancelled"

type Progress = Callable[[int, int], None]


def verify_log(
    path: Path,
    *,
    public_key: bytes | None = None,
    finished: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Verdict:
    """Verify the log at `path`, live or finished, without changing a byte of it. Blocking.

    public_key: 32 bytes; attestations by any other key are faults. finished: the run ended in order, so
    an attestation over the last entry must be there (a tail cut off together with its attestation shows
    only by this). progress: told (done, total) every few thousand entries. cancelled: asked as often.
    Never raises for what is in the file: a missing, emptied, foreign or damaged one is a Verdict too.
    """
    try:
        return read_log(
            path,
            lambda connection, live: _verify(connection, live, public_key, finished, progress, cancelled),
        )
    except Unusable as error:
        return unreadable(error.what)
    except (sqlite3.Error, OSError, OverflowError) as error:
        return unreadable(f"{path.name} is damaged: {shown_reason(error)}")


def judge(
    checker: ChainChecker,
    attestations: list[Attestation],
    *,
    public_key: bytes | None,
    claimed_last: str | None = None,
    finished: bool = False,
    entry_count: int | None = None,
    rekor_proof_count: int = 0,
) -> Verdict:
    """The verdict, once every entry went through `checker`. claimed_last: the last hash a bundle names."""
    chain_fault = checker.failure
    if chain_fault is None and claimed_last is not None and claimed_last != checker.last_hash:
        chain_fault = Failure(
            f"last hash mismatch: expected {shown(claimed_last)}, got {shown(checker.last_hash)}",
            at=checker.count,
            expected=shown(claimed_last),
            found=shown(checker.last_hash),
        )
    attested_fault = check_attestations(attestations, checker, public_key) if attestations else None
    if chain_fault is None and attested_fault is None and not checker.count:
        chain_fault = Failure("the log has no entries: it was emptied, or nothing was ever written to it")
    closed = attested_fault is None and any(
        a.seq == checker.count and a.root_hash == checker.last_hash for a in attestations
    )
    if chain_fault is None and attested_fault is None and finished and not closed:
        attested_fault = Failure(
            f"last hash mismatch: no attestation covers the last entry, seq {checker.count}",
            at=checker.count,
            found=checker.last_hash,
        )
    fault = chain_fault or attested_fault or Failure("")
    return Verdict(
        valid=not fault.error,
        hash_chain_valid=chain_fault is None,
        attestations_valid=attested_fault is None,
        entry_count=checker.count if entry_count is None else entry_count,
        attestation_count=len(attestations),
        rekor_proof_count=rekor_proof_count,
        last_hash=checker.last_hash,
        error=fault.error,
        broken_at=fault.at,
        closed=closed and chain_fault is None,
        expected=fault.expected,
        found=fault.found,
        signers=()
        if attested_fault is not None
        else tuple(dict.fromkeys(attestation.public_key.hex() for attestation in attestations)),
    )


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
    finished: bool,
    progress: Progress | None,
    cancelled: Callable[[], bool] | None,
) -> Verdict:
    attestations, fault = _attestations(connection)
    if public_key is not None and {a.public_key for a in attestations} <= _certified(connection, public_key):
        public_key = None
    rekor_proofs = connection.execute("SELECT count(*) FROM rekor_proofs").fetchone()[0]
    checker = ChainChecker(watch=(a.seq for a in attestations))
    total = _highest(connection) if progress else 0
    rows = connection.execute(
        "SELECT seq, ts, type, prev_hash, data, hash FROM entries NOT INDEXED ORDER BY seq"
    )
    try:
        while checker.feed(itertools.islice(rows, CHUNK)) == CHUNK:
            if progress:
                progress(checker.count, max(total, checker.count))
            if cancelled and cancelled():
                return Verdict(
                    valid=False,
                    hash_chain_valid=False,
                    attestations_valid=False,
                    entry_count=checker.count,
                    error=CANCELLED,
                    cancelled=True,
                )
    except (sqlite3.Error, OverflowError) as error:
        return _stopped_reading(checker, error)
    if progress and checker.failure is None:
        progress(checker.count, checker.count)
    if live and not checker.count and checker.failure is None and fault is None and not attestations:
        return Verdict(
            valid=True, hash_chain_valid=True, attestations_valid=True
        )  # its first entry is on the way
    verdict = judge(
        checker,
        attestations,
        public_key=public_key,
        finished=finished and not live,
        entry_count=_count(connection, checker) if checker.failure else None,
        rekor_proof_count=rekor_proofs,
    )
    return _with_malformed_attestation(verdict, fault) if fault is not None else verdict


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


def _certified(connection: sqlite3.Connection, public_key: bytes) -> set[bytes]:
    """The keys of a log with a tree that the installation's key certified, each by the one before."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'keys'").fetchone():
        return set()
    known = [NoteKey(installation_origin(public_key), public_key)]
    for (text,) in connection.execute("SELECT note FROM keys ORDER BY number"):
        try:
            note = parse_note(str(text).encode())
            if not verified_by(note, known[-1:]):
                break
            known.append(parse_certificate(note.text).note_key)
        except BadNote:
            break
    return {key.public_key for key in known}


def _with_malformed_attestation(verdict: Verdict, fault: Failure) -> Verdict:
    return Verdict(
        valid=False,
        hash_chain_valid=verdict.hash_chain_valid,
        attestations_valid=False,
        entry_count=verdict.entry_count,
        attestation_count=verdict.attestation_count + 1,
        rekor_proof_count=verdict.rekor_proof_count,
        last_hash=verdict.last_hash,
        error=verdict.error or fault.error,
        broken_at=verdict.broken_at,
        expected=verdict.expected,
        found=verdict.found,
    )


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
