"""What the agent prints, on its way to the terminals that are attached to it. No sockets here.

A terminal that takes nothing for a while costs WAITING bytes of memory and then its place, never the agent's
time: whoever attaches again gets the picture drawn anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

WAITING = 1024 * 1024  # bytes that may wait for one terminal


class Viewer:
    """One attached terminal. Iterating gives what was printed since, until `end` or until it fell behind."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[str, bytes]] = deque()
        self._waiting = 0
        self._more = asyncio.Event()
        self._ended = False
        self.fell_behind = False

    def show(self, stream: str, data: bytes) -> None:
        if self._ended:
            return
        if self._waiting + len(data) > WAITING:
            self.fell_behind = True
            self._pieces.clear()
            self.end()
            return
        self._pieces.append((stream, data))
        self._waiting += len(data)
        self._more.set()

    def end(self) -> None:
        """Nothing more comes; what waits is still given."""
        self._ended = True
        self._more.set()

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            while self._pieces:
                stream, data = self._pieces.popleft()
                self._waiting -= len(data)
                yield stream, data
            if self._ended:
                return
            self._more.clear()
            await self._more.wait()
