"""From what was checked to the verdict: which fault counts, and whether a pinned key vouches for it. Pure.

A log that was changed outweighs one that was cut short, and both outweigh that nobody vouches for it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.audit.chain import Attestation, ChainChecker
from engine.audit.judging.grounds import grounds
from engine.audit.judging.tree_checker import TreeChecker
from engine.audit.judging.tree_judge import TreeJudge
from engine.audit.judging.verdict import (
    INTACT,
    OPEN,
    TAMPERED,
    TRUNCATED,
    UNANCHORED,
    Failure,
    Verdict,
    shown,
)
from engine.audit.signer import signature_valid

NO_PIN = "no pinned key vouches for it: anybody could have made it"
OTHER_KEY = "it is signed by another installation's key than the pinned one"
UNSIGNED = "nothing in it is signed"


class Case(msgspec.Struct, frozen=True):
    """All that is known once every entry was read.

    chain: has seen the entries. leaves: has seen them too, when the log has a tree. public_key: the pinned
    one. accepted: it and those that it led to, for logs without a tree. own: the log of this installation,
    read where it was written, so that another's key in it is no doubt but a fault. finished: the run is
    known to have ended. malformed: an attestation that is none. claimed_last: the last hash a bundle names.
    """

    chain: ChainChecker
    attestations: list[Attestation]
    tree: TreeJudge | None = None
    leaves: TreeChecker | None = None
    public_key: bytes | None = None
    accepted: frozenset[bytes] = frozenset()
    own: bool = False
    finished: bool = False
    malformed: Failure | None = None
    claimed_last: str | None = None
    entry_count: int | None = None
    rekor_proof_count: int = 0
    anchor_count: int = 0


def judge(case: Case) -> Verdict:
    chain, tree, count = case.chain, case.tree, case.chain.count
    chain_fault = chain.failure
    tree_fault = _tree_fault(case)
    attested_fault = case.malformed or _attested_fault(case)
    short = [fault for fault in (tree_fault, attested_fault) if fault is not None and fault.kind == TRUNCATED]
    changed = [fault for fault in (tree_fault, attested_fault) if fault is not None and fault not in short]
    if chain_fault is None and case.claimed_last is not None and case.claimed_last != chain.last_hash:
        chain_fault = Failure(
            f"last hash mismatch: expected {shown(case.claimed_last)}, got {shown(chain.last_hash)}",
            at=count + 1 if short else count,
            expected=shown(case.claimed_last),
            found=shown(chain.last_hash),
            kind=TRUNCATED if short else TAMPERED,
        )
    if chain_fault is None and not changed and not short and not count and tree is None:
        chain_fault = Failure("the log has no entries: it was emptied, or nothing was ever written to it")
    signed_to = _signed_to(case)
    good = chain_fault is None and not changed and not short
    closed = good and signed_to == count and (tree is None or bool(tree.closed))
    if good and case.finished and not closed:
        ending = _not_closed(case)
        short.append(ending)
        tree_fault, attested_fault = (ending, None) if tree is not None else (None, ending)
    fault = _first(chain_fault, changed, short)
    doubt = _doubt(case, signed_to) if fault is None else ""
    word = fault.kind if fault is not None else UNANCHORED if doubt else INTACT if closed else OPEN
    fault = fault or Failure("")
    return Verdict(
        valid=not fault.error,
        hash_chain_valid=chain_fault is None,
        attestations_valid=attested_fault is None,
        entry_count=count if case.entry_count is None else case.entry_count,
        attestation_count=len(case.attestations) + (case.malformed is not None),
        rekor_proof_count=case.rekor_proof_count,
        last_hash=chain.last_hash,
        error=fault.error,
        broken_at=fault.at,
        closed=closed and not fault.error,
        expected=fault.expected,
        found=fault.found,
        signers=_signers(case) if attested_fault is None else (),
        verdict=word,
        doubt=doubt,
        rests_on=grounds(case) if not fault.error else (),
        origin=tree.tree.origin if tree is not None else "",
        tree_valid=None if tree is None else chain_fault is None and tree_fault is None,
        checkpoint_count=len(tree.tree.checkpoints) if tree is not None else 0,
        key_count=len(tree.tree.certificates) if tree is not None else 0,
        anchor_count=case.anchor_count,
        sealed_to=tree.sealed if tree is not None and not fault.error else 0,
        sealed_by_run_to=tree.sealed_by_run if tree is not None and not fault.error else 0,
        closed_as=tree.closed if tree is not None and closed else "",
    )


def _first(chain: Failure | None, changed: list[Failure], short: list[Failure]) -> Failure | None:
    """Of the faults the one to name: the earliest in the log says most, and what was changed before all."""
    if chain is not None and chain.kind == TAMPERED and not chain.error.startswith("last hash"):
        return chain
    for fault in (*changed, chain, *short):
        if fault is not None:
            return fault
    return None


def _tree_fault(case: Case) -> Failure | None:
    tree, leaves = case.tree, case.leaves
    if tree is None or case.chain.failure is not None:
        return tree.failure if tree is not None else None
    if leaves is None:
        return tree.failure or Failure("the log has no tree that could be checked")
    return leaves.failure or tree.fault(leaves.count, leaves.roots, leaves.frontier)


def _attested_fault(case: Case) -> Failure | None:
    """The first attestation that does not hold, or that holds for another chain than this one.

    After a broken chain only the signatures are judged.
    """
    short: Failure | None = None
    foreign = [a for a in case.attestations if a.public_key not in case.accepted]
    judged_by_key = case.tree is None and case.public_key is not None
    for attestation in case.attestations:
        seq = attestation.seq
        if not signature_valid(attestation.public_key, attestation.root_hash, attestation.signature):
            return Failure(f"invalid signature on attestation at seq {seq}", at=seq)
        # Whoever re-hashes a chain can sign it again, but not with that key. When none is by that key it
        # may be somebody else's honest log.
        if judged_by_key and attestation in foreign and (case.own or len(foreign) < len(case.attestations)):
            return Failure(
                f"invalid signature on attestation at seq {seq}: not made with this installation's key",
                at=seq,
                expected=(case.public_key or b"").hex(),
                found=attestation.public_key.hex(),
            )
        if case.chain.failure is None and (fault := _covers(attestation, case.chain)):
            if fault.kind == TAMPERED:
                return fault
            short = short or fault
    if case.tree is not None and case.tree.failure is None and case.chain.failure is None:
        return case.tree.attestation_fault(case.attestations, case.chain.count) or short
    return short


def _covers(attestation: Attestation, chain: ChainChecker) -> Failure | None:
    seq, signed = attestation.seq, attestation.root_hash
    if seq > chain.count:
        return Failure(
            f"last hash mismatch: an attestation covers seq {seq}, but the log ends at seq {chain.count}",
            at=chain.count + 1,
            expected=shown(signed),
            kind=TRUNCATED,
        )
    found = chain.hashes.get(seq, "")
    if found != signed:
        return Failure(
            f"last hash mismatch: the attestation at seq {seq} was made over another chain",
            at=seq,
            expected=shown(signed),
            found=shown(found),
        )
    return None


def _signed_to(case: Case) -> int:
    """The last entry that something signed covers."""
    if case.tree is not None:
        return case.tree.sealed
    return max((attestation.seq for attestation in case.attestations), default=0)


def _not_closed(case: Case) -> Failure:
    count = case.chain.count
    if case.tree is not None:
        return Failure(
            f"the run has ended, but its log has no close record: it ends at seq {count}",
            at=count + 1,
            kind=TRUNCATED,
        )
    return Failure(
        f"last hash mismatch: no attestation covers the last entry, seq {count}",
        at=count,
        found=case.chain.last_hash,
        kind=TRUNCATED,
    )


def _doubt(case: Case, signed_to: int) -> str:
    """Why nobody whom the reader knows vouches for all of the log; "" when somebody does."""
    count = case.chain.count
    if case.public_key is None:
        return NO_PIN
    if case.tree is not None:
        known = case.tree.trust.installation if case.tree.trust is not None else ()
        if not known or known[0].public_key != case.public_key:
            return OTHER_KEY
    elif not case.attestations:
        return "" if case.own else UNSIGNED
    elif any(attestation.public_key not in case.accepted for attestation in case.attestations):
        return OTHER_KEY
    if signed_to < count and not case.own:
        return f"nothing signed covers seq {signed_to + 1} to {count}"
    return ""


def _signers(case: Case) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_hex(case.attestations)))


def _hex(attestations: Iterable[Attestation]) -> Iterable[str]:
    return (attestation.public_key.hex() for attestation in attestations)
