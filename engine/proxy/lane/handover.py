"""From a link to mitmproxy's layers, with every byte that was read and not used."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.proxy.lane.link import Link


def streams(link: Link) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A reader and a writer of the link's plain bytes; the link is theirs from now on."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport = LinkTransport(link, reader, protocol)
    protocol.connection_made(transport)
    link.half_open = not link.secured  # as asyncio's streams keep it
    link.resume()
    transport.changed()
    link.changed = transport.changed
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class LinkTransport(asyncio.Transport):
    """A link as asyncio's streams want to see it."""

    def __init__(
        self, link: Link, reader: asyncio.StreamReader, protocol: asyncio.StreamReaderProtocol
    ) -> None:
        super().__init__()
        self._link = link
        self._reader = reader
        self._protocol = protocol
        self._full = False
        self._ended = False
        self._lost = False

    def changed(self) -> None:
        link = self._link
        if link.buffer and not self._ended:
            data = bytes(link.buffer)
            link.buffer.clear()
            self._reader.feed_data(data)
        if link.full != self._full:
            self._full = link.full
            if self._full:
                self._protocol.pause_writing()
            else:
                self._protocol.resume_writing()
        if link.ended and not self._ended:
            self._ended = True
            self._reader.feed_eof()
        if link.lost and not self._lost:
            self._lost = True
            self._protocol.connection_lost(None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio's own
        return self._link.transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._link.closing

    def is_reading(self) -> bool:
        return not self._link.paused

    def pause_reading(self) -> None:
        self._link.pause()

    def resume_reading(self) -> None:
        self._link.resume()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._link.write(bytes(data))

    def can_write_eof(self) -> bool:
        return not self._link.secured

    def write_eof(self) -> None:
        """Inside TLS one side cannot end alone; there the end comes with `close`."""
        if not self._link.secured and not self._link.closing:
            self._link.transport.write_eof()

    def close(self) -> None:
        self._link.close()

    def abort(self) -> None:
        self._link.abort()
