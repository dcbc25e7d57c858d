"""The state of a run's audit chain, as lines of pieces."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from moat_tui.screen.models.moments import clock_time, count, plural
from moat_tui.screen.models.pieces import PLAIN, Piece, fit
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import Entry, Verdict


LOG: Piece = ("Log        ", "dim")


def progress_lines(done: int, total: int) -> list[list[Piece]]:
    """While a chain is being verified. total: 0 when it is not known yet."""
    of = f"{count(done)} of {count(total)} entries" if total else "…"
    return [[("◌ verifying ", "info"), (of, PLAIN)]]


def verdict_lines(
    verdict: Verdict, *, live: bool, sealed_at: str = "", at: datetime | None = None
) -> list[list[Piece]]:
    """What a finished verification says, first broken entry included. live: the run still writes.

    sealed_at: the time of the last entry that a checkpoint covers. at: when it was verified.
    """
    lines = _lines(verdict, live=live, sealed_at=sealed_at)
    if at is not None:
        log = next(line for line in lines if line[0] == LOG)
        log.append((f"  at {at.astimezone():%H:%M:%S}", "dim"))
    return lines


def _lines(verdict: Verdict, *, live: bool, sealed_at: str) -> list[list[Piece]]:
    entries = "1 entry" if verdict.entry_count == 1 else f"{count(verdict.entry_count)} entries"
    if not verdict.valid:
        lines: list[list[Piece]] = [[(f"✗ {verdict.verdict}", "bad"), (f"  {visible(verdict.error)}", "bad")]]
        if verdict.broken_at:
            lines.append([("First broken entry ", "dim"), (f"#{verdict.broken_at}", "strong")])
        if verdict.expected or verdict.found:
            lines.append([("  expected ", "dim"), (visible(verdict.expected) or "nothing", PLAIN)])
            lines.append([("  found    ", "dim"), (visible(verdict.found) or "nothing", PLAIN)])
        lines.append([LOG, (entries, PLAIN)])
    elif verdict.doubt:
        lines = [
            [("? UNANCHORED", "warn"), (f"  {visible(verdict.doubt)}", "warn")],
            [LOG, (f"{entries}, chain ", PLAIN), _mark(verdict.hash_chain_valid)],
        ]
    else:
        state = "so far, the run is still writing" if live else "closed" if verdict.closed else "not closed"
        lines = [
            [("✓ INTACT", "ok"), (f"  {state}", PLAIN if live or verdict.closed else "warn")],
            [LOG, (f"{entries}, chain ", PLAIN), _mark(verdict.hash_chain_valid)],
        ]
    if verdict.tree_valid is not None:
        lines.append(_tree(verdict, sealed_at))
    signed = plural(verdict.attestation_count, "signature")
    if verdict.attestation_count:
        lines.append([("Signatures ", "dim"), (f"{signed} ", PLAIN), _mark(verdict.attestations_valid)])
    else:
        lines.append([("Signatures ", "dim"), ("none yet" if live else "none", "dim")])
    if verdict.last_hash and verdict.tree_valid is None:
        lines.append([("Last hash  ", "dim"), (visible(verdict.last_hash)[:32] + "…", "dim")])
    return lines


def _tree(verdict: Verdict, sealed_at: str) -> list[Piece]:
    """How many checkpoints there are, and how far the last one reaches."""
    words = plural(verdict.checkpoint_count, "checkpoint")
    if verdict.sealed_to:
        words += f" to #{count(verdict.sealed_to)}"
        words += f", {clock_time(sealed_at)}" if sealed_at else ""
    return [("Tree       ", "dim"), (f"{words} ", PLAIN), _mark(bool(verdict.tree_valid))]


def _mark(good: bool) -> Piece:
    return ("✓ valid", "ok") if good else ("✗ not valid", "bad")


def entry_pieces(entry: Entry) -> list[Piece]:
    """One audit entry as one line: number, time, type, and its data in a few words."""
    refused = entry.type == "policy" and str(entry.data.get("decision", "")).startswith("den")
    words = [f"{name}={value}" for name, value in entry.data.items() if value not in ("", None)]
    text = str(entry.data["line"]) if entry.type == "console" and "line" in entry.data else "  ".join(words)
    return [
        (f"{entry.seq:>6} ", "dim"),
        (clock_time(entry.ts) + " ", "dim"),
        (fit(visible(entry.type), 10) + " ", "bad" if refused else "info"),
        (visible(text), PLAIN),
    ]
