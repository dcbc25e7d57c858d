"""A recorded body as lines that can be read, by its type. It is only laid out, never run or rendered.

A body is at most 8 KiB and may be cut anywhere: what cannot be read as its type is shown as it is.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple
from urllib.parse import unquote_plus

from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.visible import visible, visible_lines

_JSON_PART = re.compile(
    r'("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)'
)
_MARKUP = re.compile(r"<!--.*?-->|<[^<>]*>|[^<]+|<", re.DOTALL)
# HTML's elements that nothing closes.
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_DEEPEST = 20  # levels of indentation; deeper ones stay there, so that nesting cannot push text away


class Pretty(NamedTuple):
    """kind: a word for the title."""

    kind: str
    lines: list[list[Piece]]


def pretty_body(body: str, content_type: str) -> Pretty:
    kind = content_type.partition(";")[0].strip().lower()
    start = body.lstrip()[:1]
    if kind.endswith(("json", "javascript")) or (not kind and start in ("{", "[")):
        return _json(body)
    if kind == "application/x-www-form-urlencoded":
        return Pretty("form", [_form_line(part) for part in body.split("&")])
    if kind == "text/event-stream":
        return Pretty("event stream", [_event_line(line) for line in visible_lines(body)])
    if kind.endswith(("xml", "html")) or (not kind and start == "<"):
        return Pretty("HTML" if kind.endswith("html") else "XML", _markup(body))
    return Pretty(visible(kind) or "text", [[(line, PLAIN)] for line in visible_lines(body)])


def _json(body: str) -> Pretty:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
        kind = "JSON"
    except (ValueError, RecursionError):
        text, kind = body, "JSON, cut or malformed"
    return Pretty(kind, [_json_line(line) for line in visible_lines(text)])


def _json_line(line: str) -> list[Piece]:
    pieces: list[Piece] = []
    at = 0
    for match in _JSON_PART.finditer(line):
        if match.start() > at:
            pieces.append((line[at : match.start()], PLAIN))
        role = "info" if match[2] else "ok" if match[1] else "warn"
        pieces.append((match.group(), role))
        at = match.end()
    if at < len(line) or not pieces:
        pieces.append((line[at:], PLAIN))
    return pieces


def _form_line(part: str) -> list[Piece]:
    name, _, value = part.partition("=")
    return [(visible(unquote_plus(name)), "info"), (" = ", "dim"), (visible(unquote_plus(value)), PLAIN)]


def _event_line(line: str) -> list[Piece]:
    name, colon, value = line.partition(":")
    if not colon:
        return [(line, PLAIN)]
    value = value.removeprefix(" ")
    shown = _json_line(value) if value[:1] in ("{", "[") else [(value, PLAIN)]
    return [(f"{name}: ", "info" if name else "dim"), *shown]


def _markup(body: str) -> list[list[Piece]]:
    lines: list[list[Piece]] = []
    depth = 0
    for part in _MARKUP.findall(body):
        text = part.strip()
        if not text:
            continue
        tag = text.startswith("<")
        if text.startswith("</"):
            depth = max(0, depth - 1)
        indent = "  " * min(depth, _DEEPEST)
        lines += [[(indent + line.strip(), "info" if tag else PLAIN)] for line in visible_lines(text)]
        if tag and _opens(text):
            depth += 1
    return lines


def _opens(tag: str) -> bool:
    name = re.match(r"<([A-Za-z][^\s/>]*)", tag)
    return name is not None and not tag.endswith("/>") and name[1].lower() not in _VOID
