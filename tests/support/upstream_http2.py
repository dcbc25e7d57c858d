"""The HTTP/2 side of the tests' upstream."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
from support.messages import SeenRequest

if TYPE_CHECKING:
    from support.upstream import Upstream

_CHUNK = 64 * 1024


class Http2Side:
    """Enough of an HTTP/2 server: one task per stream, flow control respected."""

    def __init__(
        self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._upstream = upstream
        self._reader = reader
        self._writer = writer
        self._number = number
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._open: dict[int, SeenRequest] = {}
        self._window = asyncio.Condition()

    async def serve(self) -> None:
        self._h2.initiate_connection()
        self._flush()
        async with asyncio.TaskGroup() as group:
            while data := await self._reader.read(_CHUNK):
                for event in self._h2.receive_data(data):
                    await self._event(event, group)
                self._flush()
                async with self._window:
                    self._window.notify_all()

    async def _event(self, event: Any, group: asyncio.TaskGroup) -> None:
        if isinstance(event, h2.events.RequestReceived):
            pairs = [
                (name.decode() if isinstance(name, bytes) else name, _text(value))
                for name, value in event.headers
            ]
            pseudo = dict(pair for pair in pairs if pair[0].startswith(":"))
            request = SeenRequest(
                pseudo[":method"],
                pseudo[":path"],
                [("host", pseudo[":authority"]), *(p for p in pairs if not p[0].startswith(":"))],
                connection=self._number,
                version="HTTP/2",
            )
            self._open[event.stream_id] = request
            await self._upstream._note(request)
            if self._upstream.answers_at_once(request):
                request.arriving = asyncio.Queue()
                group.create_task(self._answer(event.stream_id, request))
        elif isinstance(event, h2.events.DataReceived):
            request = self._open[event.stream_id]
            request.size += len(event.data)
            if len(request.body) < self._upstream.kept_body:
                request.body += event.data
            if request.arriving is not None:
                request.arriving.put_nowait(event.data)
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            pairs = [(f"trailer:{_text(name)}", _text(value)) for name, value in event.headers]
            self._open[event.stream_id].headers += pairs
        elif isinstance(event, h2.events.StreamEnded):
            request = self._open[event.stream_id]
            if request.arriving is None:
                group.create_task(self._answer(event.stream_id, request))
            else:
                request.arriving.put_nowait(b"")

    async def _answer(self, stream: int, request: SeenRequest) -> None:
        response = await self._upstream.respond(request)
        headers = [(":status", str(response.status)), ("content-type", response.kind), *response.headers]
        with contextlib.suppress(h2.connection.ProtocolError):
            self._h2.send_headers(stream, headers)
            self._flush()
            if request.method == "HEAD":
                pass
            elif response.stream is None:
                await self._data(stream, response.body)
            else:
                async for part in response.stream:
                    await self._data(stream, part)
            if response.trailers:
                self._h2.send_headers(stream, response.trailers, end_stream=True)
            else:
                self._h2.end_stream(stream)
            self._flush()

    async def _data(self, stream: int, data: bytes) -> None:
        while data:
            async with self._window:
                await self._window.wait_for(lambda: self._h2.local_flow_control_window(stream) > 0)
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            self._h2.send_data(stream, data[:room])
            data = data[room:]
            self._flush()
            await self._writer.drain()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
