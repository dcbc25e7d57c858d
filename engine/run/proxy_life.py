"""The run's proxy from its bound sockets to its end, which may come before its library was ever needed.

Loading that takes a third of a second of one core. Where a container takes as long to start it is done
meanwhile; where the agent is quicker, beside it, and not at all for one that ends before it connects.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.proxy import Injection, ProxyServer, TransparentSockets

_UNASKED = 0.05  # seconds after which it is loaded although nobody has connected


class ProxyLife:
    """`serve` once, `close` once. The sockets belong to it; until it serves, connections wait in them."""

    def __init__(
        self,
        make: Callable[[], ProxyServer],
        listener: socket.socket,
        transparent: TransparentSockets | None,
    ) -> None:
        """make: loads what it needs by itself, and may raise ProxyError."""
        self._make = make
        self._server: ProxyServer | None = None
        self._renewed: list[Injection] = []
        self._listener = listener
        self._transparent = transparent
        self.frozen = asyncio.Event()  # as the server's: a decoy was seen leaving

    @property
    def decoy(self) -> str:
        """The one that was seen; "" while nothing is frozen."""
        return self._server.decoy if self._server is not None else ""

    def renew(self, injection: Injection) -> None:
        """Another credential for a grant of the run, from the next request on. Raises ProxyError."""
        if self._server is not None:
            self._server.renew(injection)
        else:
            self._renewed.append(injection)

    async def serve(self, *, when_needed: bool = False) -> None:
        """Once: asked again, it does nothing. when_needed: when somebody connects, or a moment has passed."""
        if self._server is not None:
            return
        if when_needed:
            await self._asked()
            await _loaded_beside()
        self._server = self._make()
        self._server.frozen = self.frozen
        for injection in self._renewed:
            self._server.renew(injection)
        await self._server.start(self._listener, self._transparent)

    async def close(self) -> None:
        """Also when it never served, or was interrupted before it could close what it had taken."""
        if self._server is not None:
            await self._server.close()
        loop = asyncio.get_running_loop()
        for sock in self._sockets():
            if sock.fileno() >= 0:
                loop.remove_reader(sock.fileno())
                sock.close()

    async def _asked(self) -> None:
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        for sock in self._sockets():
            loop.add_reader(sock.fileno(), asked.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_UNASKED):
                    await asked.wait()
        finally:
            for sock in self._sockets():
                loop.remove_reader(sock.fileno())

    def _sockets(self) -> tuple[socket.socket, ...]:
        return (self._listener, *(self._transparent.sockets() if self._transparent else ()))


async def _loaded_beside() -> None:
    """In a thread that nobody waits for at the end of the process, as for asyncio's own."""
    loop = asyncio.get_running_loop()
    loaded: asyncio.Future[None] = loop.create_future()

    def told(error: BaseException | None) -> None:
        if not loaded.done():
            loaded.set_result(None) if error is None else loaded.set_exception(error)

    def load() -> None:
        from engine.proxy import preload

        problem: BaseException | None = None
        try:
            preload()
        except BaseException as error:
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(told, problem)

    threading.Thread(target=load, name="moat-proxy-load", daemon=True).start()
    await loaded
