"""Anchoring for the faces and for runs: what is set up, bringing heads there, being a witness oneself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.anchors.cosignature import COSIGNATURE
from engine.anchors.head import Anchored, Head
from engine.anchors.kept import last_of
from engine.anchors.places import places_of
from engine.anchors.push import is_due, push
from engine.anchors.witness_state import WitnessState
from engine.audit.checkpoint import parse_checkpoint
from engine.audit.keys import installation_origin
from engine.audit.note import BadNote, NoteKey, parse_note
from engine.audit.signer import Signer
from engine.config.host import HostAudit, load_host_config
from engine.credentials import KeySource, SealedFile
from engine.errors import AuditError, CredentialUnreadable, UsageError
from engine.heads import read_history
from engine.home import Home

SUBMITTER = "submission.key.enc"
WITNESS = "witness.key.enc"
_LABELS = {SUBMITTER: "moat:witness-submission-key", WITNESS: "moat:witness-key"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,100}")


class AnchorState(msgspec.Struct, frozen=True):
    """A place that is set up: what it said last, and whether the newest head still has to go there."""

    anchored: Anchored
    due: bool


def anchor_states(home: Home) -> list[AnchorState]:
    """Of every place that config.yaml names, in its order. Blocking. Raises ConfigError, HomeError."""
    audit = load_host_config(home).audit
    if audit == HostAudit():
        return []
    head = newest_head(home)
    # No key is needed to look: the places are only asked for their names.
    places = places_of(home, audit, Signer(bytes(32)))
    states = (last_of(home, place) for place in places)
    return [AnchorState(last, head is not None and is_due(last, head)) for last in states]


async def push_heads(home: Home, *, wait: bool = False) -> list[Anchored] | None:
    """Bring the newest head to every place that is set up. None when another process is at it
    already and this does not wait.

    Raises ConfigError, KeychainError, HomeError, AuditError; what goes wrong at a place stands in its answer.
    """
    audit = load_host_config(home).audit
    cosigned = any(witness.url for witness in audit.witnesses)
    submitter = submission_signer(home, KeySource(home)) if cosigned else None
    places = places_of(home, audit, submitter)
    return await push(home, places, lambda: newest_head(home), wait=wait)


def newest_head(home: Home) -> Head | None:
    """The newest signed head of the installation's log; None before its first run.

    Raises AuditError when that log does not hold: nobody shall vouch for it then.
    """
    history = read_history(home)
    if history is None or (not history.signed and not history.fault):
        return None
    if history.fault:
        raise AuditError(
            f"the installation's log is not sound: {history.fault}",
            remedy="Nothing was anchored. moat audit runs says which runs are affected.",
        )
    checkpoint = parse_checkpoint(parse_note(history.checkpoint.encode()).text)
    return Head(checkpoint, history.checkpoint, history.leaves(history.signed))


def submission_key(home: Home) -> NoteKey:
    """What a witness must know this installation's log by. Raises AuditError before a first run."""
    history = read_history(home)
    if history is None:
        raise AuditError(
            "this installation has no log yet", remedy="It begins with the first run: moat run -- true"
        )
    signer = submission_signer(home, KeySource(home))
    return NoteKey(installation_origin(history.key0), signer.public_key)


def submission_signer(home: Home, keys: KeySource) -> Signer:
    """The key that witnesses know this log by, made at first need. It never changes, unlike those that
    sign the log itself; all it can do is to offer a head, and it makes nobody believe one."""
    return _sealed_signer(home, keys, home.heads / SUBMITTER)


def open_witness(home: Home, name: str, logs: Sequence[str]) -> tuple[WitnessState, NoteKey]:
    """This installation as a witness called `name` for `logs` (verifier keys); and the key to verify it by.

    Raises UsageError for a name or key that is none.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a witness", remedy="Take a host name, perhaps with a path."
        )
    known: dict[str, list[NoteKey]] = {}
    for text in logs:
        try:
            key = NoteKey.parse(text)
        except BadNote as error:
            raise UsageError(f"--log: {error.what}", remedy="moat witness key prints a log's key.") from error
        known.setdefault(key.name, []).append(key)
    root = Home(home.ensure_dir(home.root / "witness"))
    signer = _sealed_signer(home, KeySource(home), home.root / "witness" / WITNESS)
    return WitnessState(root, name, signer, known), NoteKey(name, signer.public_key, COSIGNATURE)


def _sealed_signer(home: Home, keys: KeySource, path: Path) -> Signer:
    sealed = SealedFile(home, keys)
    label = _LABELS[path.name]
    try:
        seed = sealed.read(path, label)
    except FileNotFoundError:
        signer = Signer.generate()
        sealed.write(path, label, signer.seed)
        return signer
    if len(seed) != 32:
        raise CredentialUnreadable(f"{path} does not hold a key")
    return Signer(seed)
