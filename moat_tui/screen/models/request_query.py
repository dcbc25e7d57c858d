"""What the reader of the requests has asked to see: filter, order, pause. Lives outside every widget."""

from __future__ import annotations

from moat_tui.screen.models.filter_language import Predicate, compile_filter
from moat_tui.screen.models.moments import count
from moat_tui.screen.models.request_order import SORTED_MOST, Order, next_order


class RequestQuery:
    """version: of the ask that the reading thread answers, as it gave it."""

    def __init__(self) -> None:
        self.text = ""
        self.wanted: Predicate | None = None
        self.order: Order | None = None
        self.paused = False
        self.hiding = True
        self.version = 0

    @property
    def hides(self) -> bool:
        return self.wanted is not None and self.hiding

    def filter(self, text: str) -> bool:
        """Look for `text` from now on; False when that changes nothing. Raises FilterError, and then
        what was looked for before stays."""
        wanted = compile_filter(text)
        changed = text.split() != self.text.split()
        self.text, self.wanted = text, wanted
        if wanted is None:
            self.hiding = True
        return changed

    def sort(self, column: str) -> None:
        self.order = next_order(self.order, column)

    def note(self, *, shown: int, found: int, total: int, made: int, done: bool, opened: int = 0) -> str:
        """How much is shown and why not all: found by the filter, known of the file, made by the run;
        and how many are open."""
        parts = []
        if self.wanted is not None:
            parts.append(f"{count(found)} of {count(total)}" + ("" if done else ", looking…"))
        elif total:
            parts.append(count(total) + ("" if done else ", reading…"))
        if opened:
            parts.append(f"{count(opened)} open")
        if self.wanted is not None and not self.hiding:
            parts.append("▸ matches")
        if self.order is not None:
            newest = f", newest {count(SORTED_MOST)}" if shown >= SORTED_MOST else ""
            parts.append(self.order.label + newest)
        if self.paused:
            held = f", {count(made - total)} more" if made > total else ""
            parts.append(f"paused{held} (p goes on)")
        return " · ".join(parts)
