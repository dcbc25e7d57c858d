"""Over real sockets: whom a credential reaches, and whom it never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import (
    BEARER,
    CANARY,
    PLACEHOLDER,
    TOKEN,
    Http2Client,
    Proxying,
    closed,
    proxy_authorization,
    proxying,
    read_answer,
    wire,
)
from support.upstream import Upstream

from engine.errors import AuditGateClosed
from engine.proxy import HostRule, Injection, parse_connect_to

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


async def test_threat_23_a_peer_from_elsewhere_is_dropped_unread(tmp_path: Path) -> None:
    async with proxying(tmp_path, subnet="10.77.0.0/16") as proxy:
        reader, writer = await proxy.connect()
        writer.write(b"CONNECT")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert proxy.server.dropped == 1
        await closed(writer)


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
