"""This machine's Docker engine for a container that can connect to none of its sockets, as under gVisor.

The supervisor listens at the run's own address and carries what it takes to the engine's socket. Whoever
commands the engine is root on this machine, and others on this machine can connect there, so it takes the
agent alone: TLS with a certificate on both ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable

from engine.proxy.lane.link import Link
from engine.run.docker.keys import DockerKeys

MOST = 64  # connections at a time; more wait until one ends
HANDSHAKE_TIMEOUT = 10.0  # seconds

_PAUSE = 0.1  # seconds after this process could take no connection


class EngineRelay:
    """`serve` as a task for the agent's whole life; `close` in any case. path: of the engine's socket."""

    def __init__(
        self, listener: socket.socket, path: str, keys: DockerKeys, say: Callable[[str], None]
    ) -> None:
        self._listener = listener
        self._path = path
        self._say = say
        self._context = _context(keys)
        self._free = asyncio.Semaphore(MOST)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    async def serve(self) -> None:
        """Carry connections until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._free.acquire()
                try:
                    client, _ = await loop.sock_accept(self._listener)
                except OSError:  # no descriptor is left, mostly
                    self._free.release()
                    await asyncio.sleep(_PAUSE)
                    continue
                carrying = group.create_task(self._carry(client))
                carrying.add_done_callback(lambda _: self._free.release())

    def close(self) -> None:
        self._listener.close()

    async def _carry(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        links: list[Link] = []
        try:
            _, agent = await loop.connect_accepted_socket(Link, client)
            links.append(agent)
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await agent.handshake(self._context, server=True)
            _, engine = await loop.create_unix_connection(Link, self._path)
            links.append(engine)
            await _Carriage(agent, engine).carry()
            agent.close()
            links.remove(agent)
        except (OSError, TimeoutError):  # ssl.SSLError is one: no certificate, or another
            pass
        except Exception as error:  # a defect of ours; the run does not depend on it
            self._say(f"a connection to the Docker engine failed: {type(error).__name__}")
        finally:
            for link in links:
                link.abort()
            if not links:
                client.close()


class _Carriage:
    """An agent that ends its own direction, as `docker run -i` does, still gets all of the answer."""

    def __init__(self, agent: Link, engine: Link) -> None:
        self._agent = agent
        self._engine = engine
        self._told = False  # the engine, that the agent says no more
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def carry(self) -> None:
        """Until the engine has ended, or the agent is gone."""
        links = (self._agent, self._engine)
        for link in links:
            link.half_open = True
            link.changed = self._moved
        try:
            self._moved()
            await self._over
        finally:
            for link in links:
                link.ignore()

    def _moved(self) -> None:
        agent, engine = self._agent, self._engine
        for source, sink in ((agent, engine), (engine, agent)):
            if source.buffer:
                data = bytes(source.buffer)
                source.buffer.clear()
                sink.write(data)
            if sink.full:
                source.pause()
            else:
                source.resume()
        if agent.ended and not self._told and not engine.closing:
            self._told = True
            with contextlib.suppress(OSError):
                engine.transport.write_eof()
        if (engine.ended or agent.lost) and not self._over.done():
            self._over.set_result(None)


def _context(keys: DockerKeys) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=keys.authority.decode())
    # It is read by its name alone, and so from memory that has one.
    held = os.memfd_create("moat-docker", os.MFD_CLOEXEC)
    with open(held, "wb") as file:
        file.write(keys.server_key + keys.server_certificate)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{held}")
    return context
