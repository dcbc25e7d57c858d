"""Everything that real clients are tried against: GitHub, a language model, a registry, gRPC, WebSocket.

On top of GitHub's paths: /ws (echoes messages), /permit (lets one event of a stream go), /ranged (0…9, in
parts), /moat.Echo/{Once,Count,Talk} (gRPC); POST api.anthropic.com/v1/messages streams `WORDS`, each word
only after a /permit; packages.test is a registry.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from support import registry
from support.github import GitHubUpstream
from support.messages import Response, SeenRequest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Message, Ping

MODEL = "api.anthropic.com"
WORDS = ("Every", " word", " comes", " alone")


class ClientUpstream(GitHubUpstream):
    """token is GitHub's, key the language model's."""

    def __init__(self, directory: Path, token: str, key: str) -> None:
        super().__init__(directory, token, more=(MODEL, registry.HOST), http2=True)
        self.kept_body = 16 * 1024 * 1024  # what git pushes is needed whole
        self._key = key
        self._next = asyncio.Semaphore(0)

    async def respond(self, request: SeenRequest) -> Response:
        parts = urlsplit(request.path)
        (host,) = request.all("host")
        if host == registry.HOST:
            return registry.respond(parts.path)
        if host == MODEL and parts.path == "/v1/messages":
            if request.all("x-api-key") != [self._key]:
                return Response(
                    401, b'{"type":"error","error":{"type":"authentication_error","message":"no"}}'
                )
            return Response(200, stream=self._say(), kind="text/event-stream")
        if parts.path == "/permit":
            self._next.release()
            return Response(204)
        if parts.path == "/ranged":
            return _ranged(request)
        if self.answers_at_once(request):
            return _grpc(request)
        return await super().respond(request)

    def answers_at_once(self, request: SeenRequest) -> bool:
        return request.all("content-type") == ["application/grpc"]

    async def _say(self) -> AsyncIterator[bytes]:
        """Source: Anthropic's Messages API, "Streaming"."""
        message = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
        }  # fmt: skip
        block = {"type": "text", "text": ""}
        yield _event("message_start", message=message)
        yield _event("content_block_start", index=0, content_block=block)
        for number, word in enumerate(WORDS):
            if number:
                await self._next.acquire()
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        yield _event("content_block_stop", index=0)
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        yield _event("message_delta", delta=stop, usage={"output_tokens": len(WORDS)})
        yield _event("message_stop")

    async def upgraded(
        self, request: SeenRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        socket = WSConnection(ConnectionType.SERVER)
        socket.initiate_upgrade_connection(
            [(name.encode(), value.encode()) for name, value in request.headers], request.path
        )
        writer.write(socket.send(AcceptConnection()))
        closing = False
        while not closing and (data := await reader.read(64 * 1024)):
            socket.receive_data(data)
            for event in socket.events():
                if isinstance(event, Message):
                    writer.write(socket.send(Message(event.data, message_finished=event.message_finished)))
                elif isinstance(event, Ping | CloseConnection):
                    writer.write(socket.send(event.response()))
                    closing = isinstance(event, CloseConnection)
            await writer.drain()
        writer.close()  # RFC 6455 §7.1.1: the server is the one to close first
        await writer.wait_closed()


def _event(kind: str, **more: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def _ranged(request: SeenRequest) -> Response:
    """Source: RFC 9110 §14; one range with both ends."""
    whole = b"0123456789"
    if not (wanted := request.all("range")):
        return Response(200, whole, [("accept-ranges", "bytes")], kind="text/plain")
    first, last = map(int, wanted[0].removeprefix("bytes=").split("-"))
    part = whole[first : last + 1]
    return Response(206, part, [("content-range", f"bytes {first}-{last}/{len(whole)}")], kind="text/plain")


def _grpc(request: SeenRequest) -> Response:
    """Messages are bytes. Once: one for one; Count: three for one; Talk: one for each, as they come.

    Source: "gRPC over HTTP2": a message is a flag, four bytes of length, and itself; the status is a trailer.
    """
    arriving, many = _grpc_messages(request), request.path.endswith("Count")

    async def answer() -> AsyncIterator[bytes]:
        async for message in arriving:
            for _ in range(3 if many else 1):
                yield struct.pack(">BI", 0, len(message)) + message.upper()

    return Response(200, stream=answer(), kind="application/grpc", trailers=[("grpc-status", "0")])


async def _grpc_messages(request: SeenRequest) -> AsyncIterator[bytes]:
    assert request.arriving is not None
    data = b""
    while part := await request.arriving.get():
        data += part
        while len(data) >= 5 and len(data) >= 5 + (size := struct.unpack(">I", data[1:5])[0]):
            yield data[5 : 5 + size]
            data = data[5 + size :]
