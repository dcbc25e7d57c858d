"""Two connections as one: what either side sends the other gets, until both have ended."""

from __future__ import annotations

import asyncio
import socket

_PIECE = 64 * 1024


async def both_ways(one: socket.socket, other: socket.socket) -> None:
    """Takes both over and closes them, whatever happens. A side that ends only its own direction still gets
    the other; one that reads slowly slows the other. Nothing that a peer does is an error.
    """
    writers: list[asyncio.StreamWriter] = []
    try:
        here, back = await asyncio.open_connection(sock=one)
        writers.append(back)
        there, out = await asyncio.open_connection(sock=other)
        writers.append(out)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(here, out))
            group.create_task(_pass_on(there, back))
        for writer in writers:
            writer.close()
        for writer in writers:
            await writer.wait_closed()
    except* OSError:
        pass
    finally:
        for writer in writers:
            writer.transport.abort()
        one.close()
        other.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_PIECE):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
