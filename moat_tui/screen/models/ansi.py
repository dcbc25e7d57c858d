"""Agent output as segments: colours are kept, everything else a terminal would obey is made visible.

Only SGR (`ESC [ … m`) is honoured. Cursor movement, titles, hyperlinks (OSC 8), the clipboard (OSC 52),
DCS, single C0 and C1 controls and bidi overrides are shown as symbols, never passed on. The one escape
that is dropped is "erase to end of line" (`ESC [ K`), which compilers and grep print after every colour
and which does nothing where a line is shown by itself. Each line starts with no style, and "conceal" is
ignored: hidden text is shown.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rich.color import Color
from rich.style import Style

from moat_tui.screen.models.visible import visible

_ESCAPE = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\[0?K")
_NUL_STYLE = Style.null()

# SGR parameter -> the attribute it turns on or off (ECMA-48 §8.3.117).
_SWITCHES: dict[int, tuple[tuple[str, bool], ...]] = {
    1: (("bold", True),),
    2: (("dim", True),),
    3: (("italic", True),),
    4: (("underline", True),),
    7: (("reverse", True),),
    9: (("strike", True),),
    21: (("underline", True),),
    22: (("bold", False), ("dim", False)),
    23: (("italic", False),),
    24: (("underline", False),),
    27: (("reverse", False),),
    29: (("strike", False),),
}

# 58 is the underline's colour: read over, because nothing here draws it.
_EXTENDED = {38: "color", 48: "bgcolor", 58: ""}


def parse_line(line: str, tab: int = 8) -> list[tuple[str, Style]]:
    """The line as (text, style) pieces; joined, the texts are what `plain_line` returns.

    One trailing carriage return is dropped (agents that write CRLF); tabs are widened to `tab` columns.
    """
    if line.endswith("\r"):
        line = line[:-1]
    if "\x1b" not in line:
        text = visible(line.expandtabs(tab) if "\t" in line else line)
        return [(text, _NUL_STYLE)] if text else []
    pieces: list[tuple[str, Style]] = []
    state: dict[str, object] = {}
    style = _NUL_STYLE
    column = 0
    start = 0
    for match in _ESCAPE.finditer(line):
        column = _add(pieces, line[start : match.start()], style, column, tab)
        start = match.end()
        if match.group(1) is not None:
            _apply(state, match.group(1))
            style = _style(tuple(sorted(state.items()))) if state else _NUL_STYLE
    _add(pieces, line[start:], style, column, tab)
    return pieces


def plain_line(line: str, tab: int = 8) -> str:
    """What `parse_line` shows, without the styles: the text that a search looks at."""
    return "".join(text for text, _ in parse_line(line, tab))


def _add(pieces: list[tuple[str, Style]], text: str, style: Style, column: int, tab: int) -> int:
    """Append `text`, its tabs widened as if it began at `column`; returns the column after it."""
    if not text:
        return column
    if "\t" in text:
        text = (" " * column + text).expandtabs(tab)[column:]
    text = visible(text)
    pieces.append((text, style))
    return column + len(text)


def _apply(state: dict[str, object], parameters: str) -> None:
    """Change the style state by one SGR sequence. Unknown parameters are ignored, as terminals do."""
    codes = parameters.split(";")
    index = 0
    while index < len(codes):
        part = codes[index]
        index += 1
        if ":" in part:
            _apply_colon(state, part)
            continue
        code = int(part[:6] or "0")
        if code == 0:
            state.clear()
        elif code in _EXTENDED:
            index = _extended(state, _EXTENDED[code], codes, index)
        else:
            _apply_simple(state, code)


def _apply_simple(state: dict[str, object], code: int) -> None:
    for name, on in _SWITCHES.get(code, ()):
        if on:
            state[name] = True
        else:
            state.pop(name, None)
    if 30 <= code <= 37 or 90 <= code <= 97:
        state["color"] = code - 30 if code < 40 else code - 90 + 8
    elif 40 <= code <= 47 or 100 <= code <= 107:
        state["bgcolor"] = code - 40 if code < 50 else code - 100 + 8
    elif code == 39:
        state.pop("color", None)
    elif code == 49:
        state.pop("bgcolor", None)


def _extended(state: dict[str, object], name: str, codes: list[str], index: int) -> int:
    """`38;5;N` and `38;2;R;G;B`; returns the index after what was used.

    Of an unknown kind nobody knows how long it is: the rest of the sequence is ignored with it.
    """
    kind = codes[index] if index < len(codes) else ""
    wanted = {"5": 1, "2": 3}.get(kind, 0)
    if not wanted:
        return len(codes)
    values = [int(code[:6]) for code in codes[index + 1 : index + 1 + wanted] if code.isdigit()]
    if name and len(values) == wanted and all(value <= 255 for value in values):
        state[name] = values[0] if wanted == 1 else tuple(values)
    return index + 1 + wanted


def _apply_colon(state: dict[str, object], part: str) -> None:
    """`38:5:N`, `38:2:R:G:B`, `38:2::R:G:B`, and `4:0` … `4:5` (ISO 8613-6 spelling)."""
    fields = part.split(":")
    if fields[0] == "4":
        _apply_simple(state, 24 if fields[1] == "0" else 4)
    elif fields[0] in ("38", "48", "58") and len(fields) > 2:
        values = fields[2:] if fields[1] == "5" else [field for field in fields[2:] if field][-3:]
        _extended(state, _EXTENDED[int(fields[0])], [fields[1], *values], 0)


@lru_cache(maxsize=512)
def _style(state: tuple[tuple[str, object], ...]) -> Style:
    given = dict(state)
    return Style(
        color=_color(given.get("color")),
        bgcolor=_color(given.get("bgcolor")),
        bold=True if "bold" in given else None,
        dim=True if "dim" in given else None,
        italic=True if "italic" in given else None,
        underline=True if "underline" in given else None,
        reverse=True if "reverse" in given else None,
        strike=True if "strike" in given else None,
    )


def _color(value: object) -> Color | None:
    if isinstance(value, int):
        return Color.from_ansi(value)
    if isinstance(value, tuple):
        return Color.from_rgb(*value)
    return None
