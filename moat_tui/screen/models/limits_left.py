"""What a run has left of each grant that is narrowed, and which the service does not take any more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from moat_tui.screen.models.moments import parse_time, span
from moat_tui.screen.models.narrowing import narrow_fields
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import GrantUse, RunInfo


def left_of(run: RunInfo, uses: Mapping[str, GrantUse], now: datetime) -> dict[str, list[Piece]]:
    """Grant as it was given -> its scope and limits and what is left of them; plain grants are left out.

    uses: of this run, by the grant's provider.
    """
    found: dict[str, list[Piece]] = {}
    for text, provider in zip(run.grants, run.providers, strict=True):
        use = uses.get(provider)
        parts = _limits(text, run, use.uses if use else 0, now)
        if use is not None and use.refused_at:
            parts.append(("✗ refused by the service", "bad"))
        parts.sort(key=_whole)
        name = text.partition(";")[0]
        if parts or name != provider:
            found[text] = [(visible(name), "strong"), *((f" {part}", role) for part, role in _commas(parts))]
    return found


def left_line(run: RunInfo, uses: Mapping[str, GrantUse], now: datetime) -> list[Piece]:
    """All of them on one line, what is over first; empty when every grant is whole."""
    line: list[Piece] = []
    grants = left_of(run, uses, now).values()
    for pieces in sorted(grants, key=lambda pieces: min(map(_whole, pieces))):
        line += [("  ·  ", "dim"), *pieces] if line else pieces
    return line


def _limits(text: str, run: RunInfo, used: int, now: datetime) -> list[Piece]:
    from engine import MoatError

    try:
        fields = narrow_fields(text)
    except MoatError:  # of another version: what it says is shown as it is
        return [(visible(text.partition(";")[2]), PLAIN)] if ";" in text else []
    parts: list[Piece] = [
        (visible(fields[name].replace(" ", "|")), PLAIN) for name in ("methods", "paths") if fields[name]
    ]
    if most := int(fields["max_requests"] or 0):
        told = f"{min(used, most):,} of {most:,} requests"
        parts.append((f"✗ {told}: used up", "bad") if used >= most else (told, PLAIN))
    if fields["expires_in"]:
        parts.append(_time_left(fields["expires_in"], run, now))
    return parts


def _time_left(text: str, run: RunInfo, now: datetime) -> Piece:
    """The proxy counts from when it started, shortly before the agent did."""
    began = parse_time(run.started_at or run.created_at)
    if run.state.ended or began is None:
        return f"for {visible(text)}", PLAIN
    left = _SECONDS[text[-1]] * int(text[:-1]) - int((now - began).total_seconds())
    return (f"expires in {span(left)}", PLAIN) if left > 0 else ("✗ expired", "bad")


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _whole(piece: Piece) -> bool:
    return piece[1] != "bad"


def _commas(parts: list[Piece]) -> list[Piece]:
    return [(part + ("," if place < len(parts) else ""), role) for place, (part, role) in enumerate(parts, 1)]
