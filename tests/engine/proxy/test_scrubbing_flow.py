"""Over real sockets: a credential that an upstream sends back does not reach the agent."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import BEARER, CANARY, Proxying, closed, proxying, read_answer, wire
from support.upstream import Response, SeenRequest, Upstream

HOST = "api.github.com"
OTHER = "pypi.example"
MASKED = "x" * len(CANARY)
EVENT = b"data: your token is " + CANARY.encode() + b"!\n\n"
MIB = 1024 * 1024


class Echoing(Upstream):
    """Says the token it got in whatever way the path asks for."""

    async def respond(self, request: SeenRequest) -> Response:
        token = (request.all("authorization") or [""])[0].removeprefix("Bearer ")
        match request.path.partition("?")[0].split("/")[1:]:
            case ["pieces", size]:
                return Response(200, stream=self._pieces(int(size)), kind="text/event-stream")
            case ["trailers"]:
                return Response(200, stream=_once(b"{}"), trailers=[("x-token", token), ("grpc-status", "0")])
            case ["binary"]:
                return Response(200, b"\x89PNG\0\0" + token.encode(), kind="image/png")
            case ["coding", name]:
                body = token.encode() if name == "broken" else zlib.compress(token.encode())
                said = "gzip" if name == "broken" else name
                return Response(200, body, [("content-encoding", said)], kind="text/plain")
            case ["range"]:
                part = [("content-range", "bytes 4-13/40")]
                return Response(206, b"0123456789", part, kind="text/plain")
            case ["bomb", size]:
                return Response(200, stream=_bomb(int(size)), headers=[("content-encoding", "gzip")])
            case ["headers"]:
                return Response(200, b"{}", [("set-cookie", f"t={token}"), ("location", f"/?t={token}")])
        return await super().respond(request)

    async def _pieces(self, size: int) -> AsyncIterator[bytes]:
        for at in range(0, len(EVENT), size):
            if self.gated:
                await self._permits.acquire()
            yield EVENT[at : at + size]


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _bomb(size: int) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    for _ in range(size // MIB):
        if data := packer.compress(bytes(MIB)):
            yield data
    yield packer.flush()


@pytest.fixture(params=[False, True], ids=["http/1.1", "h2"])
async def upstream(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Echoing]:
    async with Echoing([HOST, OTHER], http2=request.param, directory=tmp_path) as running:
        running.version = "--http2" if request.param else "--http1.1"
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Echoing) -> AsyncIterator[Proxying]:
    async with proxying(tmp_path, (HOST, upstream), (OTHER, upstream)) as running:
        yield running
    running.assert_no_canary()


async def get(proxy: Proxying, upstream: Echoing, path: str, *options: str, host: str = HOST) -> str:
    code, out = await proxy.curl(upstream.version, *options, f"https://{host}{path}")
    assert code == 0, out
    assert CANARY not in out
    return out


@pytest.mark.parametrize("path", ["/echo", "/echo?gzip=1"])
async def test_threat_14_an_echoed_token_is_replaced_and_is_an_alarm(
    proxy: Proxying, upstream: Echoing, path: str
) -> None:
    said = json.loads(await get(proxy, upstream, path, "--compressed"))
    assert ["authorization", f"Bearer {MASKED}"] in [[name.lower(), value] for name, value in said["headers"]]
    assert upstream.requests[0].all("authorization") == [BEARER]
    (record,) = await proxy.notes.wait(1)
    assert record.scrubbed == 2  # in the body, and in the header x-echo
    ((host, operation, message),) = proxy.notes.scrubs
    assert (host, operation) == (HOST, f"GET https://{HOST}{path}")
    assert message == "ALARM: the credential of grant github came back 2 times and was replaced."


async def test_threat_14_in_header_fields_and_trailers(proxy: Proxying, upstream: Echoing) -> None:
    out = await get(proxy, upstream, "/headers", "-i")
    assert f"location: /?t={MASKED}" in out.lower()
    await get(proxy, upstream, "/trailers", "-v")
    await proxy.notes.wait(2)
    assert len(proxy.notes.scrubs) == 2


@pytest.mark.parametrize("size", [1, 7, 30])
async def test_threat_14_split_over_the_pieces_of_a_stream(
    proxy: Proxying, upstream: Echoing, size: int
) -> None:
    out = await get(proxy, upstream, f"/pieces/{size}", "-N")
    assert out == EVENT.decode().replace(CANARY, MASKED)


async def test_threat_14_over_a_websocket(tmp_path: Path) -> None:
    async with Upstream([HOST]) as upstream, proxying(tmp_path, (HOST, upstream)) as proxy:
        reader, writer = await proxy.tunnel(f"{HOST}:443")
        writer.write(
            wire(
                f"GET /ws HTTP/1.1\nHost: {HOST}\nConnection: Upgrade\nUpgrade: websocket\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n"
                "Sec-WebSocket-Extensions: permessage-deflate"
            )
        )
        assert (await read_answer(reader)).status == 101
        assert upstream.requests[0].all("sec-websocket-extensions") == []
        text = f'{{"token": "{CANARY}"}}'.encode()
        head = bytes([0x81, len(text)])
        writer.write(head + text[:20])
        writer.write(text[20:])
        async with asyncio.timeout(10):
            assert await reader.readexactly(len(head + text)) == head + text.replace(
                CANARY.encode(), MASKED.encode()
            )
        await closed(writer)
        await proxy.notes.wait(1)
        assert len(proxy.notes.scrubs) == 1


async def test_what_is_binary_or_a_range_passes_as_it_is(proxy: Proxying, upstream: Echoing) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    for path, body in (("/binary", b"\x89PNG\0\0" + CANARY.encode()), ("/range", b"0123456789")):
        writer.write(wire(f"GET {path} HTTP/1.1\nHost: {HOST}\nRange: bytes=4-13\nAccept-Encoding: gzip"))
        answer = await read_answer(reader)
        assert answer.body == body
        assert answer.headers["content-length"] == str(len(body))
    assert upstream.requests[0].all("range") == ["bytes=4-13"]
    assert upstream.requests[0].all("accept-encoding") == ["identity"]
    await closed(writer)


async def test_threat_14_a_coding_that_cannot_be_read_is_refused(proxy: Proxying, upstream: Echoing) -> None:
    out = await get(proxy, upstream, "/coding/compress", "-i")
    assert " 502" in out
    assert "is in a coding that Moat cannot read, so it is not passed on" in out
    assert (await get(proxy, upstream, "/user", "-i")).count("octocat") == 1
    refused, passed = await proxy.notes.wait(2)
    assert (refused.status_code, passed.status_code) == (502, 200)


async def test_threat_14_what_is_not_in_its_coding_is_cut(proxy: Proxying, upstream: Echoing) -> None:
    code, out = await proxy.curl(upstream.version, f"https://{HOST}/coding/broken")
    assert code != 0
    assert CANARY not in out
    (record,) = await proxy.notes.wait(1)
    assert record.error == "the response is not in the coding that it says"


async def test_a_host_without_a_grant_is_not_searched(proxy: Proxying, upstream: Echoing) -> None:
    out = await get(
        proxy, upstream, "/echo?gzip=1", "-H", "Accept-Encoding: compress, *", "--raw", host=OTHER
    )
    assert upstream.requests[0].all("accept-encoding") == ["compress, *"]
    assert out.startswith("\x1f\x8b")


async def test_threat_27_a_zip_bomb_takes_no_memory(
    proxy: Proxying, upstream: Echoing, tmp_path: Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    packed = tmp_path / "bomb"
    await get(proxy, upstream, f"/bomb/{100 * MIB}", "-o", str(packed))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 24 * MIB
    assert packed.stat().st_size < 2 * MIB
    with gzip.open(packed) as file:
        assert sum(map(len, iter(lambda: file.read(MIB), b""))) == 100 * MIB


async def test_an_event_is_not_held(tmp_path: Path) -> None:
    async with Echoing([HOST]) as upstream, proxying(tmp_path, (HOST, upstream)) as proxy:
        upstream.gated = True
        reader, writer = await proxy.tunnel(f"{HOST}:443")
        writer.write(wire(f"GET /pieces/20 HTTP/1.1\nHost: {HOST}"))
        upstream.permit()  # "data: your token is ", which no credential begins with
        async with asyncio.timeout(10):
            received = b""
            while EVENT[:20] not in received:
                received += await reader.read(65536)
        await closed(writer)
