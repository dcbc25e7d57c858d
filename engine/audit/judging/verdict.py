"""What verification found out."""

from __future__ import annotations

import msgspec

INTACT = "INTACT"
OPEN = "OPEN"
TRUNCATED = "TRUNCATED"
TAMPERED = "TAMPERED"
UNANCHORED = "UNANCHORED"
EXIT_CODES = {INTACT: 0, OPEN: 0, TRUNCATED: 1, TAMPERED: 1, UNANCHORED: 2}


class Failure(msgspec.Struct, frozen=True):
    """The first thing that does not hold. at: the entry's seq, 0 when no entry can be named.

    kind: TAMPERED, or TRUNCATED when what is there holds and something signed says that there was more.
    """

    error: str
    at: int = 0
    expected: str = ""
    found: str = ""
    kind: str = TAMPERED


class Verdict(msgspec.Struct, frozen=True):
    """The result of verifying a log, a proof bundle or a proof of single entries.

    verdict: one of the five words of FORMAT.md. valid: nothing in it is wrong; of what nobody vouches for
    (UNANCHORED) that is true too, so `exit_code` is what a script should go by.
    error: one of the format's sentences, "" when valid. broken_at: the first seq at which the log is no
    longer what was written, 0 when there is none. expected, found: the two values that differ there.
    closed: what was signed last covers the last entry and closes the log. closed_as: the reason in the
    close record. cancelled: the caller stopped the check; nothing is known then, although `valid` is
    False. entry_count: entries in the log, or as many as could be read.
    signers: the public keys (hex) of attestations that hold. rests_on: what the verdict rests on, a line
    each. doubt: why no pinned key vouches for it, "" when one does. shown: for a proof of single entries,
    what it shows and what was kept back, a line each.
    origin, tree_valid and the counts of checkpoints and keys: of a version 2 log, "" and None of version 1.
    sealed_to, sealed_by_run_to: the last seq that a checkpoint covers, and one that the run itself signed.
    """

    valid: bool
    hash_chain_valid: bool
    attestations_valid: bool
    entry_count: int = 0
    attestation_count: int = 0
    rekor_proof_count: int = 0
    last_hash: str = ""
    error: str = ""
    broken_at: int = 0
    closed: bool = False
    expected: str = ""
    found: str = ""
    cancelled: bool = False
    signers: tuple[str, ...] = ()
    verdict: str = TAMPERED
    doubt: str = ""
    rests_on: tuple[str, ...] = ()
    origin: str = ""
    tree_valid: bool | None = None
    checkpoint_count: int = 0
    key_count: int = 0
    anchor_count: int = 0
    sealed_to: int = 0
    sealed_by_run_to: int = 0
    closed_as: str = ""
    shown: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: holds; 1: does not; 2: nobody vouches for it."""
        return EXIT_CODES[self.verdict]


def contradicted(verdict: Verdict, word: str, why: str) -> Verdict:
    """`verdict` after something outside the log spoke against it: with `word`, or else only with a doubt.

    A fault that was found in the log itself says more.
    """
    if not why or not verdict.valid or verdict.cancelled:
        return verdict
    if word:
        return msgspec.structs.replace(
            verdict, valid=False, verdict=word, error=why, doubt="", closed=False, rests_on=()
        )
    return msgspec.structs.replace(verdict, verdict=UNANCHORED, doubt=verdict.doubt or why)


def unreadable(error: str, *, entry_count: int = 0, at: int = 0) -> Verdict:
    """The verdict on a log of which not even the parts can be told apart."""
    return Verdict(
        valid=False,
        hash_chain_valid=False,
        attestations_valid=False,
        entry_count=entry_count,
        error=error,
        broken_at=at,
    )


def shown(value: object) -> str:
    """`value` as it may be put into a verdict: the log is in an attacker's hands, the terminal is not."""
    text = value if isinstance(value, str) and value.isascii() and value.isalnum() else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
