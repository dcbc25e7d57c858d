"""What verification found out."""

from __future__ import annotations

import msgspec


class Failure(msgspec.Struct, frozen=True):
    """The first thing that does not hold. at: the entry's seq, 0 when no entry can be named."""

    error: str
    at: int = 0
    expected: str = ""
    found: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """The result of verifying a log or a proof bundle.

    error: one of the format's sentences, "" when valid. broken_at: the first seq at which the log is no
    longer what was written, 0 when there is none. expected, found: the two values that differ there.
    closed: an attestation covers the last entry. cancelled: the caller stopped the check; nothing is
    known then, although `valid` is False. entry_count: entries in the log, or as many as could be read.
    signers: the public keys (hex) of attestations that hold; where no key was given to compare with, only
    whoever reads them can tell whether they are the right ones.
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
