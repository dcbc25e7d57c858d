"""From what config.yaml says to the places themselves."""

from __future__ import annotations

from pathlib import Path

from engine.anchors.cosignature import COSIGNATURE
from engine.anchors.directory import DirectoryWitness
from engine.anchors.evidence import Pins
from engine.anchors.git import GitWitness
from engine.anchors.head import Place
from engine.anchors.http_witness import HttpWitness
from engine.anchors.kept import clone_directory
from engine.anchors.rekor import Rekor
from engine.anchors.timestamp import TimestampAuthority
from engine.audit.note import ED25519, BadNote, NoteKey
from engine.audit.signer import Signer
from engine.config.host import HostAudit, HostWitness, load_host_config
from engine.errors import ConfigError
from engine.home import Home


def places_of(home: Home, audit: HostAudit, submitter: Signer | None) -> list[Place]:
    """submitter: the key that witnesses know this log by; None leaves those that want it out.

    Raises ConfigError for a key that is damaged or of another kind.
    """
    places: list[Place] = []
    for witness in audit.witnesses:
        if witness.directory:
            places.append(DirectoryWitness(Path(witness.directory)))
        elif witness.git:
            places.append(GitWitness(witness.git, clone_directory(home, witness.git)))
        elif submitter is not None:
            places.append(HttpWitness(witness.url, _witness_key(home, witness), submitter))
    if audit.timestamps is not None:
        places.append(TimestampAuthority(audit.timestamps.url, Path(audit.timestamps.ca)))
    if audit.rekor is not None:
        places.append(Rekor(audit.rekor.url, _key(home, audit.rekor.key, ED25519, "audit.rekor.key")))
    return places


def witness_keys(home: Home, audit: HostAudit) -> list[NoteKey]:
    """The keys of all witnesses that cosign. Raises ConfigError."""
    return [_witness_key(home, witness) for witness in audit.witnesses if witness.url]


def own_pins(home: Home) -> Pins:
    """What config.yaml says to trust of anchors. Raises ConfigError, HomeError."""
    audit = load_host_config(home).audit
    return Pins(
        tuple(witness_keys(home, audit)),
        Path(audit.timestamps.ca) if audit.timestamps is not None else None,
        _key(home, audit.rekor.key, ED25519, "audit.rekor.key") if audit.rekor is not None else None,
    )


def _witness_key(home: Home, witness: HostWitness) -> NoteKey:
    return _key(home, witness.key, COSIGNATURE, f"audit.witnesses: the key of {witness.url}")


def _key(home: Home, text: str, kind: int, where: str) -> NoteKey:
    try:
        key = NoteKey.parse(text)
    except BadNote as error:
        raise ConfigError(f"{where}: {error.what}", file=home.config_file, remedy=error.remedy) from error
    if key.kind != kind:
        raise ConfigError(
            f"{where} is of another kind: expected type {kind:#04x}, found {key.kind:#04x}",
            file=home.config_file,
            remedy="A witness's key is of type 0x04, a log's of 0x01.",
        )
    return key
