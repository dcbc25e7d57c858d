"""A connection to a run's control socket that is read to its end.

A supervisor that has said its last and closes with something of ours unread resets the connection. What it
said has come all the same, and a StreamReader forgets that as soon as it learns of the reset.
"""

from __future__ import annotations

import asyncio
import socket


class _WholeReader(asyncio.StreamReader):
    def set_exception(self, exc: Exception) -> None:
        """What is lost with the connection comes after all that has come, as its end."""
        if isinstance(exc, ConnectionError):
            self.feed_eof()
        else:
            super().set_exception(exc)


async def connect(
    path: str | None = None, *, sock: socket.socket | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the socket at `path`, or over one that is connected. Raises OSError."""
    loop = asyncio.get_running_loop()
    reader = _WholeReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.create_unix_connection(lambda: protocol, path, sock=sock)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
