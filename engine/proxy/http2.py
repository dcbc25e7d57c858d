"""HTTP/2 on both sides, for mitmproxy's layers: windows that open no faster than the other side drains.

mitmproxy grants 2 GiB per stream and acknowledges at once, so whatever a slow receiver's window holds
back piles up in memory. Holding the TCP connection back instead would stop every other stream too, and a
client that makes a request for each piece of a download would wait for itself for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import h2.errors
import h2.events
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ResponseEndOfMessage, ResponseProtocolError
from mitmproxy.proxy.layers.http._http2 import Http2Client, Http2Connection, Http2Server, StreamState

from engine.proxy.http1 import MalformedHeadHook, error_text

_STREAM_WINDOW = 1024 * 1024  # bytes that one stream may be ahead
_STEP = _STREAM_WINDOW // 4  # a window is opened again by at least this much
_CONNECTION_STEP = 2**30  # of the connection's 2 GiB; it never is the limit


@dataclass
class Drained(events.Event):
    """Something moved. `held(stream)` says how many bytes of it still wait on the other side."""

    held: Callable[[int], int]


class _Windowed(Http2Connection):
    def __init__(self, context: Context, *conn: Connection) -> None:
        super().__init__(context, *conn)
        self.h2_conn.local_settings.initial_window_size = _STREAM_WINDOW
        self.h2_conn.local_settings.acknowledge()  # as mitmproxy does: else the old value is announced
        self._owed: dict[int, int] = {}
        self._owed_connection = 0

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, Drained):
            yield from self._open_windows(event.held)
        else:
            yield from super()._handle_event(event)

    def done(self, _: events.Event) -> CommandGenerator[None]:
        """After the connection's end; mitmproxy's own would not know what `Drained` is."""
        yield from ()

    def handle_h2_event(self, event: h2.events.Event) -> CommandGenerator[bool]:
        if not isinstance(event, h2.events.DataReceived):
            return (yield from super().handle_h2_event(event))
        stream, size = event.stream_id, event.flow_controlled_length or 0
        state = self.streams.get(stream)
        if state is StreamState.EXPECTING_HEADERS:
            yield from self.protocol_error("Received HTTP/2 data frame, expected headers.")
            return True
        if state is StreamState.HEADERS_RECEIVED and event.data:
            yield ReceiveHttp(self.ReceiveData(stream, event.data))
        self._owed[stream] = self._owed.get(stream, 0) + size
        self._owed_connection += size
        return False

    def _open_windows(self, held: Callable[[int], int]) -> CommandGenerator[None]:
        for stream, owed in list(self._owed.items()):
            if self.is_closed(stream):
                del self._owed[stream]
            elif owed >= _STEP and held(stream) < _STEP:
                del self._owed[stream]
                self.h2_conn.increment_flow_control_window(owed, stream)
        if self._owed_connection >= _CONNECTION_STEP:
            self.h2_conn.increment_flow_control_window(self._owed_connection)
            self._owed_connection = 0
        if data := self.h2_conn.data_to_send():
            yield commands.SendData(self.conn, data)

    def unsent(self, stream: int) -> int:
        """Bytes that the peer has no window for."""
        parts = self.h2_conn.stream_buffers.get(stream)
        return sum(len(part.data) for part in parts) if parts else 0


class WindowedHttp2Client(_Windowed, Http2Client):
    """The side towards the upstream."""

    def waiting(self, stream: int) -> int:
        """Bytes of the agent's stream `stream` that the upstream has no window or no free stream for."""
        queued = sum(len(getattr(event, "data", b"")) for event in self.stream_queue.get(stream, ()))
        ours = self.our_stream_id.get(stream)
        return queued + (self.unsent(ours) if ours is not None else 0)


class WindowedHttp2Server(_Windowed, Http2Server):
    """The side towards the agent. Its errors are plain text and quote nothing."""

    def protocol_error(
        self, message: str, error_code: int = h2.errors.ErrorCodes.PROTOCOL_ERROR
    ) -> CommandGenerator[None]:
        """What a strict HTTP/2 reader refuses (two authorities, a line break in a field) ends the connection
        as HTTP/1's does, and is recorded as that is.
        """
        yield MalformedHeadHook("This is not valid HTTP/2.")
        yield from super().protocol_error("This is not valid HTTP/2.", error_code)

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, ResponseProtocolError) and not self.is_closed(event.stream_id):
            status = event.code.http_status_code()
            stream = self.h2_conn.streams[event.stream_id]
            if status and self.is_open_for_us(event.stream_id) and not stream.state_machine.headers_sent:
                self.h2_conn.send_headers(
                    event.stream_id,
                    [
                        (b":status", b"%d" % status),
                        (b"content-type", b"text/plain; charset=utf-8"),
                        (b"x-moat-decision", b"failed"),
                    ],
                )
                self.h2_conn.send_data(event.stream_id, error_text(status).encode("utf-8"), end_stream=True)
                yield commands.SendData(self.conn, self.h2_conn.data_to_send())
                return
        if isinstance(event, ResponseEndOfMessage):
            self._answered(event.stream_id)
        yield from super()._handle_event(event)

    def _answered(self, stream_id: int) -> None:
        """A client that has its answer may end its body early, as curl does (RFC 9113 §8.1). h2 would take
        that for a broken connection and end all its streams.
        """
        stream = self.h2_conn.streams.get(stream_id)
        if stream is not None:
            stream._expected_content_length = None
