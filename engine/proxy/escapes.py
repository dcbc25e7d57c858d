"""Reads text as it is once its escapes are undone, and knows where each byte of that came from. Pure.

Percent-encoding (of percent signs too), \\u00XX and \\xXX of JSON and JavaScript, HTML's numeric references,
and any mixture with plain characters. Only characters that a needle holds are looked at: others stay.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

import ahocorasick_rs

# every escape but the percent sign's, which `in` finds faster than anything
_OTHERS = ahocorasick_rs.BytesAhoCorasick(
    [b"\\u00", b"\\x", b"&#"], matchkind=ahocorasick_rs.MatchKind.LeftmostFirst
).find_matches_as_indexes
# a beginning of an escape at the end of the data
_BEGUN = re.compile(
    rb"(?:%(?:25){0,3}[0-9A-Fa-f]?"
    rb"|\\{1,4}(?:u(?:0(?:0[0-9A-Fa-f]?)?)?|x[0-9A-Fa-f]?)?"
    rb"|&(?:#(?:[Xx]?0{0,4}[0-9A-Fa-f]{0,3})?)?)\Z"
)
_LONGEST = 16  # bytes: "%25252541" and "&#x000041;" are shorter


class Unescaped:
    """text: the data with its escapes undone. `escapes`: (start, end, byte) of each one in the data."""

    def __init__(self, data: bytes, escapes: list[tuple[int, int, int]]) -> None:
        parts: list[bytes] = []
        self._places: list[int] = []  # of each escape, in the text
        self._escapes = escapes
        at = length = 0
        for start, end, byte in escapes:
            parts += (data[at:start], bytes((byte,)))
            length += start - at
            self._places.append(length)
            length += 1
            at = end
        self.text = b"".join((*parts, data[at:]))

    def start_of(self, place: int) -> int:
        """Where the data has the beginning of what the text has at `place`, which may be the text's end."""
        index = bisect_right(self._places, place) - 1
        if index < 0:
            return place
        start, end, _ = self._escapes[index]
        return start if place == self._places[index] else end + place - self._places[index] - 1

    def end_of(self, place: int) -> int:
        """The same for an end: behind the byte before `place`."""
        index = bisect_right(self._places, place - 1) - 1
        if index >= 0 and self._places[index] == place - 1:
            return self._escapes[index][1]
        return self.start_of(place - 1) + 1

    def outside(self, position: int) -> int:
        """`position` of the data, or where the escape begins that it lies in."""
        index = bisect_right(self._escapes, (position, -1, -1)) - 1
        if index >= 0 and position < self._escapes[index][1]:
            return self._escapes[index][0]
        return position


class Escapes:
    """alphabet: the bytes worth looking for behind an escape."""

    def __init__(self, alphabet: Iterable[int]) -> None:
        codes = [byte for byte in sorted(alphabet) if 0x20 <= byte < 0x7F]
        hexes = _hexes(codes)
        tens = b"|".join(b"%d" % code for code in codes) or b"(?!)"
        self._percent = re.compile(rb"%%(?:25){0,3}(%b)" % hexes)
        self._other = re.compile(
            rb"\\{1,4}(?:u00|x)(%b)|&#(?:[Xx]0{0,4}(%b)|0{0,4}(%b));" % (hexes, hexes, tens)
        )

    def undone(self, data: bytes) -> Unescaped | None:
        """None when there is nothing to undo."""
        found: list[tuple[int, int, int]] = []
        if b"%" in data:
            found += [(m.start(), m.end(), int(m[1], 16)) for m in self._percent.finditer(data)]
        if _OTHERS(data):
            found += [
                (m.start(), m.end(), int(m[m.lastindex or 0], 10 if m.lastindex == 3 else 16))
                for m in self._other.finditer(data)
            ]
            found.sort()
        return Unescaped(data, found) if found else None

    def begun_at(self, data: bytes) -> int:
        """Where an escape begins that the end of `data` cut off; the data's length when there is none."""
        first = max(0, len(data) - _LONGEST)
        match = _BEGUN.search(data, first)
        return match.start() if match else len(data)

    def reach(self, longest: int) -> int:
        """How many bytes the escaped form of `longest` bytes may have."""
        return (longest + 1) * _LONGEST


def _hexes(codes: Iterable[int]) -> bytes:
    """An expression for each code's two digits, in either case."""
    rows: dict[int, str] = {}
    for code in codes:
        digit = f"{code & 15:x}"
        rows[code >> 4] = rows.get(code >> 4, "") + digit + (digit.upper() if digit.isalpha() else "")
    return "|".join(f"{row:x}[{digits}]" for row, digits in rows.items()).encode("ascii") or b"(?!)"
