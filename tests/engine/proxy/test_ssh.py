"""Tunnels to SSH servers of grants: they carry SSH alone, and nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.proxying import closed, proxy_authorization, read_answer
from support.ssh_proxying import BANNER, CLIENT, GIT, SERVERS, granted, parrot

from engine.config.rules import HostRules, parse_rule
from engine.proxy import parse_connect_to
from engine.proxy.destination import Destination
from engine.proxy.lane import ssh_tunnel
from engine.proxy.lane.link import Link
from engine.proxy.policy import Policy, decide_tunnel
from engine.proxy.rules import Rules
from engine.proxy.ssh import speaks_ssh

SHUT = (HostRules(GIT, (parse_rule("deny"),)),)


async def heard(reader: asyncio.StreamReader, size: int) -> bytes:
    async with asyncio.timeout(10):
        return await reader.readexactly(size)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Up to the end, however it comes."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(
    ("beginning", "verdict"),
    [
        (b"", None), (b"SSH-", None), (b"SSH-2.0-", True), (CLIENT, True), (b"SSH-1.5-x", False),
        (b"ssh-2.0-", False), (b"GET / HTTP/1.1", False), (b"\x16\x03\x01", False), (b"\r\nSSH-2.0-", False),
    ],
)  # fmt: skip
def test_what_ssh_begins_with(beginning: bytes, verdict: bool | None) -> None:
    assert speaks_ssh(beginning) is verdict


@pytest.mark.parametrize("mode", ["strict", "ask", "permissive"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_ssh_passes_to_the_granted_server_and_is_recorded(
    tmp_path: Path, mode: str, version: str
) -> None:
    async with granted(tmp_path, mode=mode) as proxy:
        reader, writer = await proxy.connect()
        writer.write(
            f"CONNECT Git.Test:22 HTTP/{version}\r\nProxy-Authorization: {proxy_authorization()}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        assert (await read_answer(reader, method="CONNECT")).status == 200
        assert await heard(reader, len(BANNER)) == BANNER  # though the client has said nothing yet
        body = CLIENT + b"\0\xff" * 500_000
        writer.write(body[:3])
        writer.write(body[3:])
        assert await heard(reader, len(body)) == body
        async with asyncio.timeout(10):
            while not proxy.notes.opened:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert [record.rule or record.url for record in proxy.notes.opened[-1]] == [f"{GIT}:22"]
        await closed(writer)
        record = (await proxy.notes.wait(1))[0]
    assert (record.method, record.url, record.host) == ("CONNECT", f"{GIT}:22", GIT)
    assert (record.decision, record.rule, record.status_code, record.error) == ("allowed", "ssh", 200, "")
    assert (record.bytes_out, record.bytes_in) == (len(body), len(BANNER) + len(body))
    assert proxy.notes.passes == [(GIT, f"CONNECT {GIT}:22", "ssh")]
    proxy.assert_no_canary()
    assert proxy_authorization().removeprefix("Basic ") not in proxy.notes.everything()


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: git.test\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"SSH-1.5-old\r\n"]
)
async def test_what_is_not_ssh_is_cut_before_the_server_hears_it(tmp_path: Path, sent: bytes) -> None:
    arrived = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            arrived.extend(data)

    async with granted(tmp_path, listen) as proxy:
        reader, writer = await proxy.tunnel(f"{GIT}:22", tls=False)
        writer.write(sent)
        assert await rest(reader) == b""
        record = (await proxy.notes.wait(1))[0]
        await closed(writer)
    assert not arrived
    assert (record.decision, record.rule, record.bytes_out) == ("denied", "not-ssh", 0)
    assert "the client does not speak SSH" in record.error
    assert [denial[2] for denial in proxy.notes.denials] == ["not-ssh"]


async def test_a_server_that_is_not_ssh_is_not_heard(tmp_path: Path) -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret")

    async with granted(tmp_path, web) as proxy:
        reader, writer = await proxy.tunnel(f"{GIT}:22", tls=False)
        writer.write(CLIENT)
        assert await rest(reader) == b""
        record = (await proxy.notes.wait(1))[0]
        await closed(writer)
    assert (record.decision, record.rule, record.bytes_in) == ("denied", "not-ssh", 0)
    assert "the server does not speak SSH" in record.error


async def test_who_says_nothing_is_cut_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.proxy.lane.ssh_tunnel.HEAD_TIMEOUT", 0.05)
    async with granted(tmp_path) as proxy:
        reader, writer = await proxy.tunnel(f"{GIT}:22", tls=False)
        assert await rest(reader) == BANNER
        assert (await proxy.notes.wait(1))[0].rule == "not-ssh"
        await closed(writer)


async def test_what_comes_before_the_server_is_reached_stays_outside(tmp_path: Path, monkeypatch) -> None:
    """Or an agent could fill the supervisor's memory while a connection hangs."""
    paused = asyncio.Event()

    async def late(*place: object) -> object:
        async with asyncio.timeout(10):
            await paused.wait()
        return await dial(*place)  # type: ignore[arg-type]

    def pause(link: Link) -> None:
        hold(link)
        paused.set()

    dial, hold = ssh_tunnel.dial, Link.pause
    monkeypatch.setattr(ssh_tunnel, "dial", late)
    monkeypatch.setattr(Link, "pause", pause)
    async with granted(tmp_path) as proxy:
        reader, writer = await proxy.connect()
        connect = f"CONNECT {GIT}:22 HTTP/1.1\r\nProxy-Authorization: {proxy_authorization()}\r\n\r\n"
        body = CLIENT + b"x" * 4_000_000
        writer.write(connect.encode() + body)
        assert (await read_answer(reader, method="CONNECT")).status == 200
        assert await heard(reader, len(BANNER) + len(body)) == BANNER + body
        await closed(writer)


async def test_the_end_of_the_run_is_the_end_of_the_tunnel(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await parrot(reader, writer)
        gone.set()

    async with granted(tmp_path, serve) as proxy:
        reader, writer = await proxy.tunnel(f"{GIT}:22", tls=False)
        writer.write(CLIENT)
        await heard(reader, len(BANNER + CLIENT))
        await proxy.server.close()
        assert await rest(reader) == b""
        async with asyncio.timeout(10):
            await gone.wait()
        assert proxy.notes.records[0].rule == "ssh"
        await closed(writer)


@pytest.mark.parametrize(
    ("authority", "rule", "status"),
    [
        pytest.param("other.test:22", "no-ssh-grant", 403, id="another host"),
        pytest.param("sub.git.test:22", "no-ssh-grant", 403, id="a name below it"),
        pytest.param("127.0.0.1:22", "ip-literal", 403, id="an address"),
    ],
)
async def test_no_other_server_is_reached(tmp_path: Path, authority: str, rule: str, status: int) -> None:
    async with granted(tmp_path) as proxy:
        answer = await proxy.try_connect(authority)
        assert (answer.status, answer.headers["x-moat-rule"]) == (status, rule)
        assert [denial[2] for denial in proxy.notes.denials] == [rule]


async def test_its_other_ports_are_as_closed_as_before(tmp_path: Path) -> None:
    async with granted(tmp_path) as proxy:
        answer = await proxy.ask(f"{GIT}:443", f"GET / HTTP/1.1\nHost: {GIT}")
        assert (answer.status, answer.headers["x-moat-rule"]) == (403, "not-allowed")
        reader, writer = await proxy.tunnel(f"{GIT}:2222", tls=False)
        writer.write(CLIENT)
        assert await rest(reader) == b""
        await closed(writer)
        assert proxy.notes.passes == []


async def test_the_token_is_needed_and_comes_first(tmp_path: Path) -> None:
    async with granted(tmp_path) as proxy:
        reader, writer = await proxy.connect()
        writer.write(f"CONNECT {GIT}:22 HTTP/1.1\r\nHost: {GIT}\r\n\r\n".encode())
        assert (await read_answer(reader)).status == 407
        writer.write(
            f"CONNECT {GIT}:22 HTTP/1.1\r\nHost: {GIT}\r\n"
            f"Proxy-Authorization: {proxy_authorization()}\r\n\r\n".encode()
        )
        answer = await read_answer(reader, method="CONNECT")
        assert (answer.status, answer.headers["x-moat-rule"]) == (403, "ssh-first")
        assert (await proxy.plain(f"CONNECT {GIT}:22 HTTP/1.1\nHost: x", token="x" * 32)).status == 407
        await closed(writer)
        assert proxy.notes.passes == []


async def test_threat_19_a_private_address_is_refused_unless_opened(tmp_path: Path) -> None:
    inside = Destination("localhost", 22)
    async with granted(tmp_path, connect_to=(), ssh=(inside,)) as proxy:
        answer = await proxy.try_connect("localhost:22")
        assert (answer.status, answer.headers["x-moat-rule"]) == (403, "private-address")
        assert "--allow-private" in answer.body.decode()
        await proxy.notes.wait(1)
        assert [denial[2] for denial in proxy.notes.denials] == ["private-address"]


async def test_a_server_that_does_not_answer_is_said(tmp_path: Path) -> None:
    async with granted(tmp_path, connect_to=(parse_connect_to(f"{GIT}:22:127.0.0.1:9"),)) as proxy:
        answer = await proxy.try_connect(f"{GIT}:22")
        assert (answer.status, answer.headers["x-moat-rule"]) == (502, "upstream-unreachable")
        assert proxy.notes.passes == []


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        pytest.param(SHUT, False, id="the host is denied"),
        pytest.param(
            (HostRules(GIT, (parse_rule("allow GET /a"), parse_rule("deny"))),), True, id="requests"
        ),
        pytest.param((HostRules(GIT, (parse_rule("deny POST /**"),)),), True, id="some requests"),
        pytest.param((HostRules(f"{GIT}:443", SHUT[0].rules),), True, id="another port"),
        pytest.param((HostRules(f"{GIT}:22", SHUT[0].rules),), False, id="this port"),
        pytest.param((HostRules(f"{GIT}:22"), *SHUT), True, id="allowed before it is denied"),
        pytest.param((HostRules(GIT), *SHUT), False, id="another port allowed before"),
    ],
)
def test_an_entry_that_shuts_the_host_counts(rules: tuple[HostRules, ...], allowed: bool) -> None:
    policy = Policy("strict", rules=Rules(workspace=rules), ssh=frozenset(SERVERS))
    decision = decide_tunnel(SERVERS[0], policy)
    assert (decision.allowed, decision.rule) == (allowed, "ssh" if allowed else "rule-denied")


def test_a_server_may_be_granted_by_its_address() -> None:
    server = Destination("203.0.113.7", 22, ip=True)
    assert decide_tunnel(server, Policy("strict", ssh=frozenset([server]))).allowed
    assert not decide_tunnel(server, Policy("strict", ssh=frozenset(SERVERS))).allowed


def test_port_22_may_be_named_for_other_uses() -> None:
    other = Destination("web.test", 22)
    assert not decide_tunnel(other, Policy("ask")).allowed
    assert decide_tunnel(other, Policy("permissive")).allowed
    assert decide_tunnel(other, Policy("strict", private=frozenset([other]))).allowed
