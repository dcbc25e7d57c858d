"""Takes a run's credentials out of bytes that stream past, whatever the pieces they come in. Pure.

    scrubber = Scrubber(Needles(...))
    out = scrubber.feed(piece) + … + scrubber.finish()

What comes out has the length of what went in. Only an end that is the beginning of a value is held back,
until it turns out to be one or not: an event that ends in a line break is never late.
"""

from __future__ import annotations

from collections import Counter

from engine.proxy.escapes import Escapes
from engine.proxy.needles import Needles

MASK = b"x"  # is itself in plain text, JSON, URLs and base64 alike


class Lexicon:
    """What to look for, made once per run and used by all its scrubbers. `values` as of Needles."""

    def __init__(self, needles: Needles) -> None:
        self.needles = needles
        self.escapes = Escapes(needles.alphabet)
        self.reach = self.escapes.reach(needles.longest)

    def holds(self, data: bytes) -> bool:
        """Whether some form of a value is in `data`."""
        if not self.needles:
            return False
        undone = self.escapes.undone(data)
        return self.needles.found_in(data) or (undone is not None and self.needles.found_in(undone.text))


class Scrubber:
    """hits: how often a value of each grant was replaced."""

    def __init__(self, lexicon: Lexicon, hits: Counter[str] | None = None) -> None:
        self._needles = lexicon.needles
        self._escapes = lexicon.escapes
        self._reach = lexicon.reach
        self._held = b""
        self._masked = 0  # bytes at the beginning of what is held that belong to a value already found
        self.hits: Counter[str] = Counter() if hits is None else hits

    @property
    def held(self) -> int:
        """Bytes at the end of what was fed that may be the beginning of a value."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        if self._held:
            data = self._held + data
        if not data:
            return b""
        return self._scrub(data, self._begun_at(data))

    def finish(self) -> bytes:
        """The rest; the scrubber is as new then."""
        return self._scrub(self._held, len(self._held)) if self._held else b""

    def _scrub(self, data: bytes, end: int) -> bytes:
        """Put out `data` up to `end` and hold the rest."""
        found = self._found(data, end)
        masked, self._masked = self._masked, 0
        self._held = data[end:]
        if not found and not masked:
            return data if end == len(data) else data[:end]
        out = bytearray(data[:end])
        out[:masked] = MASK * min(masked, end)
        reached = masked
        for start, stop, grant in found:
            out[start:stop] = MASK * (min(stop, end) - start)
            if start >= reached:
                self.hits[grant] += 1
            reached = max(reached, stop)
        self._masked = max(0, reached - end)
        return bytes(out)

    def _found(self, data: bytes, end: int) -> list[tuple[int, int, str]]:
        """The values that begin before `end`, in order; a value may be found in several forms at once."""
        needles = self._needles
        found = list(needles.occurrences(data)) if needles.found_in(data) else []
        undone = self._escapes.undone(data)
        if undone is not None and needles.found_in(undone.text):
            found += [
                (undone.start_of(start), undone.end_of(stop), grant)
                for start, stop, grant in needles.occurrences(undone.text)
            ]
        return sorted(place for place in set(found) if place[0] < end) if found else found

    def _begun_at(self, data: bytes) -> int:
        """Where what must be held back begins: never inside an escape, so that it is read the same again."""
        first = max(0, len(data) - self._reach)
        tail = data[first:] if first else data
        begun = self._needles.begun_at(tail)
        cut = self._escapes.begun_at(tail)
        undone = self._escapes.undone(tail[:cut])
        if undone is None:
            if cut < len(tail):
                begun = min(begun, self._needles.begun_at(tail[:cut]))
        else:
            begun = min(undone.outside(begun), undone.start_of(self._needles.begun_at(undone.text)))
        return first + min(begun, cut)


def scrubbed(data: bytes, lexicon: Lexicon, hits: Counter[str]) -> bytes:
    """The same for bytes that are all there."""
    return Scrubber(lexicon, hits)._scrub(data, len(data))
