"""Sorting requests by a column: pairs of a key and a line's number, never the list on the screen."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from moat_tui.screen.models.filter_language import path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine import RequestRecord

SORTED_MOST = 100_000  # lines held sorted, the newest; a sort of that many stays under a blink


class Column(NamedTuple):
    """down: largest first when chosen, as one looks for the slowest and not for the fastest."""

    title: str
    key: Callable[[RequestRecord], int | str]
    down: bool = False


COLUMNS: dict[str, Column] = {
    "method": Column("method", lambda record: record.method),
    "host": Column("host", lambda record: record.host),
    "path": Column("path", lambda record: path_of(record)[:200]),
    "status": Column("status", lambda record: record.status_code, down=True),
    "took": Column("took", lambda record: record.duration_ms, down=True),
    "bytes": Column("bytes", lambda record: record.bytes_in + record.bytes_out, down=True),
    "grant": Column("grant", lambda record: record.grant),
    "decision": Column("decision", lambda record: record.decision, down=True),
}


class Order(NamedTuple):
    column: str
    down: bool

    @property
    def label(self) -> str:
        return f"by {COLUMNS[self.column].title} {'↓' if self.down else '↑'}"


def next_order(order: Order | None, column: str) -> Order | None:
    """What the column's key does: first its usual direction, then the other, then by time again."""
    usual = COLUMNS[column].down
    if order is None or order.column != column:
        return Order(column, usual)
    return Order(column, not usual) if order.down == usual else None


class Sorter:
    """Keeps the newest SORTED_MOST lines that were added, and gives their order."""

    def __init__(self, order: Order) -> None:
        self._key = COLUMNS[order.column].key
        self._down = order.down
        self._pairs: list[tuple[int | str, int]] = []
        self.fresh = False

    @property
    def full(self) -> bool:
        """Older lines are not wanted any more."""
        return len(self._pairs) >= SORTED_MOST

    def add(self, record: RequestRecord, number: int) -> None:
        self._pairs.append((self._key(record), number))
        self.fresh = True

    def order(self, also: Sequence[tuple[int, RequestRecord]] = ()) -> array[int]:
        """Numbers, first to last; equal keys the newest last, as in the list by time.

        also: what changes while it is looked at, and is in this order only.
        """
        if len(self._pairs) > SORTED_MOST:
            oldest = sorted(number for _, number in self._pairs)[-SORTED_MOST]
            self._pairs = [pair for pair in self._pairs if pair[1] >= oldest]
        self._pairs.sort()
        self.fresh = False
        pairs = self._pairs
        if also:
            pairs = sorted([*pairs, *((self._key(record), number) for number, record in also)])
        return array("q", (number for _, number in (reversed(pairs) if self._down else pairs)))
