"""Where a body ends: after so many bytes, with its last chunk, or with the connection. No I/O.

Chunks are read by h11, as in mitmproxy's layers, and framed anew: what a peer wrote between the lines
(extensions, odd spacing) goes no further than here.
"""

from __future__ import annotations

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer

UNTIL_CLOSE = -1
_MAX_LINES = 64 * 1024  # bytes of a chunk's size line, and of all trailers together

type Trailers = list[tuple[bytes, bytes]]


class Body:
    """`length` as heads give it: bytes, None for chunks, UNTIL_CLOSE. done: all of it was taken. broken: it
    is not framed as announced, and nothing more can be taken. trailers: of a chunked body, once it is done.
    """

    __slots__ = ("_chunks", "_held", "_left", "broken", "chunked", "done", "trailers")

    def __init__(self, length: int | None) -> None:
        self.chunked = length is None
        self.done = length == 0
        self.broken = False
        self.trailers: Trailers = []
        self._left = -1 if length is None else length
        if self.chunked:
            self._chunks = ChunkedReader()
            self._held = ReceiveBuffer()

    def take(self, buffer: bytearray) -> bytes:
        """Remove from `buffer` what belongs to the body and return its content. What comes after the body
        stays in `buffer`.
        """
        if self.done or self.broken or not buffer:
            return b""
        if self.chunked:
            return self._take_chunks(buffer)
        if self._left < 0 or len(buffer) < self._left:
            data = bytes(buffer)
            buffer.clear()
        else:
            data = bytes(buffer[: self._left])
            del buffer[: self._left]
        if self._left >= 0:
            self._left -= len(data)
            self.done = self._left == 0
        return data

    def end(self) -> None:
        """The connection ended, and with it the body: as announced or broken."""
        self.done = self._left == UNTIL_CLOSE and not self.chunked
        self.broken = not self.done

    def _take_chunks(self, buffer: bytearray) -> bytes:
        self._held += buffer
        buffer.clear()
        parts: list[bytes] = []
        while True:
            try:
                part = self._chunks(self._held)
            except h11.ProtocolError:
                self.broken = True
                break
            if part is None:
                self.broken = len(self._held) > _MAX_LINES
                break
            if isinstance(part, h11.Data):
                parts.append(bytes(part.data))
                continue
            self.trailers = [(bytes(name), bytes(value)) for name, value in part.headers]
            self.done = True
            buffer += bytes(self._held)
            break
        return b"".join(parts)


def chunk(data: bytes) -> bytes:
    """Nothing for nothing: an empty chunk would be the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: Trailers) -> bytes:
    return b"0\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % field for field in trailers)
