"""Blots a run's credentials out of text, in every spelling in which services echo them. Pure.

A literal search only: it knows the values, so it needs no guess about what a token looks like. What
responses are searched with (Lexicon) looks first, because it is quick, and last, because it knows more forms.
"""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterable

import ahocorasick_rs

from engine.proxy.needles import SHORTEST, Needles
from engine.proxy.scrub import Lexicon, scrubbed

REDACTED = "[REDACTED]"
_SHORTEST_TAIL = 4  # characters of a credential that may stand at a cut without being blotted out
_LOTS = 3
_SHORTEST_CODED = 8  # a shorter base64 core would hit innocent text


class Masker:
    """`longest` is the length in characters of the longest spelling: what a capture must read ahead."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = tuple(values)
        self._learnt: list[tuple[str, ...]] = []
        self._compile()

    @property
    def learnt(self) -> tuple[tuple[str, ...], ...]:
        """The lots that are kept, oldest first."""
        return tuple(self._learnt)

    def learn(self, values: Iterable[str]) -> None:
        """Blot these out too from now on: values that live for minutes. Only the last few lots are kept, for
        those before them have expired, and every one makes each search longer.
        """
        lot = tuple(values)
        if lot not in self._learnt:
            self._learnt = [*self._learnt, lot][-_LOTS:]
            self._compile()

    def _compile(self) -> None:
        values = {value for lot in (self._values, *self._learnt) for value in lot if value}
        spellings = {spelling for value in values for spelling in _spellings(value)}
        # longest first, so that a value inside another's spelling does not leave the rest standing
        self._spellings = sorted(spellings, key=lambda text: (-len(text), text))
        self.longest = max(map(len, self._spellings), default=0)
        self._pattern = re.compile("|".join(map(re.escape, self._spellings))) if self._spellings else None
        self._by_head: dict[str, list[str]] = {}
        for spelling in self._spellings:
            self._by_head.setdefault(spelling[:_SHORTEST_TAIL], []).append(spelling)
        heads = [_one_byte_each(head) for head in self._by_head]
        self._heads = ahocorasick_rs.BytesAhoCorasick(heads).find_matches_as_indexes
        self._lexicon = Lexicon(Needles(("", value) for value in values)) if values else None
        self._has_short = any(len(value) < SHORTEST for value in values)  # which the lexicon does not know

    def __repr__(self) -> str:
        return f"Masker({len(self._spellings)} spellings)"

    def mask(self, text: str, *, cut: bool = False) -> str:
        """`cut` says that the text may end in the middle of something: a beginning of a value goes too."""
        if self._pattern is None or self._lexicon is None or not text:
            return text
        if self._has_short or self._lexicon.holds(text.encode("utf-8", "surrogatepass")):
            text = self._pattern.sub(REDACTED, text)
            rest = scrubbed(text.encode("utf-8", "surrogatepass"), self._lexicon, Counter())
            text = rest.decode("utf-8", "surrogatepass")
        return self._without_tail(text) if cut else text

    def holds(self, text: str) -> bool:
        return self._pattern is not None and self._pattern.search(text) is not None

    def _without_tail(self, text: str) -> str:
        end = text[-self.longest :]
        for _, start, _ in self._heads(_one_byte_each(end), overlapping=True):
            rest = end[start:]
            if any(spelling.startswith(rest) for spelling in self._by_head.get(rest[:_SHORTEST_TAIL], ())):
                return text[: -len(rest)] + REDACTED
        return text


def _one_byte_each(text: str) -> bytes:
    """For a search whose places are those of the characters; what it finds has to be compared again."""
    return text.encode("latin-1", "replace")


def _spellings(value: str) -> Iterable[str]:
    yield value
    yield urllib.parse.quote(value, safe="")
    yield urllib.parse.quote(value, safe="").replace("%", "%25")
    yield urllib.parse.quote_plus(value)
    yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), urllib.parse.quote(value, safe=""))
    yield json.dumps(value)[1:-1]
    yield json.dumps(value)[1:-1].replace("/", "\\/")
    yield html.escape(value)
    raw = value.encode("utf-8")
    if len(raw) < _SHORTEST_CODED:
        return
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):
        # base64 of "…value…": the characters that depend on the value alone, for each alignment
        coded = base64.b64encode(b"\0" * shift + raw).decode("ascii").rstrip("=")
        core = coded[(0, 2, 3)[shift] :]
        if (shift + len(raw)) % 3:
            core = core[:-1]
        if len(core) >= _SHORTEST_CODED:
            yield core
            yield core.replace("+", "-").replace("/", "_")
