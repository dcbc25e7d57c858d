"""What the installation's own log says beside the chains of the runs that are there: rows and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat_tui.screen.models.moments import count
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import InstallationAudit

HEADS = "heads/"  # the key and name of the row for the log itself

type Row = tuple[str, tuple[Piece, ...]]


def installation_rows(found: InstallationAudit | None, problem: str) -> list[Row]:
    """One for the log itself when it does not hold, and one for each run that is missing."""
    rows: list[Row] = []
    if problem or (found is not None and found.fault):
        sign = "✗ unreadable" if problem else "✗ TAMPERED"
        rows.append((HEADS, ((HEADS, PLAIN), (sign, "bad"), ("", ""), ("", "dim"))))
    for run in found.runs if found is not None else ():
        entries = count(run.entries) if run.entries else ""
        rows.append((run.run, ((visible(run.run), PLAIN), ("✗ MISSING", "bad"), (entries, ""), ("", "dim"))))
    return rows


def installation_report(found: InstallationAudit | None, problem: str, key: str) -> list[list[Piece]]:
    """All that is known of the row `key`; empty for a run that is there."""
    if key == HEADS:
        why = problem or (found.fault if found is not None else "")
        return [
            [("The installation's log does not hold.", "bad")],
            [(visible(why), PLAIN)],
            [("", PLAIN)],
            [("It says which runs there were and how far their logs had got.", "dim")],
        ]
    for run in found.runs if found is not None else ():
        if run.run == key:
            return [
                [("This run is missing.", "bad")],
                [(visible(run.why), PLAIN)],
                [("", PLAIN)],
                [("Bring its directory back from a copy; moat audit then says whether it is whole.", "dim")],
            ]
    return []
