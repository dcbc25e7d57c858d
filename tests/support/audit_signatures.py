"""Logs with attestations that are damaged or forged, and version 1 logs, which have nothing else."""

from __future__ import annotations

from support.audit_cases import FORGER, Cases, forged, sealed_log
from support.audit_forge import Key, Log, Site, closed

SIGNATURES = Cases()
attack = SIGNATURES.add


@attack("the attestation of another log", "TAMPERED", 10)
def _() -> Log:
    log = sealed_log()
    log.attestations = closed(10, run="run_other").write(1).attest(log.keys[0]).attestations
    log.attestations = [(10, *log.attestations[0][1:])]
    return log


def attested(name: str, change: object, at: int = 10) -> None:
    def make() -> Log:
        log = sealed_log()
        seq, digest, signature, key = log.attestations[0]
        log.attestations = [(seq, *change(digest, signature, key))]
        return log

    SIGNATURES.add(f"attestation: {name}", "TAMPERED", at)(make)


ORDER = 2**252 + 27742317777372353535851937790883648493
attested("no signature", lambda d, s, k: (d, bytes(64), k))
attested("cut", lambda d, s, k: (d, s[:-1], k))
attested("another key", lambda d, s, k: (d, s, FORGER.public))
attested("signed with another key", lambda d, s, k: (d, FORGER.private.sign(d.encode()), FORGER.public))
attested("in upper case", lambda d, s, k: (d.upper(), s, k))
attested(
    "the other S that fits (RFC 8032 §5.1.7)",
    lambda d, s, k: (d, s[:32] + (int.from_bytes(s[32:], "little") + ORDER).to_bytes(32, "little"), k),
)
attested("a key of small order, for which it fits", lambda d, s, k: (d, b"\1" + bytes(63), b"\1" + bytes(31)))
attested("a key in a second spelling", lambda d, s, k: (d, s, (2**255 - 18).to_bytes(32, "little")))


def v1(count: int = 10, signer: Key | None = None) -> Log:
    return Log(version=1).write(count).attest(signer or Site().keys[0])


@attack("version 1: signed with another key", "UNANCHORED", own="TAMPERED")
def _() -> Log:
    return v1(signer=FORGER)


@attack("version 1: signed twice, once with another key", "TAMPERED", 5)
def _() -> Log:
    log = v1()
    log.attestations += v1(5, FORGER).attestations
    return log


@attack("version 1: the tail cut off", "TRUNCATED", 8)
def _() -> Log:
    log = v1()
    del log.entries[7:]
    return log


@attack("version 1: hashed anew", "TAMPERED", 10)
def _() -> Log:
    return forged(v1())


@attack("version 1: emptied", "TAMPERED")
def _() -> Log:
    return Log(version=1)


@attack("version 1: continued without a signature", "UNANCHORED", own="OPEN")
def _() -> Log:
    return v1().write(2)


@attack("the tree taken away, to pass as version 1", "UNANCHORED", own="TAMPERED")
def _() -> Log:
    log = sealed_log()
    log.version = 1
    return log
