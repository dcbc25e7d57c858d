"""Keeps the beginning of a body that streams past."""

from __future__ import annotations


class Capture:
    """`see` returns the very chunk it was given: nothing is held back, changed or buffered beyond `limit`.

    total: bytes that went past. cut: whether there was more than `data`.
    """

    __slots__ = ("_kept", "_limit", "total")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.total = 0

    def see(self, chunk: bytes) -> bytes:
        self.total += len(chunk)
        room = self._limit - len(self._kept)
        if room > 0:
            self._kept += chunk[:room]
        return chunk

    @property
    def data(self) -> bytes:
        return bytes(self._kept)

    @property
    def cut(self) -> bool:
        return self.total > len(self._kept)
