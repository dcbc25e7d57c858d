"""Hands finished exchanges to the recorder, in order, off the requests' own path.

Redacting and writing a record costs about as much as the request itself, so it waits for a moment in which
several can be done together. Nothing is dropped: whoever finds the queue full waits for room.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from engine.proxy.admission import Admission
from engine.proxy.exchange import Exchange

_PLACES = 512  # exchanges that may wait, each with at most two captured beginnings of bodies
_DELAY = 0.004  # seconds for more to come
_SLICE = 0.002  # seconds of work before requests get their turn


class Records:
    """Use as `async with`; leaving it hands over everything that waits."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._waiting: deque[Exchange] = deque()
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False

    @property
    def waiting(self) -> int:
        """Exchanges that the recorder has not got yet."""
        return len(self._waiting)

    async def put(self, exchange: Exchange) -> None:
        """The exchange has ended. Returns at once while there is room."""
        exchange.end()
        self._waiting.append(exchange)
        self._some.set()
        if len(self._waiting) >= _PLACES:
            self._room.clear()
            await self._room.wait()

    async def run(self) -> None:
        """Until `close`."""
        loop = asyncio.get_running_loop()
        while True:
            await self._some.wait()
            if not self._closing and len(self._waiting) < _PLACES // 2:
                await asyncio.sleep(_DELAY)
            turn = loop.time() + _SLICE
            while self._waiting:
                with contextlib.suppress(Exception):  # counted by Admission
                    await self._admission.finished(self._waiting.popleft())
                if loop.time() > turn:
                    break
            if len(self._waiting) < _PLACES // 2:
                self._room.set()
            if not self._waiting:
                self._some.clear()
                if self._closing:
                    return
            else:
                await asyncio.sleep(0)

    def close(self) -> None:
        """`run` ends when everything is handed over."""
        self._closing = True
        self._some.set()
