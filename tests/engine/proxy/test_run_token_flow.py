"""Over real sockets: who may use a run's proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import (
    BEARER,
    TOKEN,
    Proxying,
    closed,
    proxy_authorization,
    proxying,
)
from support.upstream import Upstream

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


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1], TOKEN.upper()])
async def test_threat_23_the_token_of_the_run(proxy: Proxying, upstream: Upstream, token: str) -> None:
    code, out = await proxy.curl("-v", f"https://{HOST}/user", token=token)
    assert code == 56
    assert "407" in out
    assert "proxy-authenticate: Basic" in out
    plain = await proxy.plain("GET http://plain.test/ HTTP/1.1\nHost: plain.test", token=token)
    assert plain.status == 407
    assert upstream.accepted == 0
    assert {record.status_code for record in await proxy.notes.wait(2)} == {407}
    assert {denial[2] for denial in proxy.notes.denials} == ({"proxy-auth"} if token else set())


async def test_threat_23_two_proxy_authorizations_or_another_scheme(proxy: Proxying) -> None:
    good = proxy_authorization()
    twice = await proxy.plain(
        f"CONNECT {HOST}:443 HTTP/1.1\nProxy-Authorization: {good}\nProxy-Authorization: {good}",
        token="",
    )
    bearer = await proxy.plain(f"CONNECT {HOST}:443 HTTP/1.1\nProxy-Authorization: Bearer {TOKEN}", token="")
    assert (twice.status, bearer.status) == (407, 407)


async def test_threat_23_a_client_that_waits_to_be_asked_may_try_again(proxy: Proxying) -> None:
    code, out = await proxy.curl("--proxy-anyauth", f"https://{HOST}/user")
    assert (code, out) == (0, '{"login":"octocat"}')


async def test_a_stranger_on_the_runs_network_is_dropped_unread_whatever_it_knows(tmp_path: Path) -> None:
    async with proxying(tmp_path, strangers=("127.0.0.1",)) as proxy:
        reader, writer = await proxy.connect()
        writer.write(
            f"CONNECT {HOST}:443 HTTP/1.1\r\nProxy-Authorization: {proxy_authorization()}\r\n\r\n".encode()
        )
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert proxy.server.dropped == 1
        await closed(writer)


async def test_threat_23_a_peer_from_elsewhere_is_dropped_unread(tmp_path: Path) -> None:
    async with proxying(tmp_path, subnet="10.77.0.0/16") as proxy:
        reader, writer = await proxy.connect()
        writer.write(b"CONNECT")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert proxy.server.dropped == 1
        await closed(writer)
