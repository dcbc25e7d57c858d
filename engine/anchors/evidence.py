"""Anchors as evidence: what goes into a proof bundle, and what of it holds for a reader who trusts some keys.

An anchor speaks of a head of the installation's log, and the bundle proves that log to contain what happened
to the run. So each comes with a proof that its head and the bundle's are of one history.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.anchors.cosignature import COSIGNATURE, cosigned_by
from engine.anchors.head import Anchored, AnchorFailed, Head, Kind
from engine.anchors.kept import read_anchored
from engine.anchors.rekor import Rekord, included_in
from engine.anchors.timestamp import Stamp, stamped_at
from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.merkle import consistency_proof, consistent
from engine.audit.note import ED25519, BadNote, NoteKey, parse_note
from engine.errors import MoatError, UsageError
from engine.events import timestamp
from engine.home import Home


class Statement(msgspec.Struct, frozen=True):
    """One of a bundle's `anchors`: `body` as the place gave it, `proof` between its head and the bundle's."""

    kind: Kind
    place: str
    size: int
    body: str
    proof: tuple[str, ...] = ()


class Pins(msgspec.Struct, frozen=True):
    """What a reader trusts. Nothing of it comes from the bundle."""

    witnesses: tuple[NoteKey, ...] = ()
    timestamp_ca: Path | None = None
    rekor: NoteKey | None = None


class Finding(msgspec.Struct, frozen=True):
    """text: one line. confirmed: a pinned key vouches for it. contradicts: it does, for another history."""

    text: str
    confirmed: bool = False
    contradicts: bool = False


def parse_pins(witnesses: Sequence[str], timestamp_ca: str, rekor: str) -> Pins | None:
    """From verifier keys and a file's name; None when nothing was given. Raises UsageError."""
    if not (witnesses or timestamp_ca or rekor):
        return None
    cosigners = tuple(_pin(text, COSIGNATURE, "--witness") for text in witnesses)
    log = _pin(rekor, ED25519, "--rekor-key") if rekor else None
    return Pins(cosigners, Path(timestamp_ca) if timestamp_ca else None, log)


def _pin(text: str, kind: int, option: str) -> NoteKey:
    try:
        key = NoteKey.parse(text)
    except BadNote as error:
        raise UsageError(f"{option}: {error.what}", remedy=error.remedy) from error
    if key.kind != kind:
        raise UsageError(f"{option}: that is a key of another kind", remedy=f"Its type is {key.kind:#04x}.")
    return key


def statements(home: Home, head: Head | None) -> list[dict[str, Any]]:
    """What every place last said, for a bundle that quotes `head`; not what `head` does not go on from."""
    found = []
    for anchored in read_anchored(home) if head is not None else ():
        if head is None or not 0 < anchored.size <= head.checkpoint.size or anchored.conflict:
            continue
        proof = consistency_proof(head.leaves, anchored.size)
        texts = tuple(base64.b64encode(part).decode() for part in proof)
        found.append(Statement(anchored.kind, anchored.place, anchored.size, anchored.body, texts))
    return [msgspec.to_builtins(statement) for statement in found]


def held(anchored: Anchored, newest_event: int) -> str:
    """What a place holds by our own account of it, one line. newest_event: the run's, counted from 1."""
    place = f"{anchored.kind} {_printable(anchored.place)}"
    if not anchored.size:
        return f"{place}: nothing yet: {_printable(anchored.problem)}"
    return f"{place}: {_reach(anchored.size, newest_event)}, since {anchored.at}"


def _reach(size: int, newest_event: int) -> str:
    among = ", this run's among them" if newest_event <= size else ", not yet all of this run's"
    return f"the first {size} events of the installation's log{among}"


def judge_statement(statement: Statement, quoted: Checkpoint, newest_event: int, pins: Pins) -> Finding:
    """quoted: the head of the installation's log in the bundle, already verified. newest_event: the last one
    of the run's that it proves, counted from 1.
    """
    place = f"{statement.kind} {_printable(statement.place)}"
    try:
        head = parse_checkpoint(parse_note(_note(statement).encode()).text)
        confirmed = _confirmed(statement, pins)
        proof = [base64.b64decode(part, validate=True) for part in statement.proof]
    except (MoatError, msgspec.MsgspecError, RecursionError, ValueError, OverflowError, OSError) as error:
        what = error.what if isinstance(error, MoatError) else "it is none"
        return Finding(f"{place}: does not hold: {what}")
    one_history = head.origin == quoted.origin and (
        consistent(head.size, head.root, quoted.size, quoted.root, proof)
        if head.size <= quoted.size
        else consistent(quoted.size, quoted.root, head.size, head.root, proof)
    )
    if not one_history:
        return Finding(
            f"{place}: speaks of another history than this one, at {head.size} events",
            bool(confirmed),
            contradicts=bool(confirmed),
        )
    reach = _reach(head.size, newest_event)
    if confirmed:
        return Finding(f"{place}: {confirmed}: {reach}", confirmed=True)
    return Finding(f"{place}: {reach}; not verified here: {_MISSING[statement.kind]}")


_MISSING: dict[Kind, str] = {
    "directory": "compare with what lies there",
    "git": "compare with the commit there",
    "witness": "its key was not given",
    "rfc3161": "its CA was not given",
    "rekor": "its key was not given",
}


def _note(statement: Statement) -> str:
    match statement.kind:
        case "rfc3161":
            return msgspec.json.decode(statement.body, type=Stamp).note
        case "rekor":
            return msgspec.json.decode(statement.body, type=Rekord).note
        case "git":
            return statement.body.partition("\n\n")[2]
    return statement.body


def _confirmed(statement: Statement, pins: Pins) -> str:
    """In which words a pinned key vouches for the statement; "" when none can. Raises what says why not."""
    match statement.kind:
        case "witness":
            found = cosigned_by(parse_note(statement.body.encode()), pins.witnesses)
            times = [
                f"cosigned by {one.witness} at {timestamp(datetime.fromtimestamp(one.time, UTC))}"
                for one in found
            ]
            return ", ".join(times)
        case "rfc3161" if pins.timestamp_ca is not None:
            return f"stamped at {stamped_at(statement.body, pins.timestamp_ca)}"
        case "rekor" if pins.rekor is not None:
            return f"entry {included_in(statement.body, pins.rekor)} of {pins.rekor.name}"
    return ""


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:120]


class _Event(msgspec.Struct):
    body: str


class _Quoted(msgspec.Struct):
    checkpoint: str = ""
    events: tuple[_Event, ...] = ()


class _Document(msgspec.Struct):
    installation: _Quoted | None = None
    anchors: tuple[msgspec.Raw, ...] = ()


class _Numbered(msgspec.Struct):
    seq: int


def judge_anchors(document: bytes, pins: Pins) -> list[Finding]:
    """Of a bundle that was found good, what each of its anchors says; nothing for one without any."""
    try:
        bundle = msgspec.json.decode(document, type=_Document)
        quoted = bundle.installation
        if quoted is None or not quoted.checkpoint:
            return [Finding("it has no head of the installation's log to speak of") for _ in bundle.anchors]
        head = parse_checkpoint(parse_note(quoted.checkpoint.encode()).text)
        newest = max(
            (msgspec.json.decode(each.body, type=_Numbered).seq for each in quoted.events), default=0
        )
    except (msgspec.MsgspecError, RecursionError, BadNote) as error:
        raise AnchorFailed("the bundle's anchors cannot be read", detail=str(error)) from error
    findings = []
    for raw in bundle.anchors:
        try:
            statement = msgspec.json.decode(raw, type=Statement)
        except (msgspec.MsgspecError, RecursionError):
            findings.append(Finding("an anchor of a kind that is not known here"))
        else:
            findings.append(judge_statement(statement, head, newest, pins))
    return findings
