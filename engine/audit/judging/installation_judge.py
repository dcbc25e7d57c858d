"""What the installation's log says of a run, with proofs that it says so: start, heads, close. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.audit.chain import TIMESTAMP
from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.judging.evidence import Event, Installation, TreeEvidence, strict_base64
from engine.audit.judging.sealed import Sealed, read_sealed
from engine.audit.judging.trust import BadKeys, RunTrust, signers
from engine.audit.keys import Certificate
from engine.audit.merkle import included, leaf_hash
from engine.audit.note import BadNote, parse_note
from engine.audit.strict_json import strict_json


class RunEvents(msgspec.Struct, frozen=True):
    """size: of the installation's log, 0 when no head of it is at hand. close: the close record it holds."""

    size: int = 0
    started: bool = False
    heads: tuple[Sealed, ...] = ()
    close: str = ""


def judge_events(tree: TreeEvidence, trust: RunTrust, installation: Installation) -> RunEvents:
    """Raises BadKeys for whatever does not hold by itself; sizes and roots are the tree's to compare."""
    if not installation.checkpoint:
        if installation.events:
            raise BadKeys("the installation's log is quoted without a checkpoint of it")
        return RunEvents()
    said = _installation_checkpoint(installation.checkpoint, trust.installation)
    started, close, heads = False, "", []
    for event in installation.events:
        kind, run, note = _event(event, said)
        if run != tree.origin.rpartition("/")[2] or kind not in ("start", "head", "close", "destroy"):
            raise BadKeys("an event of the installation's log is none of this run's")
        if kind == "start":
            if started or note != tree.certificates[0]:
                raise BadKeys("the installation's log has another certificate of the run's key 0")
            started = True
        elif kind != "destroy":
            sealed = read_sealed(note, trust)
            if kind == "close":
                if close or not sealed.said.closed:
                    raise BadKeys("the installation's log has a close record that is none")
                close = note
            heads.append(sealed)
    if not started:
        raise BadKeys("the installation's log is quoted without the run's start")
    return RunEvents(said.size, started, tuple(heads), close)


def _installation_checkpoint(text: str, keys: tuple[Certificate, ...]) -> Checkpoint:
    what = "the checkpoint of the installation's log"
    try:
        note = parse_note(text.encode())
        said = parse_checkpoint(note.text)
        found = signers(note, keys)
    except (BadNote, UnicodeEncodeError) as error:
        raise BadKeys(f"{what} is none") from error
    except BadKeys as error:
        raise BadKeys(f"{what} {error}") from error
    if said.origin != keys[0].origin or not found:
        raise BadKeys(f"{what} is not signed by a key of the installation")
    number = found[-1]
    if said.size < keys[number].size or (number + 1 < len(keys) and said.size > keys[number + 1].size):
        raise BadKeys(f"{what} is signed with key {number}, which was not in use at that size")
    return said


def _event(event: Event, said: Checkpoint) -> tuple[str, str, str]:
    """Its kind, run and note, once the log is known to include it."""
    try:
        body: dict[str, Any] = strict_json(event.body)
        kind, seq, ts = body["event"], body["seq"], body["ts"]
        run, note = body["run"], body.get("note", "")
        proof = [strict_base64(part) for part in event.proof]
        raw = event.body.encode()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadKeys("an event of the installation's log is none") from error
    sound = type(seq) is int and isinstance(ts, str) and TIMESTAMP.fullmatch(ts)
    if not sound or not all(isinstance(text, str) for text in (kind, run, note)):
        raise BadKeys("an event of the installation's log is none")
    if not included(leaf_hash(raw), seq - 1, said.size, proof, said.root):
        raise BadKeys(f"event {seq} is not in the installation's log")
    return kind, run, note
