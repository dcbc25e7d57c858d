"""One audit entry in full, the mark where a chain breaks, the filter by type, and progress as a bar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from moat_tui.screen.models.moments import count, date_time
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.visible import visible, visible_lines

if TYPE_CHECKING:
    from engine import Entry
    from moat_tui.screen.models.audit_pages import Broken

ORDER = ("container", "credential", "network", "policy", "console", "secret", "ssh", "exec")
TYPES_SHOWN = 9  # one for each digit; a log that was tampered with can hold any number
DATA_SHOWN = 20_000  # characters


def entry_report(entry: Entry, broken: Broken | None) -> list[list[Piece]]:
    """Everything an entry holds. broken: when this is where its chain breaks."""
    lines: list[list[Piece]] = []
    if broken is not None and broken.seq == entry.seq:
        lines += [[("✗ The chain breaks here: ", "bad"), (visible(broken.error), "bad")], *difference(broken)]
        lines.append([])
    lines += [
        [("Number    ", "dim"), (f"#{entry.seq}", "strong")],
        [("Time      ", "dim"), (date_time(entry.ts), PLAIN), (f"  {visible(entry.ts)}", "dim")],
        [("Type      ", "dim"), (visible(entry.type), "info")],
        [],
    ]
    text = json.dumps(entry.data, indent=2, ensure_ascii=False)
    for line in visible_lines(text[:DATA_SHOWN]):
        lines.append([(line, PLAIN)])
    if len(text) > DATA_SHOWN:
        lines.append([(f"… {count(len(text) - DATA_SHOWN)} more characters", "dim")])
    lines += [
        [],
        [("Previous  ", "dim"), (visible(entry.prev) or "none: the first entry", "dim")],
        [("Hash      ", "dim"), (visible(entry.hash), PLAIN)],
    ]
    return lines


def difference(broken: Broken) -> list[list[Piece]]:
    """What was expected and what was found, where the verification names them."""
    if not broken.expected and not broken.found:
        return []
    return [
        [("  expected ", "dim"), (visible(broken.expected) or "nothing", PLAIN)],
        [("  found    ", "dim"), (visible(broken.found) or "nothing", PLAIN)],
    ]


def mark_pieces(broken: Broken) -> list[Piece]:
    """The break as one line of the list."""
    pieces: list[Piece] = [("✗ broken ", "bad"), (f"at #{broken.seq} ", "bad")]
    if broken.expected or broken.found:
        expected, found = (_short(text) for text in (broken.expected, broken.found))
        pieces += [("expected ", "dim"), (expected, PLAIN), ("  found ", "dim"), (found, PLAIN)]
        return pieces
    return [*pieces, (visible(broken.error), "bad")]


def _short(text: str) -> str:
    shown = visible(text) or "nothing"
    return shown if len(shown) <= 18 else shown[:16] + "…"


def type_choices(counts: Mapping[str, int]) -> list[str]:
    """The types that can be chosen, the known ones first and always in the same order."""
    known = [name for name in ORDER if counts.get(name)]
    other = sorted((name for name in counts if name not in ORDER), key=lambda name: (-counts[name], name))
    return (known + other)[:TYPES_SHOWN]


def type_tabs(counts: Mapping[str, int], chosen: str) -> list[tuple[str, list[Piece]]]:
    """(type, pieces) for each choice, "" for all of them; the digit that chooses it stands before it."""
    tabs = [("", "all", sum(counts.values()))]
    tabs += [(name, visible(name)[:12], counts[name]) for name in type_choices(counts)]
    shown: list[tuple[str, list[Piece]]] = []
    for place, (name, word, number) in enumerate(tabs):
        here = name == chosen
        shown.append(
            (
                name,
                [
                    (f"{place} ", "dim"),
                    (f"▸{word}" if here else word, "strong" if here else PLAIN),
                    (f" {count(number)}", "info" if here else "dim"),
                ],
            )
        )
    return shown


def progress_bar(done: int, total: int, width: int) -> list[Piece]:
    """Verification as a bar of `width` columns, with its numbers. total 0: not known yet."""
    share = min(1.0, done / total) if total else 0.0
    full = int(share * width)
    words = f" {share:4.0%}  {count(done)} of {count(total)} entries" if total else "  …"
    return [("◌ verifying ", "info"), ("█" * full, "info"), ("░" * (width - full), "dim"), (words, PLAIN)]
