"""Waiting for a condition on the screen, never for luck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from rich.segment import Segment
from textual._context import visible_screen_stack
from textual.pilot import Pilot


async def wait_for(pilot: Pilot[Any], predicate: Callable[[], object], timeout: float = 15.0) -> None:
    """Let the app work until `predicate` holds; after `timeout` seconds fail with what is on the screen."""
    deadline = time.monotonic() + timeout
    while True:
        # Not `pilot.pause()`: that waits for an idle processor, 20 ms at the least, every time.
        # And not more often: looking at the screen takes 3 ms of what the app needs to get there.
        await asyncio.sleep(0.015)
        if predicate():
            return
        if time.monotonic() > deadline:
            raise AssertionError("the screen never came to that:\n" + screen_text(pilot))


async def has_left(pilot: Pilot[Any]) -> None:
    """Wait until the app is on its way out."""
    deadline = time.monotonic() + 15.0
    while not pilot.app._exit and time.monotonic() < deadline:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.005)
    assert pilot.app._exit, "the app did not leave"


def screen_text(pilot: Pilot[Any]) -> str:
    """What is on the screen now, as lines of text."""
    return "\n".join("".join(segment.text for segment in strip) for strip in drawn_lines(pilot))


def drawn_lines(pilot: Pilot[Any]) -> list[list[Segment]]:
    """What is on the screen now, as pieces with their style."""
    # As Textual does before it draws; else what lies behind a dialog is drawn, and then kept, as nothing.
    visible_screen_stack.set(pilot.app._background_screens)
    return [list(strip) for strip in pilot.app.screen._compositor.render_strips()]
