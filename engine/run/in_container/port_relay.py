"""Forwards ports 80, 443 and 53 of its container to others of one address. Standard library only.

Usage: port_relay.py ADDRESS PORT-FOR-80 PORT-FOR-443 PORT-FOR-53
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import cast

MAX_QUESTIONS = 256  # waited for at a time; a client asks again
ANSWER_TIMEOUT = 5.0  # seconds


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def forward(
    address: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        there, out = await asyncio.open_connection(address, port)
        await asyncio.gather(carry(reader, out), carry(there, writer))
        out.close()
    except OSError:
        pass
    finally:
        writer.close()


class Asking(asyncio.DatagramProtocol):
    """One question on its way; its answer goes back to who asked."""

    def __init__(self, question: bytes, reply: Callable[[bytes], None], done: Callable[[], None]) -> None:
        self._question = question
        self._reply = reply
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self._transport.sendto(self._question)
        asyncio.get_running_loop().call_later(ANSWER_TIMEOUT, transport.close)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._reply(data)
        self._transport.close()

    def error_received(self, exc: Exception) -> None:
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()


class Questions(asyncio.DatagramProtocol):
    def __init__(self, address: str, port: int) -> None:
        self._place = (address, port)
        self._waiting: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(self._waiting) < MAX_QUESTIONS:
            task = asyncio.get_running_loop().create_task(self._ask(data, addr), name="question")
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _ask(self, data: bytes, addr: tuple[str, int]) -> None:
        over = asyncio.Event()

        def reply(said: bytes) -> None:
            self._transport.sendto(said, addr)

        try:
            await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Asking(data, reply, over.set), remote_addr=self._place
            )
        except OSError:
            return
        await over.wait()


async def main(address: str, http: int, https: int, names: int) -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Questions(address, names), local_addr=("0.0.0.0", 53)
    )
    servers = []
    for port, to in ((80, http), (443, https), (53, names)):  # 53 last: who finds it open finds all
        servers.append(await asyncio.start_server(partial(forward, address, to), "0.0.0.0", port))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
