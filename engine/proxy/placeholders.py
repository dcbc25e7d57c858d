"""The stand-ins of credentials, found in the headers and the URL that a client sends. Pure."""

from __future__ import annotations

import base64
import binascii

from engine.proxy.decision import Headers
from engine.proxy.readings import of_placeholders


def placeholders_sent(headers: Headers, path: str, known: frozenset[str]) -> tuple[set[str], set[str]]:
    """Every placeholder of the run that stands, whole and in whatever form, in some header; in the URL."""
    if not known:
        return set(), set()
    values = [value for _, value in headers]
    readings = of_placeholders(known)
    if not readings.worthwhile([*values, path.encode("latin-1", "replace")]):
        return set(), set()
    texts = [text for value in values for text in readings.of_value(value)]
    sent = {p for p in known if any(holds_placeholder(text, p) for text in texts)}
    parts = list(readings.of_target(path))
    return sent, {p for p in known if any(p == part or p in part.split(":") for part in parts)}


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
