"""The first start: what there is to do when there is nothing to see yet."""

from __future__ import annotations

from moat_tui.screen.models.pieces import PLAIN, Piece


def welcome_lines(*, read_only: bool = False) -> list[list[Piece]]:
    """Lines of (text, role)."""
    lines: list[list[Piece]] = [
        [("Welcome to Moat", "strong")],
        [("Agents run in containers and use credentials that they never hold.", "dim")],
        [],
    ]
    if read_only:
        return [*lines, [("No runs yet and no grants. ", PLAIN), ("This screen is read-only.", "warn")]]
    return [
        *lines,
        [("No runs yet — two steps to the first:", PLAIN)],
        [],
        _step(1, "a", "add a grant", "a token, stored encrypted"),
        _step(2, "s", "start a run", "an agent in a directory  "),
        [],
        [("A run needs no grant: ", "dim"), ("s", "strong"), (" works at once.  ", "dim")],
        [("?", "strong"), (" the keys   ", "dim"), ("ctrl+p", "strong"), (" every action   ", "dim"),
         ("q", "strong"), (" quit", "dim")],
    ]  # fmt: skip


def _step(number: int, key: str, what: str, about: str) -> list[Piece]:
    return [(f" {number}  ", "info"), (key, "strong"), (f"  {what}   ", PLAIN), (about, "dim")]


def terminal_title(live: int, waiting: int = 0) -> str:
    """Numbers only: the name of a run may be its agent's choice, and a title takes escapes."""
    parts = ["Moat"]
    if live:
        parts.append(f"{live} live")
    if waiting:
        parts.append(f"{waiting} waiting")
    return " · ".join(parts)
