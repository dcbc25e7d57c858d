"""The help for where somebody is: what this place is, and what each key does here."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len

from moat_tui.screen.models.pieces import PLAIN, Piece, fit, fit_right


class KeyHelp(NamedTuple):
    """keys: as they stand on the keyboard, `x` or `↑ k`. possible: whether it can be done now."""

    keys: str
    name: str
    about: str
    possible: bool = True


class PlaceHelp(NamedTuple):
    """text: a `# Heading` and paragraphs in which `backticks` stand around keys; may be empty."""

    title: str
    text: str
    keys: Sequence[KeyHelp]


def help_lines(places: Sequence[PlaceHelp], width: int) -> list[list[Piece]]:
    """Lines of (text, role): the places in their order, each with its keys in columns.

    width: of a line, in cells; what a key does is folded below itself.
    """
    wide = max((cell_len(key.keys) for place in places for key in place.keys), default=0)
    lines: list[list[Piece]] = []
    for place in places:
        if lines:
            lines.append([])
        lines.append([(place.title, "info")])
        lines += _prose(place.text)
        named = max((cell_len(key.name) for key in place.keys), default=0)
        for key in place.keys:
            lines += _key_lines(key, wide, named, width)
    return lines


def _key_lines(key: KeyHelp, wide: int, named: int, width: int) -> list[list[Piece]]:
    about = key.about if key.possible else f"{key.about} (not now)".strip()
    keys = (fit_right(key.keys, wide), "strong" if key.possible else "dim")
    name = (fit(key.name, named), PLAIN if key.possible else "dim")
    begin = wide + named + 4
    folded = textwrap.wrap(about, max(16, width - begin)) or [""]
    rest: list[list[Piece]] = [[(" " * begin, PLAIN), (text, "dim")] for text in folded[1:]]
    return [[keys, ("  ", PLAIN), name, ("  ", PLAIN), (folded[0], "dim")], *rest]


def heading(text: str) -> str:
    """The first `# Heading` of a help text, empty without one."""
    return next((line[2:].strip() for line in text.splitlines() if line.startswith("# ")), "")


def _prose(text: str) -> list[list[Piece]]:
    """Each paragraph as one line, which whoever shows it folds; with what is in backticks set off."""
    lines: list[list[Piece]] = []
    for paragraph in text.strip().split("\n\n"):
        words = " ".join(line for line in paragraph.splitlines() if not line.startswith("# "))
        if words:
            parts = words.replace("*", "").split("`")
            lines.append([(part, "strong" if place % 2 else PLAIN) for place, part in enumerate(parts)])
    return [*lines, []] if lines else []
