"""What is asked of the requests, and the message with what one look at their files found."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.message import Message

from moat_tui.screen.models.filter_language import Predicate
from moat_tui.screen.models.line_blocks import Block
from moat_tui.screen.models.request_file import Source
from moat_tui.screen.models.request_order import Order
from moat_tui.screen.models.timeline import Span

if TYPE_CHECKING:
    from moat_tui.screen.models.shown_request import ShownRequest


@dataclass
class Ask:
    """What is looked for: `wanted` None for everything, `order` None for time. version: counts asks."""

    version: int = 0
    wanted: Predicate | None = None
    order: Order | None = None

    @property
    def reads(self) -> bool:
        return self.wanted is not None or self.order is not None


@dataclass
class RequestsRead(Message):
    """What one look found. Call `taken` when it has been applied.

    run_id: whose requests these are; empty for those of all runs.
    reset: forget the lines known so far. sources: files that were added, with `reset` all of them; blocks
    and spans name them by their place. version: of the Ask that `found_…` and `order` answer.
    older…: from newest to oldest, as `found_older` is. looked: lines that the ask has seen so far.
    opened: all open requests with their numbers, None when nothing has changed; closed: those that are
    over, with the numbers of their lines.
    """

    run_id: str
    version: int
    taken: Callable[[], None]
    reset: bool = False
    sources: list[Source] = field(default_factory=list)
    newer: list[tuple[int, Block]] = field(default_factory=list)
    older: list[tuple[int, Block]] = field(default_factory=list)
    newer_spans: list[Span] = field(default_factory=list)
    older_spans: list[Span] = field(default_factory=list)
    found_newer: list[int] = field(default_factory=list)
    found_older: list[int] = field(default_factory=list)
    opened: list[tuple[int, ShownRequest]] | None = None
    found_open: frozenset[int] = frozenset()
    closed: list[tuple[int, int]] = field(default_factory=list)
    order: array[int] | None = None
    looked: int = 0
    done: bool = True

    @property
    def empty(self) -> bool:
        return not (
            self.reset
            or self.sources
            or self.newer
            or self.older_spans
            or self.found_newer
            or self.found_older
            or self.closed
            or self.order
            or self.opened is not None
        )
