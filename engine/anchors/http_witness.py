"""A witness of the C2SP tlog-witness protocol (https://c2sp.org/tlog-witness): the log's side."""

from __future__ import annotations

import re

from engine.anchors.cosignature import cosigned_by
from engine.anchors.head import AnchorConflict, Anchored, AnchorFailed, Head, Kind
from engine.anchors.http import post
from engine.anchors.witness import SIZE, format_request
from engine.audit.note import BadNote, Note, NoteKey, parse_note, sign_note
from engine.audit.signer import Signer

_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")
_TRIES = 3


class HttpWitness:
    kind: Kind = "witness"

    def __init__(self, url: str, key: NoteKey, submitter: Signer) -> None:
        """key: the witness's, of type 0x04. submitter: the key that the witness knows this log by."""
        self.place = url
        self._url = url.rstrip("/") + "/add-checkpoint"
        self._key = key
        self._submitter = submitter

    async def anchor(self, head: Head, before: Anchored) -> str:
        """The note with the witness's cosignature."""
        own = parse_note(head.note.encode())
        shown = sign_note(own.text, head.checkpoint.origin, self._submitter)
        note = Note(own.text, own.signatures + shown.signatures)
        old = before.size
        for _ in range(_TRIES):
            reply = await post(
                self._url,
                format_request(old, head.proof_from(old) if old else [], str(note)),
                {"Content-Type": "text/plain; charset=utf-8"},
            )
            if reply.status == 200:
                return self._cosigned(note, reply.body)
            size = _SIZE.fullmatch(reply.body) if reply.content_type == SIZE else None
            if reply.status == 409 and size is not None and int(size[1]) != old:
                old = int(size[1])
                if old > head.checkpoint.size:
                    break
                continue
            if reply.status in (409, 422):
                raise self._conflict(head, before, old, f"{reply.status} {reply.first_line()}")
            raise AnchorFailed(
                f"the witness {self.place} answered {reply.status}: {reply.first_line()}",
                remedy="A witness must know this log's key: moat witness key prints it."
                if reply.status in (403, 404)
                else "It is tried again at the next run.",
            )
        raise self._conflict(head, before, old, f"409 {old}")

    def _cosigned(self, note: Note, lines: bytes) -> str:
        try:
            whole = parse_note(str(note).encode() + lines)
            if cosigned_by(whole, [self._key]):
                return str(whole)
        except BadNote as error:
            raise AnchorFailed(f"the witness {self.place} sent a wrong cosignature: {error.what}") from error
        raise AnchorFailed(f"the witness {self.place} did not sign with the key {self._key}")

    def _conflict(self, head: Head, before: Anchored, old: int, answer: str) -> AnchorConflict:
        """With what each side has: the two notes together show which of them is not honest."""
        proof = f"The witness {self.place} answered {answer} to the head\n\n{head.note}"
        if before.body:
            proof += f"\nWhat it cosigned last for this installation:\n\n{before.body}"
        return AnchorConflict(
            f"the witness {self.place} cosigned another history, of size {old}, than this installation's log",
            remedy="Keep everything as it is: the log, or the witness's memory of it, was rewritten.",
            proof=proof,
        )
