"""Names become checked addresses, and only those are dialled."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from support.resolving import resolving

from engine.errors import UsageError
from engine.proxy.dial import ConnectTo, Dialer, DialFailed, DialRefused, parse_connect_to


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api.github.com:443:127.0.0.1:8443", ConnectTo("api.github.com", 443, "127.0.0.1", 8443)),
        ("API.GitHub.com.:443::8443", ConnectTo("api.github.com", 443, "", 8443)),
        ("::127.0.0.1:8443", ConnectTo("", 0, "127.0.0.1", 8443)),
        ("a.test:443:[::1]:8443", ConnectTo("a.test", 443, "::1", 8443)),
        ("a.test:443:b.test:", ConnectTo("a.test", 443, "b.test", 0)),
    ],
)
def test_connect_to(text: str, expected: ConnectTo) -> None:
    assert parse_connect_to(text) == expected
    assert parse_connect_to(expected.describe()) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "a:1", "a:1:b", "a:1:b:2:3", "a:x:b:1", "a:1:b:99999", "a b:1:c:2", "a:0:b:1"]
)
def test_bad_connect_to(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_connect_to(text)
    assert "HOST:PORT:ADDR:PORT" in caught.value.remedy


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00:ec2::254", "fe80::1%eth0"]
)
async def test_threat_20_a_name_that_leads_to_a_private_address(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled = resolving(monkeypatch, address)
    with pytest.raises(DialRefused) as caught:
        await Dialer().dial("rebind.test", 443)
    assert caught.value.rule == "private-address"
    assert "rebind.test" in caught.value.message
    assert dialled == []


async def test_threat_20_the_checked_address_is_dialled_and_not_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialled = resolving(monkeypatch, "10.0.0.1", "93.184.215.14", "127.0.0.1", "8.8.8.8")
    with pytest.raises(DialFailed, match="refused"):
        await Dialer().dial("mixed.test", 443)
    assert dialled == [("93.184.215.14", 443), ("8.8.8.8", 443)]


@pytest.mark.parametrize(
    "literal", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "fd00:ec2::254", "::1", "192.168.0.1"]
)
async def test_threat_19_literals(literal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch)
    with pytest.raises(DialRefused):
        await Dialer().dial(literal, 80)
    assert dialled == []


async def test_a_person_may_name_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch, "10.9.9.9")
    to = (parse_connect_to("a.test:443:127.0.0.1:8443"), parse_connect_to("b.test:443:inner.test:"))
    with pytest.raises(DialFailed):
        await Dialer(to).dial("a.test", 443)
    with pytest.raises(DialFailed):
        await Dialer(to).dial("b.test", 443)
    with pytest.raises(DialRefused):
        await Dialer(to).dial("a.test", 80)
    assert dialled == [("127.0.0.1", 8443), ("10.9.9.9", 443)]


async def test_another_port_alone_does_not_excuse_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "10.9.9.9")
    with pytest.raises(DialRefused):
        await Dialer((parse_connect_to("a.test:443::8443"),)).dial("a.test", 443)


@pytest.mark.parametrize(("own", "there"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
async def test_the_proxy_does_not_dial_itself(own: str, there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch)
    with pytest.raises(DialRefused) as caught:
        await Dialer((parse_connect_to(f"a.test:443:{there}:9000"),), (own, 9000)).dial("a.test", 443)
    assert caught.value.rule == "own-address"
    assert dialled == []


async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    with pytest.raises(DialFailed, match="does not resolve"):
        await Dialer().dial("nowhere.test", 443)
