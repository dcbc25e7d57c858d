"""The numbers of the lines that a filter found."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable


class Found:
    """Numbers of lines, ascending, that grow at both ends."""

    def __init__(self) -> None:
        self._older = array("q")  # descending
        self._newer = array("q")

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    def __getitem__(self, place: int) -> int:
        older = len(self._older)
        return self._older[older - 1 - place] if place < older else self._newer[place - older]

    def add_newer(self, numbers: Iterable[int]) -> None:
        self._newer.extend(numbers)

    def add_older(self, numbers: Iterable[int]) -> None:
        """Descending, all below what is known."""
        self._older.extend(numbers)

    def place(self, number: int) -> int:
        """Of the first that is not below `number`; the length when all are."""
        return bisect_left(self, number)

    def __contains__(self, number: int) -> bool:
        place = self.place(number)
        return place < len(self) and self[place] == number
