"""One TCP connection as plain bytes: TLS inside it or not, the same to whoever reads and writes.

TLS runs over memory buffers in the very call that brings the bytes, so that a request costs no task switch
for it, and so that what was read before TLS began (a ClientHello that had to be looked at) can be put back.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import cast

WRITE_LIMIT = 256 * 1024  # bytes that wait for a slow reader before its source is paused
_RECORD = 64 * 1024  # more than a TLS record holds


def _nothing() -> None:
    pass


class Link(asyncio.Protocol):
    """buffer: bytes that arrived and nobody took yet. ended: no more will come; lost: the connection is
    gone. full: the peer reads too slowly, so its source should be paused. changed: called when one of these
    changes.
    """

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.ended = False
        self.full = False
        self.lost = False
        self.paused = False
        self.half_open = False  # whether this side stays open when the peer has ended his
        self.secured = False
        self.failure: ssl.SSLError | None = None
        self.changed: Callable[[], None] = _nothing
        self.active = 0.0  # the loop's time of the last bytes, in either direction
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    # -- for the reader and writer ---------------------------------------------------------------

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    @property
    def closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    async def wait(self) -> None:
        """Return when anything has changed."""
        waiter = self._loop.create_future()
        before = self.changed

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        self.changed = wake
        try:
            await waiter
        finally:
            self.changed = before

    def ignore(self) -> None:
        """Nobody is told of changes any more; bytes that come stay in `buffer`."""
        self.changed = _nothing

    def write(self, data: bytes) -> None:
        if not data or self._transport is None or self._transport.is_closing():
            return
        self.active = self._loop.time()
        if self._tls is None:
            self._transport.write(data)
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._broken(error)
            return
        self._transport.write(self._outgoing.read())

    def pause(self) -> None:
        """Read no more until `resume`; the peer's TCP window does the rest."""
        if not self.paused and self._transport is not None and not self._transport.is_closing():
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.paused and self._transport is not None:
            self.paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def close(self) -> None:
        """Send what is written already, say goodbye in TLS, close."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is not None and self.secured:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()  # writes the closure alert; the peer's own is not waited for
            self._transport.write(self._outgoing.read())
        self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- TLS -------------------------------------------------------------------------------------

    async def handshake(self, context: ssl.SSLContext, *, server: bool, host: str = "") -> None:
        """Begin TLS with what is in `buffer`. host: of an upstream, verified by the context.

        Raises ssl.SSLError, or ConnectionError when the peer ends the connection first.
        """
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server, server_hostname=host or None
        )
        early, self.buffer = self.buffer, bytearray()
        self._incoming.write(early)
        self._decrypt()
        while not self.secured:
            if self.failure is not None:
                raise self.failure
            if self.ended or self.closing:
                raise ConnectionError("connection closed early")
            await self.wait()

    def alpn(self) -> str | None:
        return self._tls.selected_alpn_protocol() if self._tls is not None else None

    def _decrypt(self) -> None:
        tls = self._tls
        assert tls is not None
        try:
            if not self.secured:
                try:
                    tls.do_handshake()
                finally:
                    if self._outgoing.pending and not self.closing:
                        self.transport.write(self._outgoing.read())
                self.secured = True
            while self._incoming.pending or tls.pending():
                part = tls.read(_RECORD)
                if not part:
                    self.ended = True
                    break
                self.buffer += part
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self._broken(error)
        if self._outgoing.pending and not self.closing:
            self.transport.write(self._outgoing.read())  # key updates

    def _broken(self, error: ssl.SSLError) -> None:
        self.failure = self.failure or error
        self.ended = True
        if self.secured:
            self.abort()

    # -- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.active = self._loop.time()
        self._transport.set_write_buffer_limits(high=WRITE_LIMIT)

    def data_received(self, data: bytes) -> None:
        self.active = self._loop.time()
        if self._tls is None:
            self.buffer += data
        else:
            self._incoming.write(data)
            self._decrypt()
        self.changed()

    def eof_received(self) -> bool:
        """Whoever ends his side of a request is taken to want no answer any more, as mitmproxy's layers take
        it; only bytes that pass unread may go on in the other direction.
        """
        self.ended = True
        self.changed()
        return self.half_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.lost = True
        self.changed()

    def pause_writing(self) -> None:
        self.full = True
        self.changed()

    def resume_writing(self) -> None:
        self.full = False
        self.changed()
