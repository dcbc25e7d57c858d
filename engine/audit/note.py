"""Signed notes: a short text and signature lines, readable by a person and by every transparency-log tool.

Source: C2SP signed-note (https://c2sp.org/signed-note). The text ends with a newline; after an empty line
each signature is `— NAME BASE64(key id ‖ signature)`; the key id is the first four bytes of
SHA-256(NAME ‖ LF ‖ type byte ‖ public key). Signatures by unknown keys are passed over; one that names a
known key and does not verify condemns the note.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Self

import msgspec

from engine.audit.signer import PUBLIC_KEY_BYTES, Signer, ed25519_valid
from engine.errors import AuditError

ED25519 = 0x01  # the type byte of plain Ed25519 signatures
MAX_NOTE = 1_000_000  # bytes
MAX_SIGNATURES = 100
_MARK = "\u2014 "  # an em dash and a space
_NAME = re.compile(r"[^\s+]{1,200}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class BadNote(AuditError):
    """Not a signed note, or not signed as it says."""


class Signature(msgspec.Struct, frozen=True):
    """One signature line. key_id: 4 bytes; signature: what follows them, at least 1 byte."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        return f"{_MARK}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


class Note(msgspec.Struct, frozen=True):
    """text ends with a newline and is what is signed."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(signature.line() for signature in self.signatures)


class NoteKey(msgspec.Struct, frozen=True):
    """A key to verify with; its text form is `NAME+HEX(key id)+BASE64(type byte ‖ key)`."""

    name: str
    public_key: bytes  # 32 bytes
    kind: int = ED25519

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.kind, self.public_key)

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadNote for what is no verifier key, or one whose key id is another key's."""
        name, _, rest = text.strip().partition("+")
        said, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not _NAME.fullmatch(name) or len(raw) != 1 + PUBLIC_KEY_BYTES:
            raise BadNote("this is not a verifier key", remedy="It looks like NAME+8 HEX DIGITS+BASE64.")
        key = cls(name, raw[1:], raw[0])
        if key.key_id.hex() != said:
            raise BadNote(f"the verifier key of {name} is damaged: its key id belongs to another key")
        return key


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def sign_note(text: str, name: str, signer: Signer) -> Note:
    """`text` signed as `name`. Raises ValueError for a text or name that no note can have."""
    if not text.endswith("\n") or _CONTROL.search(text) or not _NAME.fullmatch(name):
        raise ValueError("a note is lines of printable text, and its signer's name has no space and no plus")
    signature = signer.sign_bytes(text.encode())
    return Note(text, (Signature(name, key_id(name, ED25519, signer.public_key), signature),))


def parse_note(data: bytes) -> Note:
    """The note in `data`, its signatures not yet verified. Raises BadNote."""
    if len(data) > MAX_NOTE:
        raise BadNote(f"a signed note of {len(data)} bytes is too long")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise BadNote("the signed note is not UTF-8 text") from error
    text, gap, tail = whole.rpartition("\n\n")
    if not gap or not text or not tail.endswith("\n") or _CONTROL.search(whole):
        raise BadNote("this is not a signed note", remedy="A text, an empty line, then its signature lines.")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise BadNote("the note has too many signatures")
    return Note(text + "\n", tuple(_signature(line) for line in lines))


def verified_by(note: Note, keys: Iterable[NoteKey]) -> tuple[NoteKey, ...]:
    """Those of `keys` (plain Ed25519) that signed `note`.

    Raises BadNote when a line names one of them and its signature is wrong or given twice.
    """
    found: dict[tuple[str, bytes], NoteKey] = {}
    known = {(key.name, key.key_id): key for key in keys if key.kind == ED25519}
    for signature in note.signatures:
        which = (signature.name, signature.key_id)
        key = known.get(which)
        if key is None:
            continue
        if which in found or not ed25519_valid(key.public_key, note.text.encode(), signature.signature):
            raise BadNote(f"the signature of {signature.name} on the note is not valid")
        found[which] = key
    return tuple(found.values())


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    sound = line.startswith(_MARK) and _NAME.fullmatch(name) and len(raw) >= 5
    if not sound or base64.b64encode(raw).decode() != encoded:  # one spelling only
        raise BadNote("the note has a line among its signatures that is none")
    return Signature(name, raw[:4], raw[4:])
