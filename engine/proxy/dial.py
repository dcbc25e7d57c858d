"""From a destination to an open TCP connection: resolve, check every address, dial a checked one.

The address that was checked is the address that is dialled, never the name a second time, so a name
that changes its mind in between gains nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Collection, Iterable, Sequence

import msgspec

from engine.errors import UsageError
from engine.proxy.destination import BadDestination, Destination, address_verdict, normalise_host
from engine.proxy.own_address import is_own_address
from engine.proxy.private import THIS_MACHINE, opens
from engine.proxy.upstream_proxy import Refused, UpstreamProxy, is_local_name

RESOLVE_TIMEOUT = 10.0  # seconds
CONNECT_TIMEOUT = 10.0  # seconds, per address
_MAX_ADDRESSES = 4
_KEEPALIVE_IDLE = 60  # seconds; streams of language models are silent for minutes, NATs forget


class DialRefused(Exception):
    """The destination is one that a run must not reach. `message` and `remedy` are for a person."""

    def __init__(self, rule: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.remedy = remedy


class DialFailed(Exception):
    """Nobody answered; the text says why."""


class ConnectTo(msgspec.Struct, frozen=True):
    """curl's --connect-to: requests for `host:port` go to `address:to_port`. Empty and 0 match anything."""

    host: str
    port: int
    address: str
    to_port: int

    def describe(self) -> str:
        """As it was written, normalised."""
        host, address = (f"[{part}]" if ":" in part else part for part in (self.host, self.address))
        return f"{host}:{self.port or ''}:{address}:{self.to_port or ''}"


def parse_connect_to(text: str) -> ConnectTo:
    """`HOST:PORT:ADDR:PORT`, each part possibly empty, IPv6 in brackets. Raises UsageError."""
    parts = _split(text)
    try:
        if len(parts) != 4:
            raise BadDestination("it needs three colons")
        host = normalise_host(parts[0])[0] if parts[0] else ""
        address = normalise_host(parts[2])[0] if parts[2] else ""
        return ConnectTo(host, _port(parts[1]), address, _port(parts[3]))
    except BadDestination as error:
        raise UsageError(
            f"cannot read --connect-to {text!r}",
            detail=str(error),
            remedy="Write HOST:PORT:ADDR:PORT, for example api.github.com:443:127.0.0.1:8443.",
        ) from error


def _split(text: str) -> list[str]:
    parts = [""]
    depth = 0
    for char in text.strip():
        depth += (char == "[") - (char == "]")
        if char == ":" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _port(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise BadDestination("a port is a number from 1 to 65535")
    return int(text)


class Dialer:
    """own: where the proxy itself listens; a connection to it would be a loop.
    private: the private destinations that a person opened.
    upstream: the network's own proxy, which everything else goes through.
    """

    def __init__(
        self,
        connect_to: Sequence[ConnectTo] = (),
        own: tuple[str, int] | None = None,
        private: Collection[Destination] = (),
        upstream: UpstreamProxy | None = None,
    ) -> None:
        self._upstream = upstream
        self._connect_to = tuple(connect_to)
        self._own = own
        self._private = frozenset((each.host, each.port) for each in private)

    async def dial(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """`host` is normalised. Raises DialRefused or DialFailed; takes at most
        RESOLVE_TIMEOUT plus CONNECT_TIMEOUT for each address tried.
        """
        named, mapped = self._mapping(host, port)
        opened = (host, port) in self._private
        if self._upstream is not None and not mapped and not opened and self._upstream.takes(host, port):
            return await self._through(self._upstream, host, port)
        target, target_port = mapped or ("127.0.0.1" if opened and host == THIS_MACHINE else host, port)
        addresses = await self._addresses(target, target_port)
        if not named:
            addresses = _permitted(host, addresses, opened=opened)
        addresses = [address for address in addresses if not self._is_own(address, target_port)]
        if not addresses:
            raise DialRefused("own-address", f"{host} leads back to Moat's own proxy.", "")
        failure = ""
        for address in addresses[:_MAX_ADDRESSES]:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    reader, writer = await asyncio.open_connection(address, target_port)
            except TimeoutError:
                failure = f"no answer within {CONNECT_TIMEOUT:.0f} s"
            except OSError as error:
                failure = _words(error)
            else:
                _keep_alive(writer)
                return reader, writer
        raise DialFailed(failure)

    async def _through(
        self, upstream: UpstreamProxy, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The upstream proxy resolves the name, so only what is written can be judged."""
        try:
            _permitted(host, [str(ipaddress.ip_address(host))], opened=False)
        except ValueError:
            if is_local_name(host):
                raise _refused(host, "is", "a name of a local network") from None
        try:
            reader, writer = await upstream.tunnel(host, port)
        except Refused as error:
            raise DialFailed(str(error)) from None
        except TimeoutError:
            raise DialFailed("the upstream proxy did not answer in time") from None
        except OSError as error:
            raise DialFailed(f"the upstream proxy {upstream} cannot be reached: {_words(error)}") from None
        _keep_alive(writer)
        return reader, writer

    def check_literal(self, address: str, port: int) -> None:
        """Raises DialRefused for an address that `dial` would refuse; needs no resolver."""
        named, mapped = self._mapping(address, port)
        if not named:
            _permitted(address, [mapped[0] if mapped else address], opened=(address, port) in self._private)

    def _mapping(self, host: str, port: int) -> tuple[bool, tuple[str, int] | None]:
        for entry in self._connect_to:
            if entry.host in ("", host) and entry.port in (0, port):
                return bool(entry.address), (entry.address or host, entry.to_port or port)
        return False, None

    async def _addresses(self, host: str, port: int) -> list[str]:
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except TimeoutError as error:
            raise DialFailed("its name was not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise DialFailed("its name does not resolve") from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _is_own(self, address: str, port: int) -> bool:
        if self._own is None or port != self._own[1]:
            return False
        own, there = ipaddress.ip_address(self._own[0]), ipaddress.ip_address(address)
        return there == own or (own.is_unspecified and (there.is_loopback or there.is_private))


def _permitted(host: str, addresses: Iterable[str], *, opened: bool) -> list[str]:
    """Those that are globally routable, or that a person opened; DialRefused when none is."""
    addresses = list(addresses)
    verdict = ""
    permitted: list[str] = []
    for text in addresses:
        # getaddrinfo writes a link-local zone behind a %
        address = ipaddress.ip_address(text.partition("%")[0])
        found = address_verdict(address) or (
            # what listens on this machine, a person's development server say, is not the internet
            "an address of this machine" if is_own_address(address) else ""
        )
        if found and opened and opens(address, literal=text == host):
            permitted.append(text)
        elif found or "%" in text:
            verdict = found or "a link-local address"
        else:
            permitted.append(text)
    if not permitted:
        raise _refused(host, "is" if host in addresses else "leads to", verdict)
    return permitted


def _refused(host: str, leads: str, verdict: str) -> DialRefused:
    return DialRefused(
        "private-address",
        f"{host} {leads} {verdict}, which a run cannot reach.",
        "If it is meant, open it on the host: moat run --allow-private HOST:PORT.",
    )


def _words(error: OSError) -> str:
    """Not asyncio's own text, which quotes the address."""
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
        if idle is not None:
            sock.setsockopt(socket.IPPROTO_TCP, idle, _KEEPALIVE_IDLE)
