"""Names in a transparent run: all lead to the proxy, and no question leads any further."""

from __future__ import annotations

import asyncio
import socket
import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.dns import DNSMessage

from engine.proxy.names import MAX_QUERY, NameServer, answer

ADDRESS = IPv4Address("192.168.240.1")
HEAD = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0"
A, PTR, MX, TXT, AAAA, SRV, HTTPS, ANY = 1, 12, 15, 16, 28, 33, 65, 255


def question(name: str, kind: int = A, *, flags: int = 0x0100, count: int = 1, more: bytes = b"") -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    body = labels + b"\0" + struct.pack("!HH", kind, 1)
    return struct.pack("!HHHHHH", 0x1234, flags, count, 0, 0, bool(more)) + body * count + more


def answered(query: bytes) -> DNSMessage:
    said = answer(query, ADDRESS)
    assert said is not None
    message = DNSMessage.unpack(said)
    assert message.id == 0x1234
    assert not message.query
    return message


@pytest.mark.parametrize(
    "name",
    ["api.github.com", "aPi.GitHub.cOm", "secret-0123.attacker.test", "_x.a.test", "xn--bcher-kva.example"],
)
def test_a_name_leads_to_the_proxy(name: str) -> None:
    message = answered(question(name))
    assert [str(record.ipv4_address) for record in message.answers] == [str(ADDRESS)]
    assert answer(question(name), ADDRESS)[12 : 12 + len(name) + 2] == question(name)[12 : 12 + len(name) + 2]


def test_edns_is_understood_as_far_as_it_matters() -> None:
    assert len(answered(question("a.test", more=b"\0\0\x29\x10\0\0\0\0\0\0\0")).answers) == 1


@pytest.mark.parametrize("kind", [MX, TXT, AAAA, SRV, HTTPS, ANY, 64, 5, 2])
def test_threat_18_nothing_but_an_address_is_ever_answered(kind: int) -> None:
    message = answered(question("secret.attacker.test", kind))
    assert (message.response_code, message.answers) == (0, [])


@pytest.mark.parametrize(
    "name", ["", "localhost", "a.localhost", "db", "1.0.0.127.in-addr.arpa", "10.0.0.1", "a b.test"]
)
def test_no_such_name(name: str) -> None:
    assert answered(question(name)).response_code == 3


@pytest.mark.parametrize(
    "query",
    [
        b"", b"\0" * 11, b"\0" * 12, question("a.test")[:-1], question("a.test") + b"x",
        question("a.test", flags=0x8180), question("a.test", count=2),
        HEAD + b"\xc0\x0c\0\1\0\1",  # a pointer to itself, and 1900 in a row
        HEAD + b"".join(struct.pack("!H", 0xC000 | (14 + 2 * n)) for n in range(1900)) + b"\0\0\1\0\1",
    ],
)  # fmt: skip
def test_what_is_no_question_is_not_answered(query: bytes) -> None:
    assert answer(query, ADDRESS) is None


def test_another_operation_is_not_implemented() -> None:
    assert answered(question("a.test", flags=0x2800)).response_code == 4  # UPDATE


@given(st.binary(max_size=80))
def test_nothing_breaks_it(tail: bytes) -> None:
    answer(tail, ADDRESS)
    answer(question("a.test")[:12] + tail, ADDRESS)


async def test_it_answers_over_udp_and_tcp_and_only_its_own() -> None:
    tcp = socket.create_server(("127.0.0.2", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(tcp.getsockname())
    place = tcp.getsockname()
    ours = {"127.0.0.1"}
    server = NameServer(str(ADDRESS), lambda peer: peer[0] in ours)
    await server.start(udp, tcp)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, \
             socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:  # fmt: skip
            client.settimeout(10)
            stranger.bind(("127.0.0.3", 0))
            stranger.sendto(question("b.test"), place)
            for query in (b"junk", b"x" * (MAX_QUERY + 1), question("a.test")):
                client.sendto(query, place)
            said = await asyncio.to_thread(client.recv, 4096)
            assert said == answer(question("a.test"), ADDRESS)
            stranger.setblocking(False)
            with pytest.raises(BlockingIOError):
                stranger.recv(4096)
        assert server.dropped == 2
        reader, writer = await asyncio.open_connection(*place)
        for _ in range(2):
            writer.write(struct.pack("!H", 24) + question("a.test"))
            size = int.from_bytes(await reader.readexactly(2))
            assert await reader.readexactly(size) == said
        writer.write(b"\xff\xff")
        assert await reader.read() == b""
        writer.close()
        ours.clear()
        reader, writer = await asyncio.open_connection(*place)
        assert await reader.read() == b""
        writer.close()
    finally:
        server.close()
