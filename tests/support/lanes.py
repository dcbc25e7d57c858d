"""The two lanes side by side: the same bytes from a client and from an upstream, and what came of them.

async with both_lanes(tmp_path) as lanes:
    fast, layers = await lanes.try_both(client_bytes, [response, …])
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
from support.proxying import GITHUB, Notes, Proxying, closed, proxying
from support.upstream import Upstream

HOST = "api.github.com"
SENTINEL = f"GET /last HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_QUIET = 1.0  # seconds without an end after which a lane is taken to wait for more
_PATIENCE = 20.0  # seconds for one lane when the other has ended


@dataclass
class Came:
    """What one lane made of it. waits: the connection stayed open."""

    answers: list[Any] = field(default_factory=list)
    waits: bool = False
    upstream: list[Any] = field(default_factory=list)
    intents: list[Any] = field(default_factory=list)
    denials: list[Any] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)


class Scripted(Upstream):
    """Answers each request with the next of `script`, whatever bytes that is, and then with PLAIN.

    h11 reads the requests, so one that is not well-formed stands in `heard` as its error.
    """

    script: Sequence[bytes] = ()

    def reset(self, script: Sequence[bytes]) -> None:
        self.script = script
        self.heard: list[Any] = []
        for writer in list(self._connections):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        parser = h11.Connection(h11.SERVER)
        request: list[Any] = []
        try:
            while True:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    parser.receive_data(await reader.read(65536))
                elif isinstance(event, h11.Request):
                    request = [event.method, event.target, event.headers.raw_items(), b"", []]
                elif isinstance(event, h11.Data):
                    request[3] += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    request[4] = [tuple(map(bytes, item)) for item in event.headers]
                    self.heard.append(request)
                    answer = self.script[0] if self.script else PLAIN
                    self.script = self.script[1:]
                    writer.write(answer)
                    if answer != PLAIN:
                        break  # nobody knows where it ends but the proxy
                    parser.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                    parser.send(h11.EndOfMessage())
                    parser.start_next_cycle()
                else:
                    break
            writer.write_eof() if writer.can_write_eof() else writer.close()
        except h11.ProtocolError as error:
            self.heard.append(str(error))
        except (OSError, ssl.SSLError):
            pass
        finally:
            writer.close()
            self._connections.discard(writer)


class Lanes:
    def __init__(self, fast: Proxying, layers: Proxying, upstreams: tuple[Scripted, Scripted]) -> None:
        self._lanes = ((fast, upstreams[0]), (layers, upstreams[1]))

    async def try_both(self, pieces: Sequence[bytes], script: Sequence[bytes] = ()) -> tuple[Came, Came]:
        """`pieces` of bytes from the client, one write each; `script` are the upstream's responses."""
        for proxy, upstream in self._lanes:
            upstream.reset(script)
            proxy.notes = proxy.server._admission._recorder = Notes()
        tunnels = [await proxy.tunnel(f"{HOST}:443") for proxy, _ in self._lanes]
        clients = [asyncio.ensure_future(_client(*tunnel, pieces)) for tunnel in tunnels]
        done, _ = await asyncio.wait(clients, timeout=_QUIET)
        if len(done) == 1:
            done, _ = await asyncio.wait(clients, timeout=_PATIENCE)
        came = []
        for client, (proxy, upstream) in zip(clients, self._lanes, strict=True):
            waits = not client.done()
            if waits:
                client.cancel()
            with suppress(asyncio.CancelledError):
                await client
            raw = b"" if waits else client.result()
            came.append(Came(answers(raw), waits, upstream.heard, proxy.notes.intents))
        await self._settle()
        for one, (proxy, _) in zip(came, self._lanes, strict=True):
            one.denials = proxy.notes.denials
            one.records = [_told(record) for record in proxy.notes.records]
        return came[0], came[1]

    async def _settle(self) -> None:
        """Until both lanes' connections are gone and have told everything."""
        for proxy, _ in self._lanes:
            async with asyncio.timeout(_PATIENCE):
                while proxy.server._tasks or proxy.server._services.records.waiting:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)


async def _client(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pieces: Sequence[bytes]
) -> bytes:
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        with suppress(OSError, ssl.SSLError):
            return await reader.read()
        return b""
    finally:
        await closed(writer)


def _told(record: Any) -> Any:
    return {
        name: getattr(record, name)
        for name in record.__struct_fields__
        if name not in ("id", "ts", "duration_ms", "ttfb_ms")
    }


_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *(?:[a-z]+[ \t]*,[ \t]*)?chunked\r\n", re.IGNORECASE)


def answers(raw: bytes) -> list[Any]:
    """The responses in `raw` with their bodies taken out of chunks; what is left over stands last."""
    found: list[Any] = []
    while raw:
        head, end, rest = raw.partition(b"\r\n\r\n")
        if not end:
            break
        fields = head + b"\r\n"
        if head[9:10] == b"1" or head[9:12] in (b"204", b"304"):
            found.append([head])
        elif _CHUNKED.search(fields):
            body, trailers, rest, whole = _unchunked(rest)
            found.append([head, body, trailers, whole])
        elif rest.startswith(b"HTTP/1.1 "):  # it answers a HEAD, and announces what does not come
            found.append([head, b""])
        elif length := _LENGTH.search(fields):
            found.append([head, rest[: int(length[1])]])
            rest = rest[int(length[1]) :]
        else:
            found.append([head, rest])
            rest = b""
        raw = rest
    return [*found, raw] if raw else found


def _unchunked(raw: bytes) -> tuple[bytes, bytes, bytes, bool]:
    body = b""
    while True:
        line, end, rest = raw.partition(b"\r\n")
        if not end:
            return body, b"", raw, False
        size = int(line, 16)
        if size == 0:
            trailers, end, rest = raw[len(line) :].partition(b"\r\n\r\n")
            return body, trailers, rest, bool(end)
        if len(rest) < size + 2:
            return body + rest[:size], b"", b"", False
        body, raw = body + rest[:size], rest[size + 2 :]


@asynccontextmanager
async def both_lanes(directory: Path) -> AsyncIterator[Lanes]:
    async with AsyncExitStack() as stack:
        proxies, upstreams = [], []
        for name in ("fast", "layers"):
            place = directory / name
            place.mkdir()
            upstream = await stack.enter_async_context(Scripted([HOST], directory=place))
            upstreams.append(upstream)
            proxies.append(
                await stack.enter_async_context(
                    proxying(place, (HOST, upstream), injections=(GITHUB,), fast=name == "fast")
                )
            )
        yield Lanes(proxies[0], proxies[1], (upstreams[0], upstreams[1]))
