"""The byte strings that give a run's credentials away, and the quickest search for all of them. Pure.

One Aho-Corasick automaton looks for every form at once. Its vectorised search reads text at more than ten
gigabytes a second, where Python's `re` manages fifty megabytes with as many alternatives.
"""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from collections.abc import Iterable, Iterator

import ahocorasick_rs

SHORTEST = 8  # bytes: a shorter value, or form of one, would hit innocent text
_HEAD = 4
# The vectorised search takes 64 patterns; beyond that it would be thirty times slower.
_AT_ONCE = 48
_SHORT = 256  # bytes: on less, several calls cost more than one slower search


class Needles:
    """Every form in which a service may say one of `values`: pairs of a grant's name and its secret."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self._grants: dict[bytes, str] = {}
        for grant, value in values:
            for form in _forms(value) if len(value) >= SHORTEST else ():
                if len(form) >= SHORTEST:
                    self._grants.setdefault(form, grant)
        forms = sorted(self._grants)
        self.longest = max(map(len, forms), default=0)
        self.alphabet = frozenset(byte for form in forms for byte in form)
        kind = ahocorasick_rs.MatchKind.LeftmostFirst
        parts = -(-len(forms) // _AT_ONCE)
        # dealt like cards: forms that begin alike, all in one part, would be searched by a slower way
        self._search = [
            ahocorasick_rs.BytesAhoCorasick(forms[part::parts], matchkind=kind).find_matches_as_indexes
            for part in range(parts)
        ]
        self._by_head: dict[bytes, list[bytes]] = {}
        for form in forms:
            self._by_head.setdefault(form[:_HEAD], []).append(form)
        heads = ahocorasick_rs.BytesAhoCorasick(list(self._by_head))
        self._heads = heads.find_matches_as_indexes
        self._begun = frozenset(form[:length] for form in forms for length in range(1, _HEAD))

    def __repr__(self) -> str:
        return f"Needles({len(self._grants)} forms)"

    def __bool__(self) -> bool:
        return bool(self._grants)

    def found_in(self, data: bytes) -> bool:
        if len(data) < _SHORT and not self._heads(data):
            return False
        for search in self._search:  # noqa: SIM110  a generator would cost as much as a search
            if search(data):
                return True
        return False

    def occurrences(self, data: bytes) -> Iterator[tuple[int, int, str]]:
        """`(start, end, grant)` of every occurrence, overlapping ones too; in no order."""
        for form, grant in self._grants.items():
            start = data.find(form)
            while start >= 0:
                yield start, start + len(form), grant
                start = data.find(form, start + 1)

    def begun_at(self, data: bytes) -> int:
        """Where the longest end of `data` begins that more bytes could complete; its length if none."""
        if not data or data[-1] not in self.alphabet:
            return len(data)
        first = max(0, len(data) - self.longest + 1)
        tail = data[first:]
        for _, start, _ in self._heads(tail, overlapping=True):
            rest = tail[start:]
            if any(len(form) > len(rest) and form.startswith(rest) for form in self._by_head[rest[:_HEAD]]):
                return first + start
        for length in range(min(_HEAD - 1, len(data)), 0, -1):
            if data[-length:] in self._begun:
                return len(data) - length
        return len(data)


def _forms(value: str) -> Iterator[bytes]:
    """Those that Escapes undoes are found in the text without them, but for a value with a percent sign of
    its own, which reads as an escape that was escaped again.
    """
    raw = value.encode("utf-8")
    text = json.dumps(value)[1:-1]
    for spelled in (
        value,
        value.replace(" ", "+"),
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote_plus(value),
        text,
        text.replace("/", "\\/"),
        html.escape(value),
    ):
        yield spelled.encode("utf-8")
    # UTF-16 of either byte order, without the zero that only one of them ends in
    yield value.encode("utf-16-le")[:-1]
    yield raw.hex().encode("ascii")
    yield raw.hex().upper().encode("ascii")
    for core in _base64(raw):
        yield core.encode("ascii")
        yield core.replace("+", "-").replace("/", "_").encode("ascii")
        yield core.replace("/", "\\/").encode("ascii")


def _base64(raw: bytes) -> Iterator[str]:
    """What base64 of "…raw…" holds whatever stands around it, for each alignment."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).decode("ascii").rstrip("=")
        core = coded[(0, 2, 3)[shift] :]
        yield core[:-1] if (shift + len(raw)) % 3 else core
