"""What stands over the entries of a log: what its verification says, or how far one is."""

from __future__ import annotations

from moat_tui.screen.models.audit_entry import progress_bar
from moat_tui.screen.models.audit_report import verdict_lines
from moat_tui.screen.models.chain_states import ChainState
from moat_tui.screen.models.pieces import PLAIN, Piece


def log_head(
    state: ChainState | None,
    *,
    problem: str,
    verifying: tuple[int, int, int] | None,
    name: str,
    elsewhere: tuple[int, int] | None,
    live: bool,
    width: int,
) -> list[list[Piece]]:
    """problem: why the log cannot be read, empty when it can.

    verifying: what this screen has been asked to verify (done, total, logs that are left after it), and
    `name` whose log that is. elsewhere: the same of a verification that nobody asked for.
    """
    lines: list[list[Piece]] = []
    if verifying is not None:
        done, total, left = verifying
        bar = progress_bar(done, total, max(10, min(30, width - 62)))
        more = f", {left} more" if left else ""
        lines.append([*bar, (f"   {name}{more} · Esc cancels", "dim")])
    if problem:
        lines.append([("✗ the log cannot be read: ", "bad"), (problem, PLAIN)])
    if state is None and elsewhere is not None and not lines:
        return [progress_bar(*elsewhere, 30)]
    if state is None:
        return lines or [[("· not verified yet", "dim"), ("   v verifies", "dim")]]
    if state.problem:
        return [*lines, [("✗ could not be verified ", "bad"), (state.problem, PLAIN)]]
    if state.verdict is None:
        return [*lines, [("- This run has no audit log.", "dim")]]
    return lines + verdict_lines(state.verdict, live=live, sealed_at=state.sealed_at, at=state.at)
