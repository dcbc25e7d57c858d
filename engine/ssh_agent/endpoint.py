"""Where a run's agent listens: a unix socket that can be mounted, or TCP with the run's token.

A TCP client is dropped unread when it comes from outside the run's network; then its first message must
be the token.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import socket

from engine.ssh_agent.agent import SshAgent

_TOKEN_TIMEOUT = 10.0  # seconds until the token must be here
_LONGEST_TOKEN = 256  # bytes


class SshEndpoint:
    """`start` once, `close` once."""

    def __init__(self, agent: SshAgent, *, token: str = "", peers: str = "") -> None:
        """token and peers (CIDR): for TCP; empty for a unix socket, which its directory guards."""
        self._agent = agent
        self._token = token.encode()
        self._peers = ipaddress.ip_network(peers) if peers else None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Serve on `listener`, which is bound and belongs to the endpoint from now on."""
        listener.setblocking(False)
        if listener.family == socket.AF_UNIX:
            self._server = await asyncio.start_unix_server(self._accepted, sock=listener)
        else:
            self._server = await asyncio.start_server(self._accepted, sock=listener)

    async def close(self) -> None:
        """Also ends the connections that are open: the run's token dies here."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._is_ours(writer.get_extra_info("peername")) and await self._shown(reader):
                await self._agent.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # closed from here; asyncio would log it as an error of the connection
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _shown(self, reader: asyncio.StreamReader) -> bool:
        """Whether the client began with the token; compared in constant time."""
        if not self._token:
            return True
        with contextlib.suppress(asyncio.IncompleteReadError, TimeoutError, OSError):
            async with asyncio.timeout(_TOKEN_TIMEOUT):
                size = int.from_bytes(await reader.readexactly(4), "big")
                if 0 < size <= _LONGEST_TOKEN:
                    return hmac.compare_digest(await reader.readexactly(size), self._token)
        return False

    def _is_ours(self, peer: object) -> bool:
        if self._peers is None:
            return True
        try:
            return isinstance(peer, tuple) and ipaddress.ip_address(str(peer[0])) in self._peers
        except ValueError:
            return False
