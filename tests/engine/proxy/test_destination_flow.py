"""Over real sockets: where a request goes, and where a credential never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import (
    BEARER,
    CANARY,
    Http2Client,
    Proxying,
    closed,
    proxying,
)
from support.upstream import Upstream

from engine.proxy import parse_connect_to

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


@pytest.mark.usefixtures("lane")
async def test_threat_01_inner_host_of_a_grant_in_another_tunnel(proxy: Proxying, upstream: Upstream) -> None:
    answer = await proxy.ask("attacker.test:443", f"GET / HTTP/1.1\nHost: {HOST}")
    assert answer.status == 403
    assert b"rule: host-mismatch" in answer.body
    assert b"attacker.test" in answer.body
    assert upstream.accepted == 0
    assert [denial[2] for denial in proxy.notes.denials] == ["host-mismatch"]
    (record,) = await proxy.notes.wait(1)
    assert (record.decision, record.rule, record.grant, record.host) == (
        "denied",
        "host-mismatch",
        "",
        "attacker.test",
    )


@pytest.mark.usefixtures("lane")
async def test_threat_02_sni_of_another_host(proxy: Proxying, upstream: Upstream) -> None:
    to_granted = await proxy.ask(f"{HOST}:443", f"GET / HTTP/1.1\nHost: {HOST}", sni="attacker.test")
    to_attacker = await proxy.ask("attacker.test:443", f"GET / HTTP/1.1\nHost: {HOST}", sni=HOST)
    none = await proxy.ask(f"{HOST}:443", f"GET / HTTP/1.1\nHost: {HOST}", sni="")
    assert [answer.status for answer in (to_granted, to_attacker, none)] == [403, 403, 403]
    assert [denial[2] for denial in proxy.notes.denials] == ["sni-mismatch", "sni-mismatch", "sni-missing"]
    assert upstream.accepted == 0


async def test_threat_03_one_stream_of_many_names_another_host(proxy: Proxying, upstream: Upstream) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=("h2",))
    client = Http2Client(reader, writer)
    good = [client.get(HOST) for _ in range(3)]
    bad = [client.get("attacker.test"), client.get(f"{HOST}:8443")]
    good += [client.get(HOST), client.get(HOST.upper())]
    await client.finish(*good, *bad)
    assert [client.statuses[stream] for stream in good] == [200] * 5
    assert [client.statuses[stream] for stream in bad] == [403] * 2
    assert b"rule: host-mismatch" in client.bodies[bad[0]]
    assert len(upstream.requests) == 5
    await closed(writer)


async def test_threat_03_with_http2_on_both_sides(tmp_path: Path) -> None:
    async with (
        Upstream([HOST], expected=BEARER, http2=True) as upstream,
        proxying(tmp_path, (HOST, upstream)) as proxy,
    ):
        reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=("h2", "http/1.1"))
        client = Http2Client(reader, writer)
        good, bad = client.get(HOST), client.get("attacker.test")
        late = client.get(HOST, "/chunked")
        await client.finish(good, bad, late)
        assert (client.statuses[good], client.statuses[bad], client.statuses[late]) == (200, 403, 200)
        assert client.trailers[late] == [(b"x-checksum", b"abc")]
        assert {request.version for request in upstream.requests} == {"HTTP/2"}
        assert upstream.accepted == 1
        assert [request.all("authorization") for request in upstream.requests] == [[BEARER]] * 2
        await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_threat_04_absolute_form_and_host_disagree(proxy: Proxying, upstream: Upstream) -> None:
    inside = await proxy.ask(f"{HOST}:443", f"GET https://attacker.test/ HTTP/1.1\nHost: {HOST}")
    outside = await proxy.plain(f"GET http://attacker.test/ HTTP/1.1\nHost: {HOST}")
    assert (inside.status, outside.status) == (403, 403)
    assert upstream.accepted == 0


async def test_threat_05_plain_http_goes_without_a_token(tmp_path: Path) -> None:
    async with (
        Upstream([HOST], tls=False) as upstream,
        proxying(tmp_path, (f"{HOST}:80", upstream)) as proxy,
    ):
        code, out = await proxy.curl(f"http://{HOST}/user")
        assert (code, out) == (0, '{"login":"octocat"}')
        through = await proxy.ask(f"{HOST}:80", f"GET /user HTTP/1.1\nHost: {HOST}", tls=False)
        assert through.status == 200
        assert [request.all("authorization") for request in upstream.requests] == [[], []]
        assert [request.path for request in upstream.requests] == ["/user", "/user"]
        assert not any(r.all("proxy-authorization") for r in upstream.requests)
        assert proxy.notes.intents == []


@pytest.mark.usefixtures("lane")
async def test_threat_06_another_port_gets_no_token(proxy: Proxying, upstream: Upstream) -> None:
    code, _ = await proxy.curl(f"https://{HOST}:8443/echo")
    assert code == 0
    assert upstream.requests[0].all("authorization") == []
    assert upstream.requests[0].all("host") == [f"{HOST}:8443"]
    assert proxy.notes.intents == []


@pytest.mark.usefixtures("lane")
async def test_threat_07_spellings(proxy: Proxying, upstream: Upstream) -> None:
    answer = await proxy.ask(
        "API.GitHub.com.:443", "GET /user HTTP/1.1\nHost: aPi.github.com.", sni="api.GITHUB.com"
    )
    assert answer.status == 200
    assert upstream.requests[0].all("host") == [HOST]
    refused = await proxy.plain(f"CONNECT user@{HOST}:443 HTTP/1.1\nHost: {HOST}")
    assert refused.status == 400


async def test_threat_08_ip_literals(tmp_path: Path) -> None:
    async with Upstream(["203.0.113.7", HOST]) as upstream:
        async with proxying(tmp_path, ("203.0.113.7", upstream)) as proxy:
            answer = await proxy.ask("203.0.113.7:443", "GET / HTTP/1.1\nHost: 203.0.113.7", sni="")
            assert answer.status == 200
            named = await proxy.ask(
                "203.0.113.7:443", f"GET / HTTP/1.1\nHost: {HOST}", verify=False, sni=HOST
            )
            assert named.status == 403
        async with proxying(tmp_path, ("203.0.113.7", upstream), mode="strict") as proxy:
            refused = await proxy.try_connect("203.0.113.7:443")
            assert refused.status == 403
            assert b"rule: ip-literal" in refused.body
            plain = await proxy.plain("GET http://203.0.113.7/ HTTP/1.1\nHost: 203.0.113.7")
            assert plain.status == 403
            assert [denial[2] for denial in proxy.notes.denials] == ["ip-literal"] * 2
        assert [request.all("authorization") for request in upstream.requests] == [[]]


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ({"expired": True}, "expired"),
        ({"self_signed": True}, "unknown-issuer"),
        ({}, "wrong-name"),
        (None, "unknown-issuer"),
    ],
)
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_threat_09_certificates_that_do_not_verify(
    tmp_path: Path, fault: dict[str, bool] | None, rule: str, version: str
) -> None:
    names = [HOST] if fault or fault is None else ["somebody.test"]
    async with Upstream(names, **(fault or {})) as upstream:
        extra = {"upstream_ca": None} if fault is None else {}
        async with proxying(tmp_path, (HOST, upstream), **extra) as proxy:
            code, out = await proxy.curl(version, "-w", "%{http_code}", "-d", "body", f"https://{HOST}/user")
            assert code == 0
            assert out.endswith("502")
            assert HOST in out
            assert "certificate" in out
            assert "Nothing was sent" in out
            record = (await proxy.notes.wait(1))[
                0
            ]  # curl may end its refused body early, which HTTP/2 counts as an error
            assert (record.status_code, record.rule, record.decision) == (502, f"upstream-{rule}", "allowed")
            assert "certificate" in record.error
            proxy.assert_no_canary()
        assert upstream.requests == []
        assert bytes(upstream.raw) == b""


@pytest.mark.usefixtures("lane")
async def test_an_upstream_without_tls_or_without_anybody(tmp_path: Path) -> None:
    async with Upstream([HOST], tls=False) as upstream:
        async with proxying(tmp_path, (HOST, upstream)) as proxy:
            answer = await proxy.ask(f"{HOST}:443", f"GET / HTTP/1.1\nHost: {HOST}")
            assert answer.status == 502
            assert b"does not speak TLS" in answer.body
        assert CANARY.encode() not in upstream.raw
    async with proxying(tmp_path, (HOST, upstream)) as proxy:
        answer = await proxy.ask(f"{HOST}:443", f"GET / HTTP/1.1\nHost: {HOST}")
        assert answer.status == 502
        assert b"refused" in answer.body


@pytest.mark.usefixtures("lane")
async def test_an_upstream_that_never_finishes_its_handshake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.proxy.upstream.HANDSHAKE_TIMEOUT", 0.2)
    kept: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: kept.append(writer), "127.0.0.1", 0)
    detour = (parse_connect_to(f"{HOST}:443:127.0.0.1:{silent.sockets[0].getsockname()[1]}"),)
    async with proxying(tmp_path, connect_to=detour) as proxy:
        answer = await proxy.ask(f"{HOST}:443", f"GET / HTTP/1.1\nHost: {HOST}")
        assert answer.status == 502
        assert b"closed the connection before TLS" in answer.body
    silent.close()
    for writer in kept:
        await closed(writer)
    await silent.wait_closed()


@pytest.mark.usefixtures("lane")
async def test_threat_10_a_redirect_to_another_host(proxy: Proxying, upstream: Upstream) -> None:
    code, _ = await proxy.curl("-L", f"https://{HOST}/redirect?to=https://attacker.test/echo")
    assert code == 0
    assert [request.all("authorization") for request in upstream.requests] == [[BEARER], []]


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.0.1",
        "[::1]",
        "[fd00:ec2::254]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "localhost",
    ],
)
async def test_threat_19_private_addresses(tmp_path: Path, host: str) -> None:
    async with Upstream([HOST], tls=False) as upstream, proxying(tmp_path) as proxy:
        answer = await proxy.plain(
            f"GET http://{host}:{upstream.port}/ HTTP/1.1\nHost: {host}:{upstream.port}"
        )
        assert answer.status == 403
        assert b"rule: private-address" in answer.body
        assert b"--allow-private" in answer.body
        if host == "localhost":  # a name: the tunnel begins, and each request in it is refused
            head = f"GET / HTTP/1.1\nHost: {host}:{upstream.port}"
            tunnelled = await proxy.ask(f"{host}:{upstream.port}", head, tls=False)
        else:
            tunnelled = await proxy.try_connect(f"{host}:{upstream.port}")
        assert tunnelled.status == 403
        assert b"rule: private-address" in tunnelled.body
        assert upstream.accepted == 0
        await proxy.notes.wait(2)
        assert [record.rule for record in proxy.notes.records] == ["private-address"] * 2
        assert [record.decision for record in proxy.notes.records] == ["denied"] * 2
        assert [denial[2] for denial in proxy.notes.denials] == ["private-address"] * 2


@pytest.mark.usefixtures("lane")
async def test_strict_refuses_with_a_text_that_helps(tmp_path: Path) -> None:
    async with (
        Upstream(["allowed.test", "other.test"]) as upstream,
        proxying(
            tmp_path,
            ("allowed.test", upstream),
            ("other.test", upstream),
            mode="strict",
            allow=("allowed.test",),
        ) as proxy,
    ):
        assert (await proxy.curl("https://allowed.test/"))[1] == '{"path":"/"}'
        code, out = await proxy.curl("-i", "https://other.test/")
        assert code == 0
        assert "HTTP/2 403" in out
        assert "x-moat-decision: denied" in out
        assert "host: other.test" in out
        assert "rule: not-allowed" in out
        assert "--allow-host other.test" in out
        assert upstream.accepted == 1
