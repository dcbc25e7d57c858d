"""Text with a meaning instead of a colour: (text, role). Widgets turn roles into the theme's styles.

A role never carries information alone: the text beside it has a glyph or a word.
"""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

type Piece = tuple[str, str]

ROLES = ("ok", "warn", "bad", "info", "dim", "strong")
PLAIN = ""


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` columns: padded, or cut with `…`."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"


def fit_right(text: str, width: int) -> str:
    """Like `fit`, padded on the left."""
    missing = width - cell_len(text)
    return " " * missing + text if missing > 0 else fit(text, width)


def shorten_path(path: str, home: str, width: int = 0) -> str:
    """`path` with the user's home as `~`; cut from the left when longer than `width` (0: never)."""
    if home and (path == home or path.startswith(home + "/")):
        path = "~" + path[len(home) :]
    if width and cell_len(path) > width:
        path = "…" + path[-(width - 1) :]
    return path
