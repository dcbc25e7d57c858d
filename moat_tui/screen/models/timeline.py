"""The lines of several files as one list by time, without keeping a line: where each stretch comes from.

Lines are numbered from where reading began, as in a file's own `Blocks`: what is older and found later has
negative numbers, so no line ever changes its number. Of one file the whole list is a single stretch; of
files whose lines alternate it is at worst 18 bytes a line.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import NamedTuple


class Span(NamedTuple):
    """Lines of one file that stand together. source: which file. first: its own number of the first."""

    source: int
    first: int
    lines: int


class Stretch(NamedTuple):
    """A span and the number in the list of its first line."""

    number: int
    span: Span


class _Side:
    """Stretches in the order in which they were added."""

    def __init__(self) -> None:
        self.numbers = array("q")
        self.firsts = array("q")
        self.sources = array("H")


class Timeline:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._older, self._newer = _Side(), _Side()
        self.first = self.after = 0

    @property
    def count(self) -> int:
        return self.after - self.first

    def add_newer(self, span: Span) -> None:
        side = self._newer
        last = len(side.numbers) - 1
        joins = last >= 0 and side.sources[last] == span.source
        if not joins or side.firsts[last] + self.after - side.numbers[last] != span.first:
            side.numbers.append(self.after)
            side.firsts.append(span.first)
            side.sources.append(span.source)
        self.after += span.lines

    def add_older(self, span: Span) -> None:
        side = self._older
        self.first -= span.lines
        last = len(side.numbers) - 1
        if last >= 0 and side.sources[last] == span.source and side.firsts[last] == span.first + span.lines:
            side.numbers[last], side.firsts[last] = self.first, span.first
        else:
            side.numbers.append(self.first)
            side.firsts.append(span.first)
            side.sources.append(span.source)

    def line(self, number: int) -> tuple[int, int]:
        """(which file, its own number of the line); IndexError when it is not known."""
        side, place, _ = self._find(number)
        return side.sources[place], side.firsts[place] + number - side.numbers[place]

    def up_to(self, number: int) -> Stretch:
        """The stretch that ends with line `number`."""
        side, place, _ = self._find(number)
        start = side.numbers[place]
        return Stretch(start, Span(side.sources[place], side.firsts[place], number - start + 1))

    def starting(self, number: int) -> Stretch:
        """The stretch that begins with line `number`."""
        side, place, after = self._find(number)
        first = side.firsts[place] + number - side.numbers[place]
        return Stretch(number, Span(side.sources[place], first, after - number))

    def _find(self, number: int) -> tuple[_Side, int, int]:
        """(side, its place there, the number after the stretch)."""
        if not self.first <= number < self.after:
            raise IndexError(number)
        if number >= 0:
            numbers = self._newer.numbers
            place = bisect_right(numbers, number) - 1
            return self._newer, place, numbers[place + 1] if place + 1 < len(numbers) else self.after
        numbers = self._older.numbers  # these fall as the list goes on
        place = bisect_left(numbers, -number, key=lambda start: -start)
        return self._older, place, numbers[place - 1] if place else 0
