"""What a program has switched on in a terminal, so that it can be switched off when the terminal leaves
without the program. Pure.

A program that ends by itself puts its terminal back; one that is left, or killed, cannot. Private modes
(DEC `CSI ? … h` and `l`, see xterm's "Control Sequences") are followed, and the keyboard protocol of kitty.
"""

from __future__ import annotations

import re

_SWITCH = re.compile(rb"\x1b\[(?:\?([0-9;]{1,64})([hl])|([><])[0-9;]{0,16}u)")
_BEGUN = re.compile(rb"\x1b(?:\[[?<>]?[0-9;]{0,64})?\Z")
_USUALLY_ON = frozenset({b"7", b"25"})  # wrapping at the margin, the cursor shown
_PLAIN = b"\x1b[0m"


class TerminalModes:
    """Feed it all that is printed; `restore` is what to print in the end, b"" when nothing is left on."""

    def __init__(self) -> None:
        self._changed: dict[bytes, None] = {}
        self._keyboards = 0
        self._pending = b""

    def feed(self, data: bytes) -> None:
        data = self._pending + data
        for switch in _SWITCH.finditer(data):
            modes, on, keyboard = switch.groups()
            if keyboard:
                self._keyboards = max(0, self._keyboards + (1 if keyboard == b">" else -1))
                continue
            for mode in modes.split(b";"):
                if (on == b"h") == (mode in _USUALLY_ON):
                    self._changed.pop(mode, None)
                elif len(self._changed) < 64:
                    self._changed[mode] = None
        begun = _BEGUN.search(data)
        self._pending = begun[0] if begun else b""

    def restore(self) -> bytes:
        keyboards = b"\x1b[<u" * self._keyboards
        modes = [
            b"\x1b[?%b%b" % (mode, b"h" if mode in _USUALLY_ON else b"l") for mode in reversed(self._changed)
        ]
        return keyboards + b"".join(modes) + _PLAIN if keyboards or modes else b""
