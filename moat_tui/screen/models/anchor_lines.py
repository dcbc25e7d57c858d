"""Where the installation's log is anchored outside the machine, in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from moat_tui.screen.models.moments import clock_time, count, plural
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import AnchorState


def anchor_pieces(states: Sequence[AnchorState] | None, problem: str = "") -> list[Piece]:
    """The places of config.yaml, the one with another history first. states: None until they were read."""
    label: Piece = ("Anchors    ", "dim")
    if problem:
        return [label, ("✗ ", "bad"), (visible(problem), PLAIN)]
    if states is None:
        return [label, ("…", "dim")]
    if not states:
        return [label, ("none set up", "dim")]
    for state in states:
        if state.anchored.conflict:
            place = f"{state.anchored.kind} {visible(state.anchored.place)}"
            return [label, ("✗ another history at ", "bad"), (place, "bad")]
    held = [state for state in states if not state.due]
    newest = max((state.anchored.at for state in states), default="")
    when = f", {clock_time(newest)}" if newest else ""
    words = f"at {count(len(held))} of {plural(len(states), 'place')}{when} "
    return [label, (words, PLAIN), ("✓", "ok") if len(held) == len(states) else ("◌ waiting", "warn")]
