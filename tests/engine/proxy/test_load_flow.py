"""Over real sockets: clients that stall, clients without end, bodies without end; and gRPC's shape."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import CANARY, Http2Client, Proxying, closed, proxying, read_answer, wire
from support.upstream import Response, SeenRequest, Upstream

HOST = "api.github.com"
MIB = 1024 * 1024
LINE = b'data: {"type": "delta", "text": "some words of an answer, 100%"}\n\n'


class Busy(Upstream):
    """An upstream of long texts and of gRPC. `poured` counts the bytes of a text that were taken from it."""

    poured = 0

    async def respond(self, request: SeenRequest) -> Response:
        match request.path.split("/")[1:]:
            case ["text", size]:
                return Response(200, stream=self._text(int(size)), kind="text/event-stream")
            case ["Service", "Call"]:
                return self._call(request)
        return await super().respond(request)

    async def _text(self, size: int) -> AsyncIterator[bytes]:
        block = LINE * 1000
        while self.poured < size:
            self.poured += len(block)
            yield block

    def _call(self, request: SeenRequest) -> Response:
        token = request.all("authorization")[0].encode()
        said = b"\x0a" + bytes([len(token)]) + token
        message = b"\0" + len(said).to_bytes(4, "big") + said
        ending = [("grpc-status", "16"), ("grpc-message", f"unknown {token.decode().replace('g', '%67')}")]
        return Response(200, stream=_once(message), kind="application/grpc", trailers=ending)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Busy]:
    async with Busy([HOST], directory=tmp_path) as running:
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Busy) -> AsyncIterator[Proxying]:
    async with proxying(tmp_path, (HOST, upstream)) as running:
        yield running
    running.assert_no_canary()


def memory() -> int:
    """The process's peak resident size in bytes: it only grows, so a bound on its growth is a bound."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("watched", "http1", "lane.session"):
        monkeypatch.setattr(f"engine.proxy.{module}.HEAD_TIMEOUT", 0.3)


@pytest.mark.parametrize("tunnelled", [True, False])
async def test_threat_28_slowloris(impatient: None, proxy: Proxying, upstream: Busy, tunnelled: bool) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443") if tunnelled else await proxy.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    async with asyncio.timeout(10):
        answer = await read_answer(reader)
        assert await reader.read() == b""
    assert answer.status == 400
    assert b"did not arrive within" in answer.body
    await closed(writer)
    (record,) = await proxy.notes.wait(1)
    assert record.rule == "malformed"
    assert upstream.accepted == 0


async def test_threat_28_a_later_head_must_come_within_its_time_too(
    impatient: None, proxy: Proxying, upstream: Busy
) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /user HTTP/1.1\nHost: {HOST}") + b"GET /sec")
    async with asyncio.timeout(10):
        assert (await read_answer(reader)).status == 200
        assert (await read_answer(reader)).status == 400
    await closed(writer)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("sent", [None, b"", b"\x16", b"\x16\x03\x01\x00\xc0\x01"])
async def test_threat_28_clients_that_say_nothing_are_closed(
    impatient: None, proxy: Proxying, sent: bytes | None
) -> None:
    """Before CONNECT, after it, and in the middle of a TLS handshake."""
    if sent is None:
        reader, writer = await proxy.connect()
    else:
        reader, writer = await proxy.tunnel(f"{HOST}:443", tls=False)
        writer.write(sent)
    async with asyncio.timeout(10):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    await closed(writer)


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
async def test_threat_28_a_client_that_is_silent_inside_tls_is_closed(
    impatient: None, proxy: Proxying, alpn: str
) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=(alpn,))
    async with asyncio.timeout(10):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    await closed(writer)


async def test_an_idle_connection_is_kept_between_requests(
    impatient: None, proxy: Proxying, upstream: Busy
) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    for _ in range(2):
        writer.write(wire(f"GET /user HTTP/1.1\nHost: {HOST}"))
        assert (await read_answer(reader)).status == 200
        await asyncio.sleep(0.6)  # twice what a head may take
    await closed(writer)
    assert len(upstream.requests) == 2


async def test_an_answer_that_takes_longer_than_a_head_may_is_no_error(
    impatient: None, proxy: Proxying, upstream: Busy
) -> None:
    upstream.gated = True
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /sse?n=1 HTTP/1.1\nHost: {HOST}"))
    await upstream.seen(1)
    await asyncio.sleep(0.6)
    upstream.permit()
    async with asyncio.timeout(10):
        assert (await read_answer(reader)).body == b"data: event 0\n\n"
    await closed(writer)


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
async def test_threat_28_huge_headers_are_refused(proxy: Proxying, upstream: Busy, alpn: str) -> None:
    before = memory()
    reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=(alpn,))
    fields = [(f"x-{number}", "y" * 4000) for number in range(100)]
    if alpn == "h2":
        client = Http2Client(reader, writer)
        client.get(HOST, "/user", *fields)
        with pytest.raises((AssertionError, ConnectionError), match=r"closed|reset|lost"):
            await client.finish(1)
    else:
        lines = "".join(f"\n{name}: {value}" for name, value in fields)
        writer.write(wire(f"GET /user HTTP/1.1\nHost: {HOST}{lines}"))
        assert (await read_answer(reader)).status == 400
    await closed(writer)
    (record,) = await proxy.notes.wait(1)
    assert (record.rule, record.status_code) == ("malformed", 400)
    assert upstream.accepted == 0
    assert memory() - before < 16 * MIB


async def test_threat_28_too_many_connections_are_dropped_and_other_runs_go_on(
    proxy: Proxying, upstream: Busy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.proxy.server.MAX_CONNECTIONS", 50)
    async with proxying(tmp_path, (HOST, upstream)) as other:
        flood = [await proxy.connect() for _ in range(200)]
        async with asyncio.timeout(10):  # the first fifty stay
            await asyncio.gather(*(reader.read() for reader, _ in flood[50:]), return_exceptions=True)
        answer = await other.ask(f"{HOST}:443", f"GET /user HTTP/1.1\nHost: {HOST}")
        assert answer.status == 200
        assert proxy.server.dropped == 150
        for _, writer in flood:
            await closed(writer)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_threat_27_a_long_text_is_searched_in_constant_memory(
    proxy: Proxying, upstream: Busy, version: str
) -> None:
    before = memory()
    size = 150 * MIB if version == "--http1.1" else 40 * MIB
    code, out = await proxy.curl(
        version, "-o", "/dev/null", "-w", "%{size_download}", f"https://{HOST}/text/{size}"
    )
    assert (code, int(out)) == (0, upstream.poured)
    assert memory() - before < 24 * MIB


async def test_threat_27_a_stream_that_nobody_reads_waits_at_the_upstream(
    proxy: Proxying, upstream: Busy
) -> None:
    before = memory()
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /text/{1 << 40} HTTP/1.1\nHost: {HOST}"))
    assert await reader.readuntil(b"\r\n\r\n")
    poured = -1
    while poured < upstream.poured:  # until it has stood still for a while
        poured = upstream.poured
        await asyncio.sleep(0.5)
    assert poured < 64 * MIB
    assert memory() - before < 48 * MIB
    await closed(writer)


@pytest.mark.parametrize("http2", [False, True])
async def test_grpc_messages_and_trailers_pass_without_the_token(tmp_path: Path, http2: bool) -> None:
    async with Busy([HOST], http2=http2) as upstream, proxying(tmp_path, (HOST, upstream)) as proxy:
        reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=("h2",))
        client = Http2Client(reader, writer)
        pseudo = [(":method", "POST"), (":scheme", "https"), (":path", "/Service/Call"), (":authority", HOST)]
        fields = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-accept-encoding", "gzip")]
        call = client.send([*pseudo, *fields], body=b"\0\0\0\0\x02hi")
        await client.finish(call)
        assert upstream.requests[0].body == b"\0\0\0\0\x02hi"
        assert upstream.requests[0].all("te") == ["trailers"]
        assert upstream.requests[0].all("grpc-accept-encoding") == ["identity"]
        masked = b"Bearer " + b"x" * len(CANARY)
        assert client.bodies[call] == b"\0\0\0\0" + bytes([51, 0x0A, 49]) + masked
        trailers = dict(client.trailers[call])
        assert trailers[b"grpc-status"] == b"16"
        assert set(trailers[b"grpc-message"].removeprefix(b"unknown Bearer ")) == set(b"x")
        await closed(writer)
        await proxy.notes.wait(1)
        assert len(proxy.notes.scrubs) == 1
        proxy.assert_no_canary()
