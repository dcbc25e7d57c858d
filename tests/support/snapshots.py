"""A screen as text that a person can review: its cells, then the styles of each line.

A style is named after a hash of itself, so that another style elsewhere does not change its name.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b32encode
from hashlib import sha256
from itertools import groupby
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from support.waiting import drawn_lines
from textual.pilot import Pilot
from textual.widgets import Input

SETTLED = 0.3  # seconds without a change after which a picture is taken as the one that stays
HOPELESS = 5.0  # the same, before a picture that differs from its snapshot is taken as wrong
PATIENCE = 15.0  # seconds


def snapshot(pilot: Pilot[Any]) -> str:
    """What is on the screen now. Cursors do not blink in it."""
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False
    lines: list[str] = []
    styles: list[str] = []
    known: dict[str, str] = {}
    for number, strip in enumerate(drawn_lines(pilot), 1):
        lines.append("".join(segment.text for segment in strip).rstrip())
        runs = [
            f"{_name(style, known)}:{sum(cell_len(segment.text) for segment in group)}"
            for style, group in groupby(strip, key=_style)
        ]
        styles.append(f"{number:>3} {' '.join(runs)}")
    legend = sorted(f"    {name} {style}" for style, name in known.items())
    return "\n".join([*lines, "── styles ──", *styles, *legend, ""])


async def settled(pilot: Pilot[Any], wanted: str = "") -> str:
    """The snapshot: `wanted` as soon as the screen comes to that, else what it stays at.

    Waiting for the wanted one makes a test fast where the screen is right, and patient on a loaded machine.
    """
    deadline = time.monotonic() + PATIENCE
    rest = HOPELESS if wanted else SETTLED
    seen, since = "", time.monotonic()
    while time.monotonic() < deadline:
        now = snapshot(pilot)
        if now == wanted:
            return now
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > rest:
            break
        await asyncio.sleep(0.03)
    return seen


def _style(segment: Segment) -> str:
    style = segment.style or Style.null()
    return str(style.without_color + Style(color=style.color, bgcolor=style.bgcolor))


def _name(style: str, known: dict[str, str]) -> str:
    if style not in known:
        known[style] = b32encode(sha256(style.encode()).digest())[:3].decode().lower()
        assert len(set(known.values())) == len(known), f"two styles have one name: {known}"
    return known[style]
