"""The keys that a run signs its log with: they live in its supervisor's memory and die with it.

The first is certified by the installation's key, each later one by the one before, which is then let go.
So whoever takes over the machine, or even the supervisor, cannot sign again what was signed before.
"""

from __future__ import annotations

from datetime import datetime

from engine.audit.checkpoint import Checkpoint
from engine.audit.keys import Certificate, parse_certificate, run_origin
from engine.audit.note import Note
from engine.audit.signer import Signer
from engine.events import timestamp


class RunKeys:
    """The current key of one run, and how it came to be. For one thread at a time.

    origin: of the run's log. number: of the current key, from 0; since: when it was made. certificates: one
    for each key so far.
    """

    def __init__(self, origin: str, signer: Signer, certificate: Note) -> None:
        """certificate: of `signer` as key 0. Raises BadNote when it is none."""
        self.origin = origin
        self.signer = signer
        self.number = 0
        self.certificates: tuple[Note, ...] = (certificate,)
        self.since = parse_certificate(certificate.text).ts

    @classmethod
    def begin(cls, installation: str, run_id: str, signer: Signer, ts: str = "") -> RunKeys:
        """A new run's keys; signer: the installation's, under the name `installation`. ts: default now."""
        origin = run_origin(installation, run_id)
        own = Signer.ephemeral()
        certificate = Certificate(origin, 0, own.public_key, 0, ts or timestamp())
        return cls(origin, own, certificate.sign(signer, installation))

    def sign(self, checkpoint: Checkpoint) -> Note:
        return checkpoint.sign(self.signer)

    def successor(self, size: int, when: datetime) -> RunKeys:
        """The same with a new key from `size` leaves on. This one stays as it is, for `adopt` to end it."""
        signer = Signer.ephemeral()
        # A clock that was set back must not make the keys look reordered.
        ts = max(timestamp(when), self.since, key=datetime.fromisoformat)
        certificate = Certificate(self.origin, self.number + 1, signer.public_key, size, ts)
        later = RunKeys(self.origin, signer, certificate.sign(self.signer))
        later.number = self.number + 1
        later.certificates = (*self.certificates, *later.certificates)
        return later

    def adopt(self, later: RunKeys) -> None:
        """Become `later`. The key before is let go here, and with its last reference OpenSSL wipes it."""
        self.signer, self.number = later.signer, later.number
        self.certificates, self.since = later.certificates, later.since

    def __repr__(self) -> str:
        return f"RunKeys({self.origin!r}, number={self.number})"

    def __reduce__(self) -> str:
        raise TypeError("a run's keys are never serialised")
