"""What a terminal needs and no socket: the keys that leave, the modes to put back, a viewer's buffer."""

from __future__ import annotations

import asyncio

import pytest

from engine.run.terminals.detach_keys import DetachKeys
from engine.run.terminals.terminal_modes import TerminalModes
from engine.run.terminals.viewers import WAITING, Viewer


@pytest.mark.parametrize(
    ("typed", "kept", "pressed"),
    [
        ([b"ls\r"], b"ls\r", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x11"], b"\x11", False),
    ],
)
def test_the_detach_keys(typed: list[bytes], kept: bytes, pressed: bool) -> None:
    keys = DetachKeys()
    assert (b"".join(map(keys.feed, typed)), keys.pressed) == (kept, pressed)


@pytest.mark.parametrize("cut", range(1, 20))
def test_what_was_switched_on_is_switched_off(cut: int) -> None:
    modes = TerminalModes()
    printed = b"\x1b[?1049;2004h\x1b[?25lhello\x1b[>1u"
    modes.feed(printed[:cut])
    modes.feed(printed[cut:])
    assert modes.restore() == b"\x1b[<u\x1b[?25h\x1b[?2004l\x1b[?1049l\x1b[0m"
    modes.feed(b"\x1b[<u\x1b[?25h\x1b[?1049l\x1b[?2004l")
    assert modes.restore() == b""


async def test_a_viewer_gets_all_of_it_in_order() -> None:
    viewer = Viewer()
    viewer.show("stdout", b"a")
    viewer.show("stderr", b"b")
    viewer.end()
    viewer.show("stdout", b"too late")
    assert [piece async for piece in viewer] == [("stdout", b"a"), ("stderr", b"b")]


async def test_a_viewer_that_takes_nothing_is_left_behind_with_bounded_memory() -> None:
    viewer = Viewer()
    for _ in range(WAITING // 4096 + 1):
        viewer.show("stdout", bytes(4096))
    assert viewer.fell_behind
    async with asyncio.timeout(5):
        assert [piece async for piece in viewer] == []
