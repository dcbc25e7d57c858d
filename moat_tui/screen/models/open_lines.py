"""The requests that are not over, which stand below all others: they are still to be written down."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moat_tui.screen.models.shown_request import ShownRequest

OPEN_FIRST = 1 << 62  # numbers from here on are open requests', which no line of a file ever has
_REMEMBERED = 10_000


class OpenLines:
    """By number, in the order in which they began."""

    def __init__(self) -> None:
        self._records: dict[int, ShownRequest] = {}
        self._all: list[int] = []
        self._found: list[int] = []
        self._became: dict[int, int] = {}

    def clear(self) -> None:
        self._records, self._all, self._found, self._became = {}, [], [], {}

    def show(self, opened: Iterable[tuple[int, ShownRequest]], found: Set[int]) -> None:
        """These are open now, and a filter found some of them."""
        self._records = dict(opened)
        self._all = list(self._records)
        self.find(found)

    def find(self, found: Set[int]) -> None:
        self._found = [number for number in self._all if number in found]

    def end(self, closed: Iterable[tuple[int, int]]) -> None:
        """These are over: the open request's number, and that of its line."""
        if len(self._became) > _REMEMBERED:
            self._became.clear()
        for number, line in closed:
            self._became[number] = line
            if self._records.pop(number, None) is not None:
                self._all.remove(number)
                if number in self._found:
                    self._found.remove(number)

    def became(self, number: int) -> int:
        """The line's number of a request that has ended; `number` itself of any other."""
        return self._became.get(number, number)

    def get(self, number: int) -> ShownRequest | None:
        return self._records.get(number)

    def numbers(self, *, found: bool) -> list[int]:
        return self._found if found else self._all
