"""Answers the name questions of a transparent run, itself: no query goes on to anybody.

Every well-formed name of two labels or more leads to the one address where the proxy listens; whether
that host may be reached is decided there, where the client can read the refusal. All other questions
(TXT, MX, AAAA, HTTPS with its encrypted hello …) have no answer, so nothing can be carried out in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address
from types import ModuleType
from typing import cast

from engine.proxy.destination import BadDestination, normalise_host

TTL = 30  # seconds; the address stays for the run's life, but a cache must not outlive it by much
QUERY_TIMEOUT = 10.0  # seconds that a TCP client may take for a question
MAX_QUERY = 4096  # bytes; a question for one name is at most 271, with EDNS some more
MAX_CLIENTS = 64  # TCP connections at a time

_A, _IN, _STANDARD = 1, 1, 0
_FORMERR, _NXDOMAIN, _NOTIMP = 1, 3, 4


def answer(query: bytes, address: IPv4Address) -> bytes | None:
    """The answer's bytes; None for what is no question (RFC 1035 §4.1), which is not answered at all."""
    dns = _library()
    try:
        message = dns.DNSMessage.unpack(query)
    except (struct.error, ValueError, IndexError, RecursionError):
        return None
    question = message.question
    if not message.query:
        return None
    try:
        if message.op_code != _STANDARD:
            return bytes(message.fail(_NOTIMP).packed)
        if question is None:
            return None
        if not _is_host(question.name):
            return bytes(message.fail(_NXDOMAIN).packed)
        if question.type != _A or question.class_ != _IN:
            return bytes(message.succeed([]).packed)
        return bytes(message.succeed([dns.ResourceRecord.A(question.name, address, ttl=TTL)]).packed)
    except (struct.error, ValueError):
        return None  # a name that can be read but not written again


def name_in(query: bytes) -> str:
    """The name that is asked for; "" for what is no question."""
    try:
        question = _library().DNSMessage.unpack(query).question
    except (struct.error, ValueError, IndexError, RecursionError):
        return ""
    return question.name if question is not None else ""


def _is_host(name: str) -> bool:
    """Not `localhost`, which is the container's own, nor what a search list or a typing error makes."""
    with contextlib.suppress(BadDestination):
        host, is_ip = normalise_host(name)
        last = host.rpartition(".")[2]
        return "." in host and not is_ip and last not in ("localhost", "arpa")
    return False


@lru_cache(maxsize=1)
def _library() -> ModuleType:
    from mitmproxy import dns

    return dns


class NameServer:
    """`start` once, `close` once. is_ours: whether a peer address may ask. `dropped` counts the others.
    heard: told each name that is asked for, whatever it is asked about it.
    """

    def __init__(
        self,
        address: str,
        is_ours: Callable[[object], bool],
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self._address = IPv4Address(address)
        self._heard = heard
        self._is_ours = is_ours
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self.dropped = 0

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """The sockets are bound, `tcp` may listen already; they belong to the name server from now on."""
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self.asked), sock=udp)
        self._tcp = await asyncio.start_server(self._serve, sock=tcp)

    def close(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for writer in list(self._clients):
            writer.transport.abort()

    def asked(self, query: bytes, peer: object) -> bytes | None:
        if len(query) > MAX_QUERY or not self._is_ours(peer):
            self.dropped += 1
            return None
        if self._heard is not None:
            self._heard(name_in(query))
        return answer(query, self._address)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each message has its length in front (RFC 1035 §4.2.2)."""
        peer = writer.get_extra_info("peername")
        if len(self._clients) >= MAX_CLIENTS or not self._is_ours(peer):
            self.dropped += 1
            writer.transport.abort()
            return
        self._clients.add(writer)
        try:
            while True:
                async with asyncio.timeout(QUERY_TIMEOUT):
                    size = int.from_bytes(await reader.readexactly(2))
                    said = self.asked(await reader.readexactly(size), peer) if size <= MAX_QUERY else None
                    if said is None:
                        break
                    writer.write(len(said).to_bytes(2) + said)
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            self._clients.discard(writer)
            writer.transport.abort()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, asked: Callable[[bytes, object], bytes | None]) -> None:
        self._asked = asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # not all loops' are one by type

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        said = self._asked(data, addr)
        if said is not None:
            self._transport.sendto(said, addr)
