"""A run's ports on this machine's loopback: listened on here, carried into its container.

Connections go one way only, from this machine into the container, whose network does not change: the
supervisor connects there itself, by a socket of that network where this machine is not on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from engine.config import Port
from engine.errors import MoatError
from engine.events import PublishedPort
from engine.run.network.both_ways import both_ways
from engine.runtimes import Container, Terms, Wanted, bind_here

LOOPBACK = "127.0.0.1"
MOST = 128  # connections at a time to all ports of a run; more wait until one ends

_PAUSE = 0.1  # seconds after this process could take no connection

type Dial = Callable[[str, int], Awaitable[socket.socket]]
"""A connection into the run's network: to an address and port there. Raises OSError or MoatError."""


@dataclass(frozen=True, slots=True)
class Bound:
    port: Port
    listener: socket.socket

    @property
    def here(self) -> int:
        return int(self.listener.getsockname()[1])


class Publishing:
    """Made by `publish`. `serve` as a task for the agent's whole life; `close` in any case."""

    def __init__(self, bound: Sequence[Bound], say: Callable[[str], None]) -> None:
        self._bound = bound
        self._say = say
        self._free = asyncio.Semaphore(MOST)
        self._full_said = False
        self._over = asyncio.Event()
        self.ports = tuple(
            PublishedPort(each.port.name, each.port.number, f"{LOOPBACK}:{each.here}") for each in bound
        )

    @property
    def env(self) -> dict[str, str]:
        """What the agent is told of them."""
        env = {}
        for bound, port in zip(self._bound, self.ports, strict=True):
            env[f"MOAT_HOST_{bound.port.variable}"] = port.address
            env[f"MOAT_URL_{bound.port.variable}"] = port.url
        return env

    async def serve(self, container: Container, dial: Dial) -> None:
        """Carry connections until `stop`, or until cancelled."""
        try:
            if self._bound and (address := await self._address(container)):
                async with asyncio.TaskGroup() as group:
                    for bound in self._bound:
                        there = partial(dial, address, bound.port.number)
                        group.create_task(self._take(bound.listener, there, group))
                    await self._over.wait()
                    raise _Over
        except* _Over:
            pass
        finally:
            self.close()

    async def _address(self, container: Container) -> str:
        """Nothing where it has none, having ended: to connect to that would be to connect to this machine."""
        try:
            return await container.address()
        except MoatError as error:
            self._say(f"the run's ports lead nowhere: {error.what}")
            return ""

    def stop(self) -> None:
        """End what is carried, and take no more. Nothing is carried by one that never served."""
        self._over.set()

    def close(self) -> None:
        for bound in self._bound:
            bound.listener.close()

    async def _take(
        self,
        listener: socket.socket,
        dial: Callable[[], Awaitable[socket.socket]],
        group: asyncio.TaskGroup,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._room()
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # no descriptor is left, mostly
                self._free.release()
                await asyncio.sleep(_PAUSE)
                continue
            except BaseException:
                self._free.release()
                raise
            carrying = group.create_task(self._carry(client, dial))
            carrying.add_done_callback(partial(self._ended, client))

    def _ended(self, client: socket.socket, carrying: asyncio.Task[None]) -> None:
        client.close()  # of one that was cancelled before it began
        self._free.release()

    async def _carry(self, client: socket.socket, dial: Callable[[], Awaitable[socket.socket]]) -> None:
        try:
            try:
                inside = await dial()
            except (OSError, MoatError):  # nothing listens there, or not yet
                client.close()
                return
            await both_ways(client, inside)
        except Exception as error:  # a defect of ours; the run does not depend on it
            self._say(f"a connection to the run's ports failed: {type(error).__name__}")

    async def _room(self) -> None:
        if self._free.locked() and not self._full_said:
            self._full_said = True
            self._say(f"the run's ports have {MOST} connections; more wait until one ends")
        await self._free.acquire()


class _Over(Exception):
    """What is carried has to end."""


def publish(
    ports: Sequence[Port], terms: Terms, proxys: Collection[int], say: Callable[[str], None]
) -> Publishing:
    """Listen for each, at the same number here where it is free. That comes before the container, because the
    agent is told where they are; connections wait until it is served.

    proxys: the ports of the run's proxy, which are not the agent's to publish where both have one address.
    """
    if ports and terms.unreached:
        say(f"the run's ports are not published: {terms.unreached}")
        return Publishing((), say)
    bound: list[Bound] = []
    for port in ports:
        if terms.shares_address and port.number in proxys:
            say(f"{port.name}: port {port.number} is not published: there it is the proxy's own")
            continue
        listener = _listener(port.number)
        if listener is None:
            say(f"{port.name}: port {port.number} is not published: no port of {LOOPBACK} can be had")
            continue
        bound.append(Bound(port, listener))
    return Publishing(bound, say)


def _listener(number: int) -> socket.socket | None:
    for wanted in (number, 0):
        with contextlib.suppress(OSError):
            (listener,) = bind_here(LOOPBACK, [Wanted("tcp", wanted)])
            return listener
    return None


def announced(publishing: Publishing) -> list[str]:
    """A line for a person about each port."""
    lines = []
    for port in publishing.ports:
        another = "" if port.address == f"{LOOPBACK}:{port.port}" else f" ({port.port} is taken here)"
        lines.append(f"{port.name}: {port.url}{another}")
    return lines
