"""What a witness answers when a log shows it a new head. Pure: given the request and what was seen before.

Source: C2SP tlog-witness, add-checkpoint (https://c2sp.org/tlog-witness). A witness keeps, for each log, the
last head it cosigned, and cosigns only what contains that; so a log that shows different people
different histories, or takes one back, cannot get both witnessed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence

import msgspec

from engine.anchors.cosignature import cosign
from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.merkle import HASH_BYTES, consistent
from engine.audit.note import BadNote, Note, NoteKey, parse_note, verified_by
from engine.audit.signer import Signer

MAX_REQUEST = 64 * 1024  # bytes
MAX_PROOF = 63  # lines
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Request(msgspec.Struct, frozen=True):
    """old_size: of the head that the log takes for the last cosigned one. proof: from it to the new one."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint


class Answer(msgspec.Struct, frozen=True):
    """The HTTP answer. keep: the note to remember before answering; "" for nothing new. misbehaviour: why the
    log that signed both the kept note and this one cannot be honest; "" when that does not follow.
    """

    status: int
    body: str
    content_type: str = TEXT
    keep: str = ""
    misbehaviour: str = ""


def parse_request(data: bytes) -> Request:
    """Raises BadNote for what is no add-checkpoint request."""
    if len(data) > MAX_REQUEST:
        raise BadNote("the request is too long")
    head, gap, rest = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
        proof = tuple(base64.b64decode(line, validate=True) for line in lines[1:])
    except (UnicodeDecodeError, binascii.Error) as error:
        raise BadNote("the consistency proof is no lines of base64") from error
    old = _OLD.fullmatch(lines[0])
    if not gap or old is None or len(proof) > MAX_PROOF or any(len(part) != HASH_BYTES for part in proof):
        raise BadNote("the request is not `old SIZE`, a consistency proof, an empty line and a checkpoint")
    note = parse_note(rest)
    return Request(int(old[1]), proof, note, parse_checkpoint(note.text))


def format_request(old_size: int, proof: Sequence[bytes], note: str) -> bytes:
    lines = [f"old {old_size}", *(base64.b64encode(part).decode() for part in proof), "", note]
    return "\n".join(lines).encode()


def answer(
    data: bytes,
    logs: Mapping[str, Sequence[NoteKey]],
    kept: Mapping[str, str],
    name: str,
    signer: Signer,
    now: int,
) -> Answer:
    """The answer of the witness `name` to the request `data`.

    logs: the keys of each log that is witnessed, by origin. kept: the last cosigned note of each, by origin.
    """
    try:
        request = parse_request(data)
    except BadNote as error:
        return Answer(400, f"{error.what}\n")
    new = request.checkpoint
    if new.origin not in logs:
        return Answer(404, f"this witness does not know the log {new.origin}\n")
    try:
        signed = verified_by(request.note, logs[new.origin])
    except BadNote:
        signed = ()
    if not signed:
        return Answer(403, f"the checkpoint is not signed by a known key of {new.origin}\n")
    if request.old_size > new.size:
        return Answer(400, f"the old size {request.old_size} is larger than the new one, {new.size}\n")
    before = kept_checkpoint(kept.get(new.origin, ""))
    size = before.size if before else 0
    if request.old_size != size:
        return Answer(409, f"{size}\n", SIZE, misbehaviour=_fork(before, new))
    if before is None or size == 0:
        if request.proof:
            return Answer(422, "a proof from size 0 is empty\n")
    elif fork := _fork(before, new):
        return Answer(409, f"{size}\n", SIZE, misbehaviour=fork)
    elif not consistent(size, before.root, new.size, new.root, request.proof):
        # Not yet misbehaviour: a proof that does not fit may come from a careless client.
        return Answer(422, f"the proof does not lead from size {size} to size {new.size}\n")
    line = cosign(request.note.text, name, signer, now).line()
    return Answer(200, line, keep=str(request.note))


def kept_checkpoint(note: str) -> Checkpoint | None:
    return parse_checkpoint(parse_note(note.encode()).text) if note else None


def _fork(before: Checkpoint | None, new: Checkpoint) -> str:
    if before is not None and before.size == new.size and before.root != new.root:
        return f"it signed two different heads for size {new.size}"
    return ""
