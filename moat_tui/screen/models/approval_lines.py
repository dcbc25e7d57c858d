"""A waiting request in words: the host in full, as it is sent and as it reads."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from moat_tui.screen.models.moments import parse_time
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import Approval

_PATH = 400  # characters of a path; the end of a host is never left out, that of a path may be


def approval_lines(approval: Approval, run: str, now: datetime) -> list[list[Piece]]:
    """What a person has to know to answer, the path last. Nothing of the host is cut: a long one wraps."""
    path = visible(approval.path)
    cut = "" if len(path) <= _PATH else f"… ({len(path):,} characters)"
    scheme = "" if approval.tls else " over plain HTTP, not encrypted,"
    lines: list[list[Piece]] = [
        [
            (visible(run), PLAIN),
            (" wants to send ", "dim"),
            (visible(approval.method), "strong"),
            (scheme, "warn"),
            (" to", "dim"),
        ],
        [(place(approval), "strong")],
    ]
    if approval.reads_as:
        lines.append([("which reads as ", "warn"), (visible(approval.reads_as), "strong")])
        lines.append([("Foreign letters can look like others.", "warn")])
    alike = f"; {approval.requests} like this one wait" if approval.requests > 1 else ""
    lines.append([("It has waited ", "dim"), *waits(approval, now), (alike, "dim")])
    lines.append([("Path ", "dim"), (f"{path[:_PATH]}{cut}", PLAIN)])
    return lines


def place(approval: Approval) -> str:
    return visible(f"{approval.host}:{approval.port}")


def waits(approval: Approval, now: datetime) -> list[Piece]:
    """`12s, refused in 48s`."""
    since, until = parse_time(approval.since), parse_time(approval.until)
    if since is None or until is None:
        return [("-", PLAIN)]
    waited = max(0, int((now - since).total_seconds()))
    left = max(0, int((until - now).total_seconds()))
    return [(f"{waited}s", PLAIN), (f", refused in {left}s", "warn" if left <= 10 else "dim")]


def list_line(approval: Approval, run: str, *, chosen: bool) -> list[Piece]:
    """One of several: which host, for which run."""
    role = "strong" if chosen else PLAIN
    return [
        ("▸ " if chosen else "  ", "info"),
        (f"{visible(approval.method)} {place(approval)}", role),
        (f"  {visible(run)}", "dim"),
    ]
