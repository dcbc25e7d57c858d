"""The texts that a header value or a URL may mean, so that a placeholder in disguise is found. Pure."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from engine.proxy.needles import SHORTEST, Needles
from engine.proxy.scrub import Lexicon

_CODED = re.compile(rb"[A-Za-z0-9+/_-]{12,}={0,2}")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+\Z")
_PARTS = re.compile(r"[/?&=;#,:@]+")
_SCHEME = re.compile(r"[A-Za-z][\w-]*[ +]+(?=\S+\Z)")


class Readings:
    """For one run's placeholders; see `of_placeholders`."""

    def __init__(self, placeholders: Iterable[str]) -> None:
        known = list(placeholders)
        self._lexicon = Lexicon(Needles(("", placeholder) for placeholder in known))
        self._all_known = all(len(placeholder) >= SHORTEST for placeholder in known)

    def worthwhile(self, values: Iterable[bytes]) -> bool:
        """Whether any of `values` may hold a placeholder in any form: one quick search that settles most."""
        return not self._all_known or self._lexicon.holds(b"\n".join(values))

    def of_value(self, value: bytes) -> Iterator[str]:
        """A header's value: as it is, unescaped, and what its base64 and hexadecimal words say."""
        undone = self._lexicon.escapes.undone(value)
        for text in (value,) if undone is None else (value, undone.text):
            yield text.decode("latin-1")
            for word in _CODED.findall(text):
                yield from _decoded(word)

    def of_target(self, path: str) -> Iterator[str]:
        """Each part of a path and query by itself, without a scheme before it: prose that mentions a
        placeholder, as a search for what it is, sends none.
        """
        raw = path.encode("latin-1", "replace")
        undone = self._lexicon.escapes.undone(raw)
        for text in (raw,) if undone is None else (raw, undone.text):
            for part in _PARTS.split(unquote(text.decode("latin-1"), "latin-1")):
                yield _SCHEME.sub("", part, count=1)
                for word in _CODED.findall(part.encode("latin-1")):
                    yield from _decoded(word)


@functools.lru_cache(maxsize=8)
def of_placeholders(placeholders: frozenset[str]) -> Readings:
    return Readings(placeholders)


def _decoded(word: bytes) -> Iterator[str]:
    if _HEX.match(word):
        yield bytes.fromhex(word.decode("ascii")).decode("latin-1")
    bare = word.rstrip(b"=")
    for alphabet in (None, b"-_"):
        try:
            padded = bare + b"=" * (-len(bare) % 4)
            yield base64.b64decode(padded, altchars=alphabet, validate=True).decode("latin-1")
        except (binascii.Error, ValueError):
            continue
