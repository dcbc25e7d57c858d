"""The public key that a reader trusts, in the spellings in which it may reach them."""

from __future__ import annotations

import re
from pathlib import Path

from engine.audit.judging.evidence import strict_base64
from engine.audit.note import ED25519, BadNote, NoteKey
from engine.audit.signer import PUBLIC_KEY_BYTES, is_public_key
from engine.errors import UsageError

MAX_FILE = 4096  # bytes; a key and a comment's worth
_HEX = re.compile(r"[0-9A-Fa-f]{64}")


def parse_pin(text: str) -> bytes | None:
    """32 bytes from hex, base64 or a verifier key line (`NAME+ID+BASE64`); None for anything else."""
    text = text.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        if "+" in text and text.isascii() and len(text.split("+")[1]) == 8:
            key = NoteKey.parse(text)
            return key.public_key if key.kind == ED25519 else None
    except BadNote:
        pass  # base64 has a plus too
    try:
        raw = strict_base64(text)
    except ValueError:
        return None
    return raw if len(raw) == PUBLIC_KEY_BYTES else None


def read_pin(text: str) -> bytes:
    """The key that `text` is, or that the file of that name holds. Raises UsageError."""
    key = parse_pin(text)
    if key is None:
        try:
            with Path(text).open("rb") as file:
                key = parse_pin(file.read(MAX_FILE).decode())
        except (OSError, ValueError):
            key = None
    if key is None or not is_public_key(key):
        raise UsageError(
            f"{text!r} is neither a public key nor a file that holds one",
            remedy="Give it as hex, base64 or a verifier key line, or name a copy of heads/signing.pub.",
        )
    return key
