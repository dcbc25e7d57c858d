"""Which key may sign for a log, from when: certificates, each by the key before. Pure.

A key is used for a while, certifies the next, and is forgotten; so nothing that is found on a disk today
can seal again what was sealed before. The format is in FORMAT.md, "Keys".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

import msgspec

from engine.audit.chain import TIMESTAMP
from engine.audit.note import BadNote, Note, NoteKey, sign_note
from engine.audit.signer import PUBLIC_KEY_BYTES, Signer

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


def installation_origin(public_key: bytes) -> str:
    """`moat/ID`, where the ID is of the installation's first key: who pins that key pins the name."""
    return f"moat/{hashlib.sha256(public_key).hexdigest()[:16]}"


def run_origin(installation: str, run_id: str) -> str:
    return f"{installation}/{run_id}"


class Certificate(msgspec.Struct, frozen=True):
    """Says that `public_key` is key `number` of the log `origin` from `size` leaves on. ts: RFC 3339 UTC."""

    origin: str
    number: int
    public_key: bytes
    size: int
    ts: str

    @property
    def note_key(self) -> NoteKey:
        """The certified key, to verify notes with that it signed under the origin's name."""
        return NoteKey(self.origin, self.public_key)

    def text(self) -> str:
        key = base64.b64encode(self.public_key).decode()
        return f"{self.origin}\nkey {self.number}\n{key}\nfrom {self.size}\n{self.ts}\n"

    def sign(self, signer: Signer, name: str = "") -> Note:
        """By the key before, under the name `name`, or the origin."""
        return sign_note(self.text(), name or self.origin, signer)


def parse_certificate(text: str) -> Certificate:
    """The statement in a note's text. Raises BadNote."""
    lines = text.split("\n")
    if len(lines) == 6 and not lines[5] and lines[1].startswith("key ") and lines[3].startswith("from "):
        number, size = lines[1].removeprefix("key "), lines[3].removeprefix("from ")
        try:
            key = base64.b64decode(lines[2], validate=True)
        except (binascii.Error, ValueError):
            key = b""
        sound = len(key) == PUBLIC_KEY_BYTES and base64.b64encode(key).decode() == lines[2]
        if sound and _NUMBER.fullmatch(number) and _NUMBER.fullmatch(size) and TIMESTAMP.fullmatch(lines[4]):
            return Certificate(lines[0], int(number), key, int(size), lines[4])
    raise BadNote("this is not a key's certificate")
