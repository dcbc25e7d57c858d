"""Request paths against patterns, judged as they are sent. Pure.

A server may take `%2F` for a slash or leave it, and drop `;parameters` or keep them. Moat sends a path as
the client wrote it, so every reading that a server could sensibly make of it is judged, and they must
agree. What has no sound reading at all (dot segments, `//`, backslashes, encoded letters, double or broken
encoding) is ambiguous: whoever judges it would be guessing.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_to_bytes

MAX_SEGMENTS = 256  # of a path that rules judge

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# Letters, digits, `-`, `.` and `_`: RFC 3986 §2.3 says never to encode them. `~` is left out: older
# encoders do, and it means nothing to a server.
_ENCODED_PLAIN = re.compile(r"%(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|2[DdEe]|5[Ff])")
_SLASH = re.compile("%2f", re.IGNORECASE)
_PARAMETER = re.compile("%3b", re.IGNORECASE)
_PARAMETERS = re.compile(r";[^/]*")
_UNSOUND = frozenset("/\\.;%?#")

type Reading = tuple[str, ...]
"""The decoded segments of a path; one trailing slash is left out, as servers do."""


class AmbiguousPath(ValueError):
    """The text is safe to send back: it quotes nothing from the request."""


def readings(target: str) -> tuple[Reading, ...]:
    """Every reading of a request's path (its query is not judged), the plain one first.

    Raises AmbiguousPath when one of them is unsound.
    """
    path = target.partition("?")[0]
    if path == "*":  # OPTIONS * is about the server itself
        return ((),)
    if not path.isascii() or any(char < "!" or char in "\\#\x7f" for char in path):
        raise AmbiguousPath("characters that a path must not have as they are")
    if _BROKEN_ESCAPE.search(path):
        raise AmbiguousPath("a % that begins no escape")
    if _ENCODED_PLAIN.search(path):
        raise AmbiguousPath("escapes that stand for plain characters")
    if path.count("/") + len(_SLASH.findall(path)) > MAX_SEGMENTS:
        raise AmbiguousPath(f"more than {MAX_SEGMENTS} segments")
    split = _SLASH.sub("/", path)
    spellings = dict.fromkeys(
        (
            path,
            split,
            _without_parameters(path),
            _without_parameters(split),
            _SLASH.sub("/", _without_parameters(path)),
        )
    )
    return tuple(dict.fromkeys(_segments(spelling) for spelling in spellings))


def _without_parameters(path: str) -> str:
    return _PARAMETERS.sub("", _PARAMETER.sub(";", path))


def _segments(path: str) -> Reading:
    segments = [_decoded(segment) for segment in path[1:].split("/")]
    if segments[-1] == "":
        segments.pop()
    if "" in segments:
        raise AmbiguousPath("an empty segment (//)")
    if any(segment in (".", "..") for segment in segments):
        raise AmbiguousPath("a . or .. segment")
    return tuple(segments)


def _decoded(segment: str) -> str:
    try:
        text = unquote_to_bytes(segment).decode("utf-8")  # strict: overlong forms are not UTF-8
    except UnicodeDecodeError:
        raise AmbiguousPath("escapes that are not UTF-8") from None
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in text):
        raise AmbiguousPath("an encoded control character")
    if _ESCAPE.search(text):
        raise AmbiguousPath("an escape inside an escape")
    if any(char in text for char in "\\?#"):
        raise AmbiguousPath("an encoded backslash, question mark or hash")
    if not text.isascii() and not _UNSOUND.isdisjoint(set(unicodedata.normalize("NFKC", text)) - set(text)):
        raise AmbiguousPath("characters that some servers fold into others")
    return text


class PathPattern:
    """`/a/*/b/**`: `*` is any text within a segment, `**` any number of segments, none included."""

    def __init__(self, text: str) -> None:
        segments = text[1:].split("/")
        if segments[-1] == "":
            segments.pop()
        self._segments = [None if part == "**" else _glob(part) for part in segments]

    def matches(self, reading: Reading) -> bool:
        """In steps of at most segments of the pattern times segments of the path."""
        reached = {0}
        for part in self._segments:
            if part is None:
                reached = set(range(min(reached), len(reading) + 1)) if reached else reached
            else:
                reached = {at + 1 for at in reached if at < len(reading) and _fits(part, reading[at])}
        return len(reading) in reached


def _glob(segment: str) -> tuple[str, ...]:
    """The texts between the stars."""
    return tuple(unquote_to_bytes(part).decode("utf-8", "replace") for part in segment.split("*"))


def _fits(parts: tuple[str, ...], text: str) -> bool:
    first, *rest = parts
    if not rest:
        return text == first
    *middle, last = rest
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
