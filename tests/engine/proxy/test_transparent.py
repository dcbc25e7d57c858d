"""Clients that know no proxy: they connect to ports 80 and 443 of the address that all names lead to."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from support.proxying import (
    BEARER,
    TRANSPARENT,
    Answer,
    Http2Client,
    Proxying,
    closed,
    proxying,
    read_answer,
    wire,
)
from support.upstream import Upstream

HOST = "api.github.com"


async def opened(
    proxy: Proxying, port: int, *, sni: str | None = None, alpn: tuple[str, ...] = (), local: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """sni None: no TLS; "": TLS without a name."""
    tls: dict[str, Any] = {}
    if sni is not None:
        context = ssl.create_default_context(cafile=str(proxy.files.ca))
        context.check_hostname = bool(sni)
        if not sni:
            context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        tls = {"ssl": context, "server_hostname": sni}
    return await asyncio.open_connection(
        TRANSPARENT, proxy.entries[port], local_addr=(local, 0) if local else None, **tls
    )


async def ask(proxy: Proxying, port: int, *heads: str, sni: str | None = None) -> list[Answer]:
    """Requests on one connection, one after the other."""
    reader, writer = await opened(proxy, port, sni=sni)
    answers = []
    try:
        async with asyncio.timeout(20):
            for head in heads:
                writer.write(wire(head))
                answers.append(await read_answer(reader))
    finally:
        await closed(writer)
    return answers


async def test_a_credential_is_attached_as_through_the_proxy(tmp_path: Path) -> None:
    async with Upstream([HOST]) as upstream, proxying(tmp_path, (HOST, upstream), transparent=True) as proxy:
        code, out = await proxy.curl(
            "--noproxy", "*", "--connect-to", f"{HOST}:443:{TRANSPARENT}:{proxy.entries[443]}",
            f"https://{HOST}/user", token="",
        )  # fmt: skip
        assert code == 0, out
        assert upstream.requests[0].all("authorization") == [BEARER]
        assert proxy.notes.intents == [("github", "inject", HOST)]
        record = (await proxy.notes.wait(1))[0]
        assert (record.url, record.grant, record.decision) == (f"https://{HOST}/user", "github", "allowed")
        proxy.assert_no_canary()


async def test_http2_too(tmp_path: Path) -> None:
    async with Upstream([HOST]) as upstream, proxying(tmp_path, (HOST, upstream), transparent=True) as proxy:
        client = Http2Client(*await opened(proxy, 443, sni=HOST, alpn=("h2",)))
        first, second = client.get(HOST), client.get("attacker.test")
        await client.finish(first, second)
        assert (client.statuses[first], client.statuses[second]) == (200, 403)
        await closed(client._writer)
        assert upstream.requests[0].all("authorization") == [BEARER]


async def test_plain_http_goes_where_each_host_says_and_never_with_a_credential(tmp_path: Path) -> None:
    async with (
        Upstream([HOST], tls=False) as upstream,
        Upstream(["b.test"], tls=False) as other,
        proxying(tmp_path, (f"{HOST}:80", upstream), ("b.test:80", other), transparent=True) as proxy,
    ):
        answers = await ask(
            proxy, 80, f"GET /a HTTP/1.1\nHost: {HOST}", "GET /b HTTP/1.1\nHost: B.test:80",
            f"GET http://{HOST}/c HTTP/1.1\nHost: {HOST}",
        )  # fmt: skip
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert [request.path for request in upstream.requests] == ["/a", "/c"]
        assert [request.path for request in other.requests] == ["/b"]
        assert all(request.all("authorization") == [] for request in upstream.requests)
        assert proxy.notes.intents == []
        assert [record.url for record in await proxy.notes.wait(3)] == [
            f"http://{HOST}/a", "http://b.test/b", f"http://{HOST}/c",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("port", "sni", "head", "rule"),
    [
        (443, HOST, "GET / HTTP/1.1\nHost: attacker.test", "host-mismatch"),
        (443, HOST, f"GET / HTTP/1.1\nHost: {HOST}:8443", "host-mismatch"),
        (443, "attacker.test", f"GET / HTTP/1.1\nHost: {HOST}", "host-mismatch"),
        (443, "denied.test", "GET / HTTP/1.1\nHost: denied.test", "not-allowed"),
        (80, None, "GET / HTTP/1.1\nHost: denied.test", "not-allowed"),
        (80, None, "GET / HTTP/1.1\nHost: 93.184.215.14", "ip-literal"),
        (80, None, "GET / HTTP/1.1\nHost: 169.254.169.254", "ip-literal"),
        (80, None, "GET / HTTP/1.1\nHost: denied.test:8080", "not-a-server"),
        (80, None, f"GET https://{HOST}/ HTTP/1.1\nHost: {HOST}", "host-mismatch"),
        (80, None, f"GET http://denied.test/ HTTP/1.1\nHost: {HOST}", "host-mismatch"),
        (80, None, "GET / HTTP/1.1\nHost: a b", "not-a-server"),
    ],
)
async def test_threat_1_to_8_the_same_rules_hold(
    tmp_path: Path, port: int, sni: str | None, head: str, rule: str
) -> None:
    async with (
        Upstream([HOST]) as upstream,
        proxying(tmp_path, (HOST, upstream), (f"{HOST}:80", upstream), transparent=True, mode="strict",
                 allow=(HOST,)) as proxy,
    ):  # fmt: skip
        [answer] = await ask(proxy, port, head, sni=sni)
        assert answer.headers["x-moat-rule"] == rule, answer.body
        assert upstream.requests == []
        assert [denial[2] for denial in proxy.notes.denials] == [rule]
        assert proxy.notes.intents == []


@pytest.mark.parametrize(
    "head",
    [f"CONNECT {HOST}:443 HTTP/1.1\nHost: {HOST}:443", "TRACE / HTTP/1.1\nHost: a.test", "GET / HTTP/1.1"],
)
async def test_no_tunnel_and_no_nonsense_at_the_plain_entry(tmp_path: Path, head: str) -> None:
    async with Upstream([HOST]) as upstream, proxying(tmp_path, (HOST, upstream), transparent=True) as proxy:
        [answer] = await ask(proxy, 80, head)
        assert answer.status in (400, 403)
        assert upstream.requests == []


async def test_tls_without_a_name_is_refused(tmp_path: Path) -> None:
    async with proxying(tmp_path, transparent=True) as proxy:
        with pytest.raises((ssl.SSLError, OSError)):
            await opened(proxy, 443, sni="")
        record = (await proxy.notes.wait(1))[0]
        assert (record.decision, record.rule) == ("denied", "sni-missing")
        assert proxy.notes.denials[0][2] == "sni-missing"


@pytest.mark.parametrize("port", [80, 443])
async def test_what_the_port_is_not_for_is_refused(tmp_path: Path, port: int) -> None:
    async with proxying(tmp_path, transparent=True) as proxy:
        reader, writer = await opened(proxy, port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n" if port == 443 else b"\x16\x03\x01\x00\x05hello"
        )
        assert await reader.read() == b""
        await closed(writer)
        assert (await proxy.notes.wait(1))[0].rule == "not-http"


@pytest.mark.parametrize("port", [80, 443])
async def test_threat_23_the_host_itself_and_other_networks_are_dropped_unread(
    tmp_path: Path, port: int
) -> None:
    async with proxying(tmp_path, transparent=True, subnet="127.0.0.0/30") as proxy:
        for local in (TRANSPARENT, "127.0.0.9"):
            reader, writer = await opened(proxy, port, local=local)
            assert await reader.read() == b""
            await closed(writer)
        assert proxy.server.dropped == 2
        assert proxy.notes.records == []


async def test_the_password_is_still_asked_for_at_the_proxys_own_port(tmp_path: Path) -> None:
    async with proxying(tmp_path, transparent=True) as proxy:
        assert (await proxy.plain("GET http://a.test/ HTTP/1.1\nHost: a.test", token="")).status == 407


async def test_who_speaks_from_the_proxys_address_is_the_run_where_nobody_else_can(tmp_path: Path) -> None:
    async with proxying(tmp_path, transparent=True, alone=True, mode="strict") as proxy:
        reader, writer = await opened(proxy, 80, local=TRANSPARENT)
        writer.write(b"GET / HTTP/1.1\r\nHost: denied.test\r\n\r\n")
        assert (await read_answer(reader)).status == 403
        await closed(writer)
        assert proxy.server.dropped == 0
