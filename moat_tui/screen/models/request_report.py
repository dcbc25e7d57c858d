"""Everything known about one request, as lines of pieces: what the detail window shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat_tui.screen.models.moments import date_time, duration, size
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.request_line import decision_piece, place, status_piece
from moat_tui.screen.models.visible import visible, visible_lines

if TYPE_CHECKING:
    from engine import RequestRecord

BODY_LINES = 400  # a preview is at most 8 KiB, which can still be 8,000 empty lines


def request_report(record: RequestRecord) -> list[list[Piece]]:
    """Lines, each a list of (text, role). Headers and bodies are as redacted by the proxy."""
    host, path = place(record)
    lines: list[list[Piece]] = [
        [(f"{visible(record.method)} ", "strong"), (host, "info"), (path, PLAIN)],
        [],
        _field("Decision", decision_piece(record)),
    ]
    if record.rule:
        lines.append(_field("Rule", (visible(record.rule), PLAIN)))
    lines.append(_field("Grant", (visible(record.grant) or "none: no credential was attached", PLAIN)))
    lines.append(_field("Status", status_piece(record)))
    if record.error:
        lines.append(_field("Error", (visible(record.error), "bad")))
    first = f", first byte after {duration(record.ttfb_ms)}" if record.ttfb_ms else ""
    lines += [
        _field("Time", (date_time(record.ts), PLAIN)),
        _field("Took", (duration(record.duration_ms) + first, PLAIN)),
        _field("Size", (f"{size(record.bytes_out)} sent, {size(record.bytes_in)} received", PLAIN)),
        _field("URL", (visible(record.url), PLAIN)),
        _field("Id", (visible(record.id), "dim")),
    ]
    lines += _headers("Request headers", record.request_headers)
    lines += _body("Request body", record.request_body)
    lines += _headers("Response headers", record.response_headers)
    lines += _body("Response body", record.response_body)
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


def _body(title: str, body: str) -> list[list[Piece]]:
    if not body:
        return []
    shown = visible_lines(body)
    lines: list[list[Piece]] = [[], [(title, "strong"), (" (at most the first 8 KiB)", "dim")]]
    lines += [[("  " + line, PLAIN)] for line in shown[:BODY_LINES]]
    if len(shown) > BODY_LINES:
        lines.append([(f"  … {len(shown) - BODY_LINES:,} more lines", "dim")])
    return lines
