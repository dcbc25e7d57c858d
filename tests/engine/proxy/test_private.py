"""Private destinations that a person opened: exactly those, and never a way to a metadata service."""

from __future__ import annotations

import pytest
from support.resolving import resolving

from engine.errors import UsageError
from engine.proxy.decision import RequestHead
from engine.proxy.destination import Destination
from engine.proxy.dial import Dialer, DialFailed, DialRefused
from engine.proxy.policy import Policy, decide, decide_tunnel
from engine.proxy.private import parse_private


def dialer(*opened: str, own: tuple[str, int] | None = None) -> Dialer:
    return Dialer(own=own, private=[parse_private(text) for text in opened])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DB.Internal.:8443", Destination("db.internal", 8443)),
        ("192.168.1.20:80", Destination("192.168.1.20", 80, ip=True)),
        ("0x7f.1:80", Destination("127.0.0.1", 80, ip=True)),
        ("[::ffff:10.0.0.1]:80", Destination("10.0.0.1", 80, ip=True)),
        ("[fd00:ec2::254]:80", Destination("fd00:ec2::254", 80, ip=True)),
    ],
)
def test_what_can_be_opened(text: str, expected: Destination) -> None:
    assert parse_private(text) == expected


@pytest.mark.parametrize(
    "text", ["", "db", "db:0", "*.internal:80", "http://db:80", "0.0.0.0:80", "[::]:80", "a:b:1"]
)
def test_what_cannot(text: str) -> None:
    with pytest.raises(UsageError, match="--allow-private"):
        parse_private(text)


@pytest.mark.parametrize("address", ["10.9.9.9", "127.0.0.1", "::1", "fd12::9", "100.64.0.9"])
async def test_an_opened_name_is_dialled(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch, address)
    with pytest.raises(DialFailed):
        await dialer("db.internal:8443").dial("db.internal", 8443)
    assert dialled == [(address, 8443)]


@pytest.mark.parametrize(
    ("host", "port"), [("db.internal", 443), ("other.internal", 8443), ("10.9.9.9", 8443)]
)
async def test_threat_19_nothing_else_is(host: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch, "10.9.9.9")
    with pytest.raises(DialRefused) as caught:
        await dialer("db.internal:8443").dial(host, port)
    assert caught.value.rule == "private-address"
    assert "--allow-private" in caught.value.remedy
    assert dialled == []


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "100.100.100.200",
        "fe80::1%eth0",
        "0.0.0.0",
    ],
)
async def test_threat_19_a_name_never_opens_a_metadata_service(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled = resolving(monkeypatch, address)
    with pytest.raises(DialRefused):
        await dialer("meta.internal:80", "169.254.169.254:80").dial("meta.internal", 80)
    assert dialled == []


async def test_an_address_that_is_written_out_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch)
    opened = dialer("169.254.169.254:80", "127.0.0.1:3000", own=("127.0.0.1", 9000))
    for host, port in (("169.254.169.254", 80), ("127.0.0.1", 3000)):
        with pytest.raises(DialFailed):
            await opened.dial(host, port)
        opened.check_literal(host, port)
    with pytest.raises(DialRefused):
        opened.check_literal("169.254.169.254", 81)
    assert dialled == [("169.254.169.254", 80), ("127.0.0.1", 3000)]


async def test_this_machine_has_a_name_when_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch, "10.9.9.9")
    opened = dialer("host.docker.internal:3000")
    with pytest.raises(DialFailed):
        await opened.dial("host.docker.internal", 3000)
    with pytest.raises(DialRefused):
        await opened.dial("host.docker.internal", 3001)
    assert dialled == [("127.0.0.1", 3000)]


async def test_the_proxy_itself_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch)
    with pytest.raises(DialRefused) as caught:
        await dialer("127.0.0.1:9000", own=("127.0.0.1", 9000)).dial("127.0.0.1", 9000)
    assert caught.value.rule == "own-address"
    assert dialled == []


@pytest.mark.parametrize(
    ("authority", "rule"),
    [
        ("10.0.0.5:80", ""),
        ("db.internal:8443", ""),
        ("10.0.0.5:81", "ip-literal"),
        ("db.internal:443", "not-allowed"),
        ("10.0.0.6:80", "ip-literal"),
    ],
)
def test_in_strict_what_was_opened_is_allowed_and_nothing_beside_it(authority: str, rule: str) -> None:
    policy = Policy(
        mode="strict", private=frozenset({parse_private("10.0.0.5:80"), parse_private("db.internal:8443")})
    )
    connect = parse_private(authority)
    head = RequestHead("GET", "/", (), (authority,), connect=connect)
    assert decide(head, policy).rule == rule
    assert decide_tunnel(connect, policy).allowed is (rule != "ip-literal")
