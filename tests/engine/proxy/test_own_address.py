"""This machine's own addresses, public ones too."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import pytest

from engine.proxy import own_address
from engine.proxy.dial import Dialer, DialRefused, parse_connect_to
from engine.proxy.own_address import is_own_address


def own_ipv4() -> str:
    """What this machine would speak from; nothing is sent. Loopback where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("nonlocal_bind", [False, True])
def test_own_and_foreign(nonlocal_bind: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if nonlocal_bind:  # a kernel set up for fail-over addresses lets every bind pass
        monkeypatch.setattr(own_address, "_can_bind", lambda text, version: True)
    for mine in ("127.0.0.1", own_ipv4()):
        assert is_own_address(ipaddress.ip_address(mine))
    for foreign in ("93.184.215.14", "198.51.100.7", "2606:4700:4700::1111"):
        assert not is_own_address(ipaddress.ip_address(foreign))


async def test_threat_19_a_public_address_of_this_machine_is_not_the_internet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a server or at home with IPv6, where the machine's own address is globally routable."""
    accepted = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        writer.close()

    service = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = service.sockets[0].getsockname()[1]
    monkeypatch.setattr("engine.proxy.dial.address_verdict", lambda _: "")

    async def getaddrinfo(self: object, host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    try:
        for host in ("me.test", "127.0.0.1"):
            with pytest.raises(DialRefused, match="an address of this machine") as caught:
                await Dialer().dial(host, port)
            assert caught.value.rule == "private-address"
        with pytest.raises(DialRefused):
            Dialer().check_literal("127.0.0.1", port)
        assert not accepted.is_set()
        named = Dialer((parse_connect_to(f"me.test:{port}:127.0.0.1:"),))
        _, writer = await named.dial("me.test", port)  # the person named it
        writer.close()
        await asyncio.wait_for(accepted.wait(), 5)
    finally:
        service.close()
        await service.wait_closed()
