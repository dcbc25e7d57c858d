"""The stand-ins of credentials, found in the headers and the URL that a client sends. Pure."""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Callable

import ahocorasick_rs

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
    sent: set[str] = set()
    for value in values:
        for text in readings.of_value(value):
            sent |= placeholders_in(text, known)
    in_url: set[str] = set()
    for part in readings.of_target(path):
        in_url |= known.intersection((part, *part.split(":")))
    return sent, in_url


def placeholders_in(text: str, known: frozenset[str]) -> set[str]:
    """Those that stand in `text` as a whole word, not as a part of a longer placeholder."""
    placeholders, search = _searched(known)
    return {
        placeholders[index]
        for index, start, end in search(text, overlapping=True)
        if not _wordy(text[start - 1 : start]) and not _wordy(text[end : end + 1])
    }


@functools.lru_cache(maxsize=8)
def _searched(known: frozenset[str]) -> tuple[list[str], Callable[..., list[tuple[int, int, int]]]]:
    """One search for all of them, however many grants the run has."""
    placeholders = [placeholder for placeholder in known if placeholder]
    return placeholders, ahocorasick_rs.AhoCorasick(placeholders).find_matches_as_indexes


def _wordy(char: str) -> bool:
    return char.isalnum() or char in ("-", "_")


def decode_basic(encoded: bytes) -> str:
    """`user:password` of a Basic header's payload; empty when it is not base64."""
    try:
        padded = encoded.rstrip(b"=") + b"=" * (-len(encoded.rstrip(b"=")) % 4)
        return base64.b64decode(
            padded, altchars=b"-_" if b"-" in encoded or b"_" in encoded else None
        ).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
