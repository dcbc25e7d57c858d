"""What a list of lines is drawn from, and one that keeps the newest items within a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol


class Lines[Item](Protocol):
    """Items by their place in the list, 0 the topmost. An item's number stays when places change."""

    @property
    def dropped(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Item: ...
    def number(self, place: int) -> int: ...
    def place(self, number: int) -> int:
        """Where the item with this number is, or the nearest to where it would be; 0 of an empty list."""


class BoundedStore[Item]:
    """Append-only, numbered from 0 for ever: item `n` keeps its number when older ones are dropped.

    limit: most items kept. weight_limit: most bytes kept, as `weigh` counts them (0: no such bound).
    """

    def __init__(
        self, limit: int, *, weight_limit: int = 0, weigh: Callable[[Item], int] | None = None
    ) -> None:
        self._limit = limit
        self._weight_limit = weight_limit
        self._weigh = weigh
        self._items: list[Item] = []
        self._weights: list[int] = []
        self._weight = 0
        self._head = 0  # items before this index are gone; trimmed in bulk, so that dropping is O(1)
        self._trimmed = 0

    @property
    def dropped(self) -> int:
        """How many were let go, which is also the number of the first item kept."""
        return self._trimmed + self._head

    def __len__(self) -> int:
        return len(self._items) - self._head

    def __getitem__(self, index: int) -> Item:
        """By position among those kept, 0 the oldest."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._items[self._head + index]

    def number(self, place: int) -> int:
        return self.dropped + place

    def place(self, number: int) -> int:
        return max(0, min(number - self.dropped, len(self) - 1))

    def __iter__(self) -> Iterator[Item]:
        return (self._items[position] for position in range(self._head, len(self._items)))

    def extend(self, items: Iterable[Item]) -> int:
        """Append, then drop the oldest beyond the bounds; returns how many were dropped by this call."""
        before = self.dropped
        for item in items:
            self._items.append(item)
            if self._weigh is not None:
                weight = self._weigh(item)
                self._weights.append(weight)
                self._weight += weight
        while len(self) > self._limit or (
            self._weight_limit and self._weight > self._weight_limit and len(self) > 1
        ):
            if self._weigh is not None:
                self._weight -= self._weights[self._head]
            self._head += 1
        if self._head > 1024 and self._head * 2 > len(self._items):
            del self._items[: self._head]
            del self._weights[: self._head]
            self._trimmed += self._head
            self._head = 0
        return self.dropped - before

    def clear(self) -> None:
        """Forget everything and number from 0 again."""
        self._items.clear()
        self._weights.clear()
        self._weight = self._head = self._trimmed = 0
