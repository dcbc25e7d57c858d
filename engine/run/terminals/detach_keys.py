"""The keys that leave an agent's terminal: ctrl-p ctrl-q, as docker's. Pure."""

from __future__ import annotations

SHOWN = "ctrl-p ctrl-q"

_FIRST, _SECOND = 0x10, 0x11


class DetachKeys:
    """Typed bytes in; out come those that are the agent's. A lone ctrl-p waits for the key after it."""

    def __init__(self) -> None:
        self._held = False
        self.pressed = False

    def feed(self, typed: bytes) -> bytes:
        """Once the keys were pressed, `pressed` is true and what follows them is nobody's."""
        kept = bytearray()
        for byte in typed:
            if self.pressed:
                break
            if self._held and byte == _SECOND:
                self.pressed = True
            elif byte == _FIRST:
                if self._held:
                    kept.append(_FIRST)
                self._held = True
            else:
                if self._held:
                    kept.append(_FIRST)
                self._held = False
                kept.append(byte)
        return bytes(kept)
