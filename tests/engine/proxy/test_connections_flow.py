"""Over real sockets: connections carry what they may, are used again, and end as they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import BEARER, Http2Client, Proxying, closed, proxying, read_answer, wire
from support.upstream import Upstream

from engine.proxy.lane.relay import End, Relay

HOST = "api.github.com"


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    async with Upstream([HOST], expected=BEARER, directory=tmp_path) as running:
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Proxying]:
    async with proxying(tmp_path, (HOST, upstream)) as running:
        yield running
    running.assert_no_canary()


@pytest.mark.usefixtures("lane")
async def test_connections_are_used_again(proxy: Proxying, upstream: Upstream) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    for _ in range(5):
        writer.write(wire(f"GET /user HTTP/1.1\nHost: {HOST}"))
        assert (await read_answer(reader)).status == 200
    assert upstream.accepted == 1
    assert len(proxy.notes.intents) == 5
    await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_an_upstream_that_closed_is_dialled_again(proxy: Proxying, upstream: Upstream) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /close HTTP/1.1\nHost: {HOST}"))
    assert (await read_answer(reader)).status == 502
    await closed(writer)
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /user HTTP/1.1\nHost: {HOST}"))
    assert (await read_answer(reader)).status == 200
    await closed(writer)


async def test_a_client_that_closes_with_the_last_byte_breaks_nothing_off(
    proxy: Proxying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is there before the task that served it has gone on."""
    passed_on = Relay._end

    def and_closed(self: Relay, how: End) -> None:
        passed_on(self, how)
        self._agent.ended = True

    monkeypatch.setattr(Relay, "_end", and_closed)
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /user HTTP/1.1\nHost: {HOST}"))
    assert (await read_answer(reader)).status == 200
    (record,) = await proxy.notes.wait(1)
    assert (record.status_code, record.error) == (200, "")
    await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_threat_26_pipelined_requests_are_each_judged(proxy: Proxying, upstream: Upstream) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    good = wire(f"GET /user HTTP/1.1\nHost: {HOST}")
    bad = wire("POST /user HTTP/1.1\nHost: evil.test\nContent-Length: 5") + b"hello"
    writer.write(good + bad + good + bad + good)
    assert [(await read_answer(reader)).status for _ in range(5)] == [200, 403, 200, 403, 200]
    assert len(upstream.requests) == 3
    await closed(writer)


@pytest.mark.parametrize(
    "head",
    [
        "POST / HTTP/1.1\nHost: {h}\nContent-Length: 5\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\nHost: {h}\nContent-Length: 5\nContent-Length: 5",
        "GET / HTTP/1.1\nHost: {h}\nX: a\n b",
        "GET / HTTP/1.1\nHost: {h}\nX: a\0b",
        "GET / HTTP/2.0\nHost: {h}",
        "PRI * HTTP/2.0",
        "NONSENSE",
    ],
)
@pytest.mark.usefixtures("lane")
async def test_threat_25_smuggling_ends_in_400_and_a_closed_connection(
    proxy: Proxying, upstream: Upstream, head: str
) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(head.format(h=HOST)) + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await read_answer(reader)).status == 400
    assert await reader.read() == b""
    assert upstream.accepted == 0
    (record,) = await proxy.notes.wait(1)
    assert (record.status_code, record.rule, record.decision) == (400, "malformed", "denied")
    await closed(writer)


@pytest.mark.parametrize(
    "data", [b"\x00\x01\x02\x03", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x16\x99\x99\x00", b"EHLO\r\n"]
)
async def test_a_tunnel_carries_nothing_but_tls_and_http(
    proxy: Proxying, upstream: Upstream, data: bytes
) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443", tls=False)
    writer.write(data)
    async with asyncio.timeout(10):
        assert b"200" not in await reader.read()
    (record,) = await proxy.notes.wait(1)
    assert (record.decision, record.rule, record.host) == ("denied", "not-http", HOST)
    assert upstream.accepted == 0
    await closed(writer)


async def test_the_proxy_is_no_web_server(proxy: Proxying) -> None:
    answer = await proxy.plain("GET / HTTP/1.1\nHost: 127.0.0.1")
    assert answer.status == 400
    assert b"not a web server" in answer.body


@pytest.mark.usefixtures("lane")
async def test_http_1_0_clients_get_the_end_of_the_connection(proxy: Proxying, upstream: Upstream) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /chunked HTTP/1.0\nHost: {HOST}"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert len(await reader.read()) == 200_000
    await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_a_client_that_wants_to_close_is_closed(proxy: Proxying, upstream: Upstream) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /user HTTP/1.1\nHost: {HOST}\nConnection: close"))
    answer = await read_answer(reader)
    assert answer.headers["connection"] == "close"
    assert await reader.read() == b""
    assert upstream.requests[0].all("connection") == []
    await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_websockets_pass(proxy: Proxying, upstream: Upstream) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(
        wire(
            f"GET /ws HTTP/1.1\nHost: {HOST}\nConnection: Upgrade\nUpgrade: websocket\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13"
        )
    )
    assert (await read_answer(reader)).status == 101
    for message in (b"\x81\x05hello", bytes(200_000)):
        writer.write(message)
        assert await reader.readexactly(len(message)) == message
    assert upstream.requests[0].all("authorization") == [BEARER]
    await closed(writer)
    (record,) = await proxy.notes.wait(1)
    assert (record.status_code, record.bytes_in, record.bytes_out) == (101, 200_007, 200_007)


@pytest.mark.usefixtures("lane")
async def test_an_upstream_may_not_switch_protocols_unasked(proxy: Proxying) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /ws HTTP/1.1\nHost: {HOST}"))
    assert await reader.read() == b""
    (record,) = await proxy.notes.wait(1)
    assert "without being asked" in record.error
    await closed(writer)


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
@pytest.mark.usefixtures("lane")
async def test_a_client_that_goes_away_is_recorded_and_frees_the_upstream(
    proxy: Proxying, upstream: Upstream, alpn: str
) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=(alpn,))
    if alpn == "h2":
        Http2Client(reader, writer).get(HOST, "/hang")
    else:
        writer.write(wire(f"GET /hang HTTP/1.1\nHost: {HOST}"))
    await upstream.seen(1)
    await closed(writer)
    (record,) = await proxy.notes.wait(1)
    assert record.error
    assert record.status_code == 0
    assert record.grant == "github"


async def test_closing_the_proxy_is_bounded_and_records_what_was_open(
    tmp_path: Path, upstream: Upstream
) -> None:
    async with proxying(tmp_path, (HOST, upstream)) as proxy:
        _, writer = await proxy.tunnel(f"{HOST}:443")
        writer.write(wire(f"GET /hang HTTP/1.1\nHost: {HOST}"))
        await upstream.seen(1)
        async with asyncio.timeout(4):
            await proxy.server.close()
        assert len(proxy.notes.records) == 1
        with pytest.raises(ConnectionRefusedError):
            await proxy.connect()
        await closed(writer)
