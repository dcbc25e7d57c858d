"""What the doctor found on this machine, as lines of pieces."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from moat_tui.screen.models.moments import plural
from moat_tui.screen.models.pieces import PLAIN, Piece, fit
from moat_tui.screen.models.visible import visible, visible_lines

if TYPE_CHECKING:
    from engine import CheckResult

STATES: dict[str, Piece] = {"ok": ("✓ ok  ", "ok"), "warn": ("! warn", "warn"), "fail": ("✗ FAIL", "bad")}


def check_lines(results: Sequence[CheckResult], width: int = 0) -> list[list[Piece]]:
    """A line for each check, and the remedy below each that needs one.

    width: of a line, in cells; a longer message goes on below itself. 0: never.
    """
    named = max((cell_len(visible(result.title)) for result in results), default=0)
    lines: list[list[Piece]] = []
    for result in results:
        mark = STATES[result.state.value]
        title = (fit(visible(result.title), named), "strong")
        begin = cell_len(mark[0]) + named + 4
        message = visible(result.message)
        folded = (textwrap.wrap(message, max(20, width - begin)) if width else []) or [message]
        lines.append([mark, ("  ", PLAIN), title, ("  ", PLAIN), (folded[0], PLAIN)])
        lines += [[(" " * begin, PLAIN), (text, PLAIN)] for text in folded[1:]]
        if result.state.value != "ok" and result.remedy:
            how = "F does this: " if result.fixable else "Remedy: "
            for place, text in enumerate(visible_lines(result.remedy)):
                lines.append([("        ", PLAIN), (how if place == 0 else "", "info"), (text, PLAIN)])
    return lines


def summary(results: Sequence[CheckResult]) -> list[Piece]:
    """One line above the checks."""
    failed = [result for result in results if result.state.value == "fail" and result.needed]
    other = [result for result in results if result.state.value != "ok" and result not in failed]
    if failed:
        return [("✗ not ready: ", "bad"), (", ".join(visible(result.title) for result in failed), PLAIN)]
    if other:
        return [("✓ ready", "ok"), (f"   {plural(len(other), 'thing')} to look at", "warn")]
    return [("✓ ready", "ok"), ("   all is well", "dim")]


def head_note(results: Sequence[CheckResult]) -> str:
    """For the head of the main screen; empty when all is well."""
    wrong = sum(result.state.value != "ok" for result in results)
    return f"! doctor: {plural(wrong, 'check')} to look at (D)" if wrong else ""


def can_fix(results: Sequence[CheckResult]) -> bool:
    return any(result.fixable and result.state.value != "ok" for result in results)
