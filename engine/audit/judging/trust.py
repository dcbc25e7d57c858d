"""From a pinned key to the keys that may seal one run's log, each certified by the one before. Pure.

A fault is a sentence for the verdict; which keys there are is answered all the same as far as it goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from engine.audit.judging.evidence import Installation
from engine.audit.keys import Certificate, installation_origin, parse_certificate
from engine.audit.note import BadNote, Note, parse_note, verified_by

RUN_ORIGIN = re.compile(r"(moat/[0-9a-f]{16})/[A-Za-z0-9._-]{1,100}")


class BadKeys(Exception):
    """Certificates that do not lead to where they should; says which."""


class Seal(msgspec.Struct, frozen=True):
    """Whose signature on a note holds. run, installation: the keys' numbers, -1 for none of them.

    public_key: b"" when the installation's keys are not known, so that it could not be looked at.
    """

    run: int
    installation: int
    public_key: bytes


class RunTrust(msgspec.Struct, frozen=True):
    """The keys of one run and of its installation. began_with: the installation's key that certified the
    run's first. Without a known installation (None) the run's first key is taken as it stands.
    """

    origin: str
    run: tuple[Certificate, ...]
    installation: tuple[Certificate, ...]
    began_with: int

    def seal(self, note: Note, size: int) -> Seal:
        """Who sealed a log of `size` leaves with this note. Raises BadKeys: nobody who may have."""
        if found := signers(note, self.run):
            number = found[-1]
            if size < self.run[number].size or (
                number + 1 < len(self.run) and size > self.run[number + 1].size
            ):
                raise BadKeys(f"is signed with the run's key {number}, which was not in use at that size")
            return Seal(number, -1, self.run[number].public_key)
        if found := signers(note, self.installation):
            number = found[-1]
            if number < self.began_with:
                raise BadKeys("is signed with a key of the installation from before the run began")
            return Seal(-1, number, self.installation[number].public_key)
        name = self.origin.rpartition("/")[0]
        if not self.installation and any(signature.name == name for signature in note.signatures):
            return Seal(-1, 0, b"")  # who knows: nobody vouches for this log anyway
        raise BadKeys("is not signed by a key of this run")


def trust_run(origin: str, certificates: Sequence[str], installation: Installation | None) -> RunTrust:
    """Raises BadKeys, for whatever is wrong with the certificates."""
    matched = RUN_ORIGIN.fullmatch(origin)
    if matched is None:
        raise BadKeys("the log has no name that a run's log can have")
    name = matched[1]
    known = installation_keys(name, installation) if installation is not None else ()
    if not certificates:
        raise BadKeys("the log has no certificate of its run's key")
    run: list[Certificate] = []
    began_with = 0
    for number, text in enumerate(certificates):
        what = f"the certificate of the run's key {number}"
        note, certificate = _certificate(text, origin, number, what)
        if number == 0:
            began_with = _first_by(note, certificate, known) if known else 0
        else:
            if certificate.size < run[-1].size:
                raise BadKeys(f"{what} begins before the one before it")
            if not _signed(note, run[-1:], what):
                raise BadKeys(f"{what} is not signed by the key before it")
        run.append(certificate)
    return RunTrust(origin, tuple(run), known, began_with)


def installation_keys(name: str, installation: Installation) -> tuple[Certificate, ...]:
    """Its keys from the first to the newest; the first one's certificate is made up. Raises BadKeys."""
    if installation_origin(installation.key) != name:
        raise BadKeys("the log's name is that of another installation than its key")
    keys = [Certificate(name, 0, installation.key, 0, "")]
    for number, text in enumerate(installation.certificates, 1):
        what = f"the certificate of the installation's key {number}"
        note, certificate = _certificate(text, name, number, what)
        if certificate.size < keys[-1].size or not_after(certificate.ts, keys[-1].ts, strictly=True):
            raise BadKeys(f"{what} begins before the one before it")
        if not _signed(note, keys[-1:], what):
            raise BadKeys(f"{what} is not signed by the key before it")
        keys.append(certificate)
    return tuple(keys)


def signers(note: Note, keys: Iterable[Certificate]) -> list[int]:
    """The numbers of those of `keys` that signed `note`. Raises BadKeys when one only seems to have."""
    numbered = {key.note_key: key.number for key in keys}
    try:
        return sorted(numbered[key] for key in verified_by(note, list(numbered)))
    except BadNote as error:
        raise BadKeys("has a signature that is not valid") from error


def not_after(one: str, other: str, *, strictly: bool = False) -> bool:
    """Whether the moment `one` is not after `other` (strictly: before it), both as entries have them.

    Without their Z they compare as text, however many digits the fractions have.
    """
    return one[:-1] < other[:-1] if strictly else one[:-1] <= other[:-1]


def _signed(note: Note, keys: Iterable[Certificate], what: str) -> list[int]:
    try:
        return signers(note, keys)
    except BadKeys as error:
        raise BadKeys(f"{what} {error}") from error


def _certificate(text: str, origin: str, number: int, what: str) -> tuple[Note, Certificate]:
    try:
        note = parse_note(text.encode())
        certificate = parse_certificate(note.text)
    except (BadNote, UnicodeEncodeError) as error:
        raise BadKeys(f"{what} is none") from error
    if (certificate.origin, certificate.number) != (origin, number):
        raise BadKeys(f"{what} is that of another key")
    return note, certificate


def _first_by(note: Note, certificate: Certificate, known: Sequence[Certificate]) -> int:
    found = _signed(note, known, "the certificate of the run's key 0")
    if not found or certificate.size != 0:
        raise BadKeys("the certificate of the run's key 0 is not signed by a key of its installation")
    number = found[-1]
    early = not_after(certificate.ts, known[number].ts, strictly=True)
    late = number + 1 < len(known) and not_after(known[number + 1].ts, certificate.ts, strictly=True)
    if early or late:
        raise BadKeys(
            f"the certificate of the run's key 0 is signed with the installation's key {number}, "
            f"which was not in use at {certificate.ts}"
        )
    return number
