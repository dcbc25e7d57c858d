"""Everything known about one request, as lines of pieces: what the detail window shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat_tui.screen.models.moments import date_time, duration, size
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.pretty import pretty_body
from moat_tui.screen.models.request_line import decision_piece, place, status_piece
from moat_tui.screen.models.request_state import is_open, run_of
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import RequestRecord
    from moat_tui.screen.models.audit_match import Match

BAR = 16  # columns of the timing bar
BODY_LINES = 400  # a preview is at most 8 KiB, which can still be 8,000 empty lines


def request_report(record: RequestRecord, audit: list[Piece] | None = None) -> list[list[Piece]]:
    """Lines, each a list of (text, role). Headers and bodies are as redacted by the proxy.

    audit: what is known of the request's entries in the audit log; None while they are looked for.
    """
    host, path = place(record)
    lines: list[list[Piece]] = [
        [(f"{visible(record.method)} ", "strong"), (host, "info"), (path, PLAIN)],
        [],
        _field("Decision", decision_piece(record)),
    ]
    if run_of(record):
        lines.append(_field("Run", (visible(run_of(record)), PLAIN)))
    if record.rule:
        lines.append(_field("Rule", (visible(record.rule), PLAIN)))
    lines.append(_field("Grant", (visible(record.grant) or "none: no credential was attached", PLAIN)))
    lines.append(_field("Status", status_piece(record)))
    if record.error:
        lines.append(_field("Error", (visible(record.error), "bad")))
    lines += [
        _field("Time", (date_time(record.ts), PLAIN)),
        [("Took      ", "dim"), *timing_bar(record)],
        _field("Size", (f"{size(record.bytes_out)} sent, {size(record.bytes_in)} received", PLAIN)),
        _field("URL", (visible(record.url), PLAIN)),
        _field("Id", (visible(record.id), "dim")),
    ]
    waiting = "when it is over" if is_open(record) else "looking…"
    lines.append([("Audit     ", "dim"), *(audit or [(waiting, "dim")])])
    lines += _headers("Request headers", record.request_headers)
    lines += _body("Request body", record.request_body, record.request_headers)
    lines += _headers("Response headers", record.response_headers)
    lines += _body("Response body", record.response_body, record.response_headers)
    return lines


def _field(name: str, piece: Piece) -> list[Piece]:
    return [(f"{name:<9} ", "dim"), piece]


def _headers(title: str, headers: dict[str, str]) -> list[list[Piece]]:
    lines: list[list[Piece]] = [[], [(title, "strong")]]
    for name, value in headers.items():
        role = "warn" if value == "[REDACTED]" else PLAIN
        lines.append([(f"  {visible(name)}: ", "info"), (visible(value), role)])
    if not headers:
        lines.append([("  none", "dim")])
    return lines


def timing_bar(record: RequestRecord) -> list[Piece]:
    """How long it waited for the first byte, and how long the rest took, side by side and in words."""
    total, first = record.duration_ms, min(record.ttfb_ms, record.duration_ms)
    if not total or not first:
        return [(duration(total), PLAIN)]
    waited = max(1, min(BAR - 1, round(BAR * first / total))) if first < total else BAR
    words = f" {duration(total)}, first byte after {duration(first)}"
    return [("█" * waited, "warn"), ("▒" * (BAR - waited), "info"), (words, PLAIN)]


def audit_pieces(found: list[Match]) -> list[Piece]:
    """What was found in the audit log; `a` in the window goes to the last of them."""
    if not found:
        return [("no entry found", "dim")]
    text = ", ".join(f"#{match.seq:,} {match.type}" for match in found)
    return [(text, PLAIN), ("   a shows it", "dim")]


def _body(title: str, body: str, headers: dict[str, str]) -> list[list[Piece]]:
    if not body:
        return []
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    shown = pretty_body(body, kind)
    lines: list[list[Piece]] = [[], [(title, "strong"), (f" {shown.kind}, at most the first 8 KiB", "dim")]]
    lines += [[("  ", PLAIN), *line] for line in shown.lines[:BODY_LINES]]
    if len(shown.lines) > BODY_LINES:
        lines.append([(f"  … {len(shown.lines) - BODY_LINES:,} more lines", "dim")])
    return lines
