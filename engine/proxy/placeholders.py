"""The stand-ins of credentials, found in the headers that a client sends. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Set

from engine.proxy.decision import Headers

_BASIC = re.compile(rb"basic[ \t]+([A-Za-z0-9+/=_-]+)\s*\Z", re.IGNORECASE)


def placeholders_sent(headers: Headers, known: Set[str]) -> set[str]:
    """Every placeholder of the run that stands, whole, in some header; Basic credentials are looked into."""
    if not known:
        return set()
    found: set[str] = set()
    for _, value in headers:
        texts = [value.decode("latin-1")]
        if basic := _BASIC.match(value):
            texts.append(decode_basic(basic.group(1)))
        found.update(p for p in known - found if any(holds_placeholder(text, p) for text in texts))
    return found


def holds_placeholder(text: str, placeholder: str) -> bool:
    """Whether `placeholder` stands in `text` as a whole word, not as a part of a longer placeholder."""
    start = text.find(placeholder)
    while start >= 0:
        before = text[start - 1] if start else " "
        after = text[start + len(placeholder) :][:1] or " "
        if not _wordy(before) and not _wordy(after):
            return True
        start = text.find(placeholder, start + 1)
    return False


def _wordy(char: str) -> bool:
    return char.isalnum() or char in "-_"


def decode_basic(encoded: bytes) -> str:
    """`user:password` of a Basic header's payload; empty when it is not base64."""
    try:
        padded = encoded.rstrip(b"=") + b"=" * (-len(encoded.rstrip(b"=")) % 4)
        return base64.b64decode(
            padded, altchars=b"-_" if b"-" in encoded or b"_" in encoded else None
        ).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
