"""A proxy whose run has an SSH grant, and a server that begins as an SSH server does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.proxying import Proxying, proxying

from engine.proxy import parse_connect_to
from engine.proxy.destination import Destination

GIT = "git.test"
SERVERS = (Destination(GIT, 22),)
BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"
CLIENT = b"SSH-2.0-libssh2_1.11.0\r\n"

type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says who it is as sshd does, then everything again that it hears."""
    writer.write(BANNER)
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def granted(
    tmp_path: Path, serve: Serve = parrot, mode: str = "strict", **spec: Any
) -> AsyncIterator[Proxying]:
    """A proxy whose run has an SSH grant for GIT, where `serve` answers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fields: dict[str, Any] = {
        "connect_to": (parse_connect_to(f"{GIT}:22:127.0.0.1:{port}"),),
        "ssh": SERVERS,
        "mode": mode,
    }
    try:
        async with proxying(tmp_path, **(fields | spec)) as proxy:
            yield proxy
    finally:
        server.close()
