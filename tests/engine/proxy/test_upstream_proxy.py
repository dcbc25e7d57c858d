"""Through the network's own proxy: what it is told, what it is not asked for, and what it answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import BEARER, proxying
from support.resolving import resolving
from support.upstream import Upstream

from engine.errors import UsageError
from engine.proxy.dial import Dialer, DialFailed, DialRefused
from engine.proxy.private import parse_private
from engine.proxy.upstream_proxy import UpstreamProxy, find_upstream_proxy, parse_upstream_proxy

HOST = "api.github.com"


class CorporateProxy:
    """Answers each CONNECT with `answer`, then leads it to `port` of this machine."""

    def __init__(self, answer: bytes, port: int) -> None:
        self.heads: list[str] = []
        self._answer = answer
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
            for writer in self._writers:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self._answer)
        if not self._answer.startswith(b"HTTP/1.1 200"):
            writer.close()
            return
        there, out = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_copy(reader, out), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_request_goes_through_it_with_its_own_password_only(tmp_path: Path) -> None:
    async with Upstream([HOST]) as upstream:
        corporate = CorporateProxy(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n", upstream.port)
        async with corporate.listening() as port:
            through = parse_upstream_proxy(f"http://me:s%40cret@127.0.0.1:{port}", "", "x")
            async with proxying(
                tmp_path, upstream_ca=upstream.ca_file, upstream_proxy=through, connect_to=()
            ) as proxy:
                answer = await proxy.ask(f"{HOST}:443", f"GET /user HTTP/1.1\nHost: {HOST}")
                assert answer.status == 200
                assert upstream.requests[0].all("authorization") == [BEARER]
                assert upstream.requests[0].all("proxy-authorization") == []
                assert corporate.heads == [
                    f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n"
                    "Proxy-Authorization: Basic bWU6c0BjcmV0\r\n\r\n"
                ]
                assert "s@cret" not in proxy.notes.everything() + repr(through) + repr(proxy.server._spec)
                proxy.assert_no_canary()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user and password"),
        (b"HTTP/1.1 403 <script>\r\n\r\n", r"refused it \(403\)"),
        (b"SSH-2.0-x\r\n\r\n", "did not answer as a proxy"),
        (b"HTTP/1.1 200", "did not answer as a proxy"),
        (b"x" * 100_000, "did not answer as a proxy"),
    ],
)
async def test_what_it_answers_otherwise(answer: bytes, words: str) -> None:
    async with CorporateProxy(answer, 0).listening() as port:
        dialer = Dialer(upstream=UpstreamProxy("127.0.0.1", port))
        with pytest.raises(DialFailed, match=words):
            await dialer.dial("a.test", 443)


async def test_it_is_not_there(unused_tcp_port: int) -> None:
    dialer = Dialer(upstream=UpstreamProxy("127.0.0.1", unused_tcp_port))
    with pytest.raises(
        DialFailed, match=r"upstream proxy 127.0.0.1:.* cannot be reached: connection refused"
    ):
        await dialer.dial("a.test", 443)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "fd00:ec2::254",
        "localhost",
        "db",
        "db.local",
        "metadata.google.internal",
    ],
)
async def test_threat_19_it_is_never_asked_for_what_is_private(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled = resolving(monkeypatch, "93.184.215.14")
    with pytest.raises(DialRefused) as caught:
        await Dialer(upstream=UpstreamProxy("proxy.corp", 3128)).dial(host, 443)
    assert caught.value.rule == "private-address"
    assert dialled == []


async def test_what_it_does_not_take_is_dialled_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch, "10.9.9.9")
    through = UpstreamProxy("proxy.corp", 3128, no_proxy="a.test, .b.test")
    dialer = Dialer(private=[parse_private("db.internal:8443")], upstream=through)
    for host, port, error in (
        ("db.internal", 8443, DialFailed),
        ("a.test", 443, DialRefused),  # resolved here, so checked here
        ("x.b.test", 443, DialRefused),
        ("c.test", 443, DialFailed),
    ):
        with pytest.raises(error):
            await dialer.dial(host, port)
    assert dialled == [("10.9.9.9", 8443), ("proxy.corp", 3128)]


@pytest.mark.parametrize(
    ("settled", "environ", "found"),
    [
        ("", {}, ""),
        ("", {"HTTPS_PROXY": "http://p.corp:3128"}, "p.corp:3128"),
        ("", {"https_proxy": "p.corp:3128", "HTTPS_PROXY": "q:1"}, "p.corp:3128"),
        ("", {"ALL_PROXY": "http://P.corp/"}, "p.corp:80"),
        ("", {"HTTP_PROXY": "http://p.corp:3128"}, ""),
        ("none", {"HTTPS_PROXY": "http://p.corp:3128"}, ""),
        ("http://q.corp:1", {"HTTPS_PROXY": "http://p.corp:3128"}, "q.corp:1"),
    ],
)
def test_where_it_is_found(settled: str, environ: dict[str, str], found: str) -> None:
    assert str(find_upstream_proxy(settled, environ) or "") == found


@pytest.mark.parametrize(
    "url",
    [
        "socks5://u:hidden@p:1",
        "https://u:hidden@p:1",
        "http://u:hidden@p:99999",
        "http://u:hid%0aden@p:1",
        "http://",
    ],
)
def test_one_that_cannot_be_used_is_not_quoted(url: str) -> None:
    with pytest.raises(UsageError, match="upstream proxy of the variable X") as caught:
        parse_upstream_proxy(url, "", "the variable X")
    assert "hidden" not in " ".join(caught.value.lines())
