"""Searching lines of text: case does not matter, nothing in the query is special."""

from __future__ import annotations

from collections.abc import Callable


def matches(text: str, query: str) -> list[tuple[int, int]]:
    """Where `query` occurs in `text`, as (start, end) positions, left to right, not overlapping."""
    if not query:
        return []
    # casefold() can change a text's length, which would shift every position; lower() can too, rarely
    # (İ), and then a shifted highlight is the whole damage.
    haystack, needle = text.lower(), query.lower()
    found: list[tuple[int, int]] = []
    start = haystack.find(needle)
    while start >= 0:
        found.append((start, start + len(needle)))
        start = haystack.find(needle, start + len(needle))
    return found


def next_match(length: int, start: int, step: int, hit: Callable[[int], bool]) -> int | None:
    """The nearest position from `start` (inclusive) in the direction of `step` (1, -1) for which `hit`
    holds, going round at the end of `length` positions; None when there is none."""
    for offset in range(length):
        position = (start + offset * step) % length
        if hit(position):
            return position
    return None
