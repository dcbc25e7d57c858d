"""Requests that no honest client makes: where they end, and how they stand in the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import (
    BEARER,
    Http2Client,
    Proxying,
    closed,
    proxy_authorization,
    proxying,
    read_answer,
    wire,
)
from support.upstream import Upstream

HOST = "api.github.com"


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    async with Upstream([HOST, "attacker.test"], expected=BEARER, directory=tmp_path) as running:
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Proxying]:
    async with proxying(tmp_path, (HOST, upstream), ("attacker.test", upstream)) as running:
        yield running
    running.assert_no_canary()


@pytest.mark.parametrize("http2", [False, True])
async def test_threat_03_an_http2_request_that_says_its_host_in_a_field(tmp_path: Path, http2: bool) -> None:
    """RFC 9113 §8.3.1 allows it; two Host fields, one of them empty, must not come of it."""
    async with (
        Upstream([HOST], expected=BEARER, http2=http2) as upstream,
        proxying(tmp_path, (HOST, upstream)) as proxy,
    ):
        client = Http2Client(*await proxy.tunnel(f"{HOST}:443", alpn=("h2",)))
        pseudo = [(":method", "GET"), (":scheme", "https"), (":path", "/user")]
        good = client.send([*pseudo, ("host", HOST)])
        bad = client.send([*pseudo, ("host", "attacker.test")])
        await client.finish(good, bad)
        assert (client.statuses[good], client.statuses[bad]) == (200, 403)
        (request,) = upstream.requests
        assert request.all("host") + request.all(":authority") == [HOST]
        assert request.all("authorization") == [BEARER]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /user HTTP/1.1\nHost: user@api.github.com", 400),
        ("GET /user HTTP/1.1\nHost: api.github.com:0", 400),
        ("GET /user HTTP/1.1\nHost: api.github.com:", 400),
        ("GET /user HTTP/1.1\nHost: api%2egithub.com", 400),
        ("GET /user HTTP/1.1\nHost: api.github.com, attacker.test", 400),
        ("GET /user HTTP/1.1\nHost: api.github.com\nhOST: api.github.com", 400),
        ("GET https://x@api.github.com/user HTTP/1.1\nHost: api.github.com", 400),
        ("GET http://api.github.com/user HTTP/1.1\nHost: api.github.com", 403),
        ("GET /user HTTP/1.1\nHost: api.github.com\nAuthorization : mine", 400),
        ("GET /user HTTP/1.1\nHost: api.github.com\nAuthorization\0: mine", 400),
        ("CONNECT attacker.test:443 HTTP/1.1\nHost: attacker.test", 400),
        ("trace /user HTTP/1.1\nHost: api.github.com", 403),
    ],
)
@pytest.mark.usefixtures("lane")
async def test_one_request_that_means_two_things_goes_nowhere(
    proxy: Proxying, upstream: Upstream, head: str, status: int
) -> None:
    answer = await proxy.ask(f"{HOST}:443", head)
    assert answer.status == status
    (record,) = await proxy.notes.wait(1)
    assert record.decision == "denied"
    assert "mitmproxy" not in proxy.notes.everything()
    assert len(proxy.notes.denials) == 1
    assert proxy.notes.denials[0][3]  # says why
    assert upstream.requests == []


async def test_threat_05_plain_http_in_a_granted_tunnel_gets_no_token(tmp_path: Path) -> None:
    """CONNECT to the granted host and port, and then no TLS."""
    async with Upstream([HOST], tls=False) as upstream, proxying(tmp_path, (HOST, upstream)) as proxy:
        answer = await proxy.ask(f"{HOST}:443", f"GET /echo HTTP/1.1\nHost: {HOST}:443", tls=False)
        assert answer.status == 200
        assert upstream.requests[0].all("authorization") == []
        assert proxy.notes.intents == []


@pytest.mark.usefixtures("lane")
async def test_threat_32_a_request_cannot_write_escapes_into_the_log(
    proxy: Proxying, upstream: Upstream
) -> None:
    """C0 and C1 escapes, in every place a client can fill, on both protocols, and from the upstream."""
    await proxy.ask(
        f"{HOST}:443",
        f"GET /status/200?\x9b31m\xe2\x80\xae&token=\x9b HTTP/1.1\nHost: {HOST}\nX-Note: \x9b2J\x85\xc2\x9b",
    )
    await proxy.try_connect("\x9b2J.test:0")
    client = Http2Client(*await proxy.tunnel(f"{HOST}:443", alpn=("h2",)))
    pseudo = [(":scheme", "https"), (":authority", HOST)]
    odd = [
        client.send([(":method", "GET"), (":path", "/\x1b]52;c;eA==\x07\x9b"), *pseudo]),
        client.send([(":method", "G\x1b[2JT"), (":path", "/"), *pseudo]),
        client.send([(":method", "GET"), (":path", "@attacker.test/"), *pseudo]),
    ]
    await client.finish(*odd)
    assert [client.statuses[stream] for stream in odd] == [400] * 3
    records = await proxy.notes.wait(5)
    for record in records:
        fields = [record.method, record.url, record.host, record.error, *record.request_headers.values()]
        for text in (*fields, *record.response_headers.values(), *record.request_headers):
            assert text.isprintable(), text
            assert "\u202e" not in text
    assert all(text.isprintable() for denial in proxy.notes.denials for text in denial)
    assert records[0].url == f"https://{HOST}/status/200?%9B31m%E2%80%AE&token=[REDACTED]"
    assert records[0].request_headers["X-Note"] == "\\x9b2J\\x85\u00c2\\x9b"
    assert records[-1].url == f"https://{HOST}/@attacker.test/"
    assert upstream.requests[0].path == "/status/200?\x9b31m\xe2\x80\xae&token=\x9b"  # the log only
    await closed(client._writer)


async def test_threat_31_userinfo_of_a_connect_is_not_logged(proxy: Proxying) -> None:
    answer = await proxy.try_connect("someone:hunter2secret@api.github.com:443")
    assert answer.status == 400
    (record,) = await proxy.notes.wait(1)
    assert record.url == "[REDACTED]@api.github.com:443"
    assert "hunter2secret" not in proxy.notes.everything()


@pytest.mark.usefixtures("lane")
async def test_threat_25_trailers_say_nothing_twice(proxy: Proxying, upstream: Upstream) -> None:
    head = f"POST /user HTTP/1.1\nHost: {HOST}\nTransfer-Encoding: chunked"
    trailers = b"Authorization: mine\r\nContent-Length: 7\r\nHost: evil\r\nCookie: a\r\nX-Sum: y\r\n"
    answer = await proxy.ask(f"{HOST}:443", head, b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n")
    assert answer.status == 200
    assert [field for field in upstream.requests[0].headers if field[0].startswith("trailer:")] == [
        ("trailer:x-sum", "y")
    ]


class Hostile(Upstream):
    """Answers every request with `script`; endlessly, when it is a hint."""

    script = b""

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        self.raw += await reader.readuntil(b"\r\n\r\n")
        writer.write(self.script)
        while self.script.startswith(b"HTTP/1.1 1"):
            writer.write(self.script)
            await writer.drain()
        await writer.drain()
        return True


@pytest.mark.parametrize(
    "script",
    [
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\rset-cookie: b\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx y: a\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 4\r\n\r\nevil",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
    ],
)
@pytest.mark.usefixtures("lane")
async def test_threat_25_a_response_that_means_two_things_is_not_passed_on(
    tmp_path: Path, script: bytes
) -> None:
    """A plain-http connection to the proxy serves many hosts: one must not write another's response."""
    async with Hostile([HOST], tls=False) as upstream, proxying(tmp_path, (f"{HOST}:80", upstream)) as proxy:
        upstream.script = script
        answer = await proxy.plain(f"GET http://{HOST}/ HTTP/1.1\nHost: {HOST}")
        assert answer.status == 502
        assert answer.headers["connection"] == "close"
        (record,) = await proxy.notes.wait(1)
        assert record.error.startswith("the upstream")


@pytest.mark.usefixtures("lane")
async def test_threat_25_what_comes_behind_a_response_is_nobodys(tmp_path: Path) -> None:
    async with Hostile([HOST], tls=False) as upstream, proxying(tmp_path, (f"{HOST}:80", upstream)) as proxy:
        extra = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"
        upstream.script = extra + b"good" + extra + b"evil"
        reader, writer = await proxy.connect()
        head = f"GET http://{HOST}/ HTTP/1.1\nHost: {HOST}\nProxy-Authorization: {proxy_authorization()}"
        for _ in range(3):
            writer.write(wire(head))
            async with asyncio.timeout(10):
                assert (await read_answer(reader)).body == b"good"
        await closed(writer)


@pytest.mark.parametrize(
    "odd",
    [
        [(":authority", f"user@{HOST}")],
        [(":authority", HOST), (":authority", "attacker.test")],
        [(":authority", HOST), ("host", "attacker.test")],
        [(":authority", HOST), ("Authorization", "mine")],
        [(":authority", HOST), ("authorization ", "mine")],
        [(":authority", HOST), ("authorization", "a\0b")],
        [(":authority", HOST), ("x", "a\r\nauthorization: mine")],
        [(":authority", HOST), ("connection", "upgrade"), ("upgrade", "websocket")],
        [(":authority", HOST), ("transfer-encoding", "chunked")],
        [],
    ],
)
async def test_threat_03_invalid_http2_is_refused_and_recorded(
    proxy: Proxying, upstream: Upstream, odd: list[tuple[str, str]]
) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=("h2",))
    client = Http2Client(reader, writer)
    client.send([(":method", "GET"), (":scheme", "https"), (":path", "/user"), *odd])
    async with asyncio.timeout(10):
        while await reader.read(4096):
            pass
    (record,) = await proxy.notes.wait(1)
    assert (record.decision, record.rule, record.host) == ("denied", "malformed", HOST)
    assert len(proxy.notes.denials) == 1
    assert upstream.requests == []
    await closed(writer)


@pytest.mark.parametrize("extended", [False, True])
async def test_an_http2_tunnel_in_the_tunnel(proxy: Proxying, upstream: Upstream, extended: bool) -> None:
    """CONNECT, plain and extended (RFC 8441), towards another host."""
    reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=("h2",))
    client = Http2Client(reader, writer)
    more = [(":protocol", "websocket"), (":scheme", "https"), (":path", "/ws")] if extended else []
    client.send([(":method", "CONNECT"), *more, (":authority", "attacker.test:443")], end=False)
    async with asyncio.timeout(10):
        while await reader.read(4096):
            pass
    (record,) = await proxy.notes.wait(1)
    assert (record.decision, record.rule) == ("denied", "malformed")
    assert upstream.accepted == 0
    await closed(writer)


async def test_an_upload_that_ends_early_once_it_was_answered_ends_nothing_else(
    proxy: Proxying, upstream: Upstream
) -> None:
    """As curl does: it read the whole refusal and sends no more of the body that it had announced."""
    reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=("h2",))
    client = Http2Client(reader, writer)
    pseudo = [(":method", "POST"), (":scheme", "https"), (":path", "/user"), (":authority", "evil.test")]
    refused = client.send([*pseudo, ("content-length", "4")], end=False)
    await client.finish(refused)
    client.h2.send_data(refused, b"", end_stream=True)
    passed = client.get(HOST)
    await client.finish(passed)
    assert (client.statuses[refused], client.statuses[passed]) == (403, 200)
    assert [record.status_code for record in await proxy.notes.wait(2)] == [403, 200]
    await closed(writer)
