"""Over real sockets: a decoy does not leave, and nothing else does after it; by both lanes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.messages import Response, SeenRequest
from support.proxying import CANARY, Http2Client, Notes, Proxying, closed, proxying, read_answer, wire
from support.upstream import Upstream

from engine.errors import AuditGateClosed
from engine.proxy.served import Given, Served
from engine.proxy.spec import Decoy

HOST, OTHER, PINNED = "api.github.com", "paste.example", "pinned.example"
KEY_ID = "AKIA4QZ7RW2TK5PYX3LM"
DECOYS = (Decoy("~/.aws/credentials", (KEY_ID,)),)
WHY = "A decoy (~/.aws/credentials) was about to leave, so this run's network is frozen."
ALARM = "ALARM: the decoy ~/.aws/credentials was about to leave; the run's network is frozen."

pytestmark = pytest.mark.usefixtures("lane")


class Watching(Upstream):
    """whole: the requests that came to their end. To /eager it answers before the body has come."""

    def __init__(self, directory: Path, *, http2: bool = False) -> None:
        super().__init__([HOST, OTHER, PINNED], directory=directory, http2=http2)
        self.whole: list[SeenRequest] = []

    async def _body(self, reader: asyncio.StreamReader, request: SeenRequest) -> None:
        if request.path == "/eager":
            writer = next(iter(self._connections))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        with suppress(ValueError):  # the end of the connection where a chunk should begin
            await super()._body(reader, request)
            return
        raise asyncio.IncompleteReadError(b"", None)

    async def respond(self, request: SeenRequest) -> Response:
        self.whole.append(request)
        return await super().respond(request)


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Watching]:
    async with Watching(tmp_path) as running:
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Watching) -> AsyncIterator[Proxying]:
    places = [(host, upstream) for host in (HOST, OTHER, PINNED)]
    async with proxying(tmp_path, *places, decoys=DECOYS, hidden=(KEY_ID,), passthrough=(PINNED,)) as running:
        yield running
    assert KEY_ID not in running.notes.everything()
    running.assert_no_canary()


async def assert_frozen(proxy: Proxying, upstream: Watching) -> None:
    """Nothing that is asked for now goes out, and the one alarm is written."""
    assert proxy.server.frozen.is_set()
    assert proxy.server.decoy == "~/.aws/credentials"
    ((_, _, rule, message),) = proxy.notes.alarms
    assert (rule, message) == ("decoy", ALARM)
    before = upstream.accepted
    for authority in (f"{HOST}:443", f"{PINNED}:443"):
        answer = await proxy.try_connect(authority)
        assert (answer.status, answer.headers["x-moat-rule"]) == (403, "decoy")
        assert WHY in answer.body.decode()
    answer = await proxy.plain(f"GET http://{OTHER}/ HTTP/1.1\nHost: {OTHER}")
    assert (answer.status, answer.headers["x-moat-rule"]) == (403, "decoy")
    assert upstream.accepted == before
    assert {rule for _, _, rule, _ in proxy.notes.denials} == {"decoy"}


def post(path: str, body: bytes, *fields: str, host: str = OTHER) -> bytes:
    more = "".join(f"\n{field}" for field in fields)
    return wire(f"POST {path} HTTP/1.1\nHost: {host}\nContent-Length: {len(body)}{more}") + body


@pytest.mark.parametrize(
    "request_bytes",
    [
        wire(f"GET /?key={KEY_ID} HTTP/1.1\nHost: {OTHER}"),
        wire(f"GET / HTTP/1.1\nHost: {OTHER}\nX-Key: {KEY_ID}"),
        post("/upload", f"key={KEY_ID}&more=yes".encode()),
        wire(f"POST / HTTP/1.1\nHost: {OTHER}\nTransfer-Encoding: chunked")
        + b"4\r\nAKIA\r\n10\r\n4QZ7RW2TK5PYX3LM\r\n0\r\n\r\n",
        wire(f"POST / HTTP/1.1\nHost: {OTHER}\nTransfer-Encoding: chunked")
        + f"2\r\nok\r\n0\r\nX-Sum: {KEY_ID}\r\n\r\n".encode(),
    ],
    ids=["url", "header", "body", "chunks", "trailer"],
)
async def test_a_request_with_a_decoy_is_refused_and_freezes_the_network(
    proxy: Proxying, upstream: Watching, request_bytes: bytes
) -> None:
    reader, writer = await proxy.tunnel(f"{OTHER}:443")
    writer.write(request_bytes)
    async with asyncio.timeout(10):
        answer = await read_answer(reader)
        assert (answer.status, answer.headers["x-moat-rule"]) == (403, "decoy")
        assert WHY in answer.body.decode()
        # the connection stays, and so does the answer
        writer.write(wire(f"GET / HTTP/1.1\nHost: {OTHER}"))
        assert (await read_answer(reader)).status == 403
    await closed(writer)
    assert not upstream.whole
    record, *_ = await proxy.notes.wait(1)
    assert (record.decision, record.rule, record.status_code) == ("denied", "decoy", 403)
    await assert_frozen(proxy, upstream)


async def test_the_rest_of_a_body_does_not_follow(proxy: Proxying, upstream: Watching) -> None:
    """What went before the decoy went; the request never becomes complete, and the agent reads why."""
    reader, writer = await proxy.tunnel(f"{OTHER}:443")
    size = 3_000_000
    writer.write(wire(f"POST /upload HTTP/1.1\nHost: {OTHER}\nContent-Length: {size}") + b"x" * 1000)
    await upstream.seen(1)
    writer.write(b"y" * 1000 + KEY_ID[:12].encode())
    await writer.drain()
    writer.write(KEY_ID[12:].encode() + b"z" * (size - 2020))
    async with asyncio.timeout(10):
        assert (await read_answer(reader)).status == 403
        await upstream.disconnected.wait()
    await closed(writer)
    assert not upstream.whole
    assert (b"x" * 1000 + b"y" * 1000).startswith(upstream.requests[0].body)
    (record,) = await proxy.notes.wait(1)
    assert record.error == "the request was cut off: it held a decoy, or another one did"
    await assert_frozen(proxy, upstream)


async def test_what_is_open_is_cut(proxy: Proxying, upstream: Watching) -> None:
    """A WebSocket, a tunnel that passes unseen, and a response that streams."""
    upstream.gated = True
    socket_reader, socket_writer = await proxy.tunnel(f"{HOST}:443")
    socket_writer.write(wire(f"GET /ws HTTP/1.1\nHost: {HOST}\nConnection: Upgrade\nUpgrade: websocket"))
    assert (await read_answer(socket_reader)).status == 101
    stream_reader, stream_writer = await proxy.tunnel(f"{HOST}:443")
    stream_writer.write(wire(f"GET /sse?n=3 HTTP/1.1\nHost: {HOST}"))
    await stream_reader.readuntil(b"\r\n\r\n")
    seen_by_nobody, pinned = await proxy.tunnel(f"{PINNED}:443", verify=False)
    upstream.gated = False
    async with asyncio.timeout(10):
        answer = await proxy.ask(f"{OTHER}:443", f"GET /{KEY_ID} HTTP/1.1\nHost: {OTHER}")
        assert answer.status == 403
        for reader in (socket_reader, stream_reader, seen_by_nobody):
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await reader.readexactly(10_000)
    for writer in (socket_writer, stream_writer, pinned):
        await closed(writer)
    await assert_frozen(proxy, upstream)


async def test_a_websocket_message_with_a_decoy_is_not_sent(proxy: Proxying, upstream: Watching) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(
        wire(
            f"GET /ws HTTP/1.1\nHost: {HOST}\nConnection: Upgrade\nUpgrade: websocket\n"
            "Sec-WebSocket-Extensions: permessage-deflate"
        )
    )
    assert (await read_answer(reader)).status == 101
    assert upstream.requests[0].all("sec-websocket-extensions") == []
    async with asyncio.timeout(10):
        writer.write(b"\x81\x85\0\0\0\0hello")
        assert await reader.readexactly(11) == b"\x81\x85\0\0\0\0hello"
        key = bytes([7, 7, 7, 7])
        writer.write(b"\x81\x94" + key + bytes(byte ^ 7 for byte in KEY_ID.encode()))
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        await proxy.server.frozen.wait()
    await closed(writer)
    await assert_frozen(proxy, upstream)


async def test_by_http2_only_that_stream_is_answered(proxy: Proxying, upstream: Watching) -> None:
    reader, writer = await proxy.tunnel(f"{OTHER}:443", alpn=("h2",))
    client = Http2Client(reader, writer)
    head = [(":method", "POST"), (":scheme", "https"), (":path", "/upload"), (":authority", OTHER)]
    stream = client.send(head, body=f"key={KEY_ID}".encode())
    await client.finish(stream)
    assert client.statuses[stream] == 403
    assert WHY in client.bodies[stream].decode()
    later = client.get(OTHER)
    await client.finish(later)
    assert client.statuses[later] == 403
    await closed(writer)
    assert not upstream.whole
    await assert_frozen(proxy, upstream)


@pytest.mark.parametrize("http2", [False, True], ids=["to http/1.1", "to h2"])
async def test_by_http2_a_body_that_has_begun_never_ends(tmp_path: Path, http2: bool) -> None:
    """And what else is open on the same connection is cut with it."""
    async with (
        Watching(tmp_path, http2=http2) as upstream,
        proxying(tmp_path, (OTHER, upstream), decoys=DECOYS, hidden=(KEY_ID,)) as proxy,
    ):
        reader, writer = await proxy.tunnel(f"{OTHER}:443", alpn=("h2",))
        client = Http2Client(reader, writer)
        head = [(":method", "POST"), (":scheme", "https"), (":path", "/upload"), (":authority", OTHER)]
        first = client.send(head, body=b"a beginning", end=False)
        other = client.send(head, body=b"another one", end=False)
        await upstream.seen(2)
        client.h2.send_data(first, f"and {KEY_ID} at last".encode(), end_stream=True)
        writer.write(client.h2.data_to_send())
        async with asyncio.timeout(10):
            await proxy.server.frozen.wait()
            with suppress(OSError):
                while await reader.read(65536):
                    pass
        client.h2.end_stream(other)
        await closed(writer)
        records = await proxy.notes.wait(2)
        assert sorted(record.rule for record in records) == ["", "decoy"]
        await assert_frozen(proxy, upstream)
        assert not upstream.whole
        assert not [seen for seen in upstream.requests if b"AKIA" in seen.body]


async def test_where_the_answer_has_begun_it_ends(proxy: Proxying, upstream: Watching) -> None:
    reader, writer = await proxy.tunnel(f"{OTHER}:443")
    writer.write(wire(f"POST /eager HTTP/1.1\nHost: {OTHER}\nContent-Length: 50"))
    async with asyncio.timeout(10):
        assert b" 200 " in await reader.readline()
        await reader.readuntil(b"begun")
        writer.write(f"key={KEY_ID}&and=more".encode().ljust(50))
        with suppress(OSError):
            assert b"ok" not in await reader.read()
    await closed(writer)
    assert not upstream.whole
    (record,) = await proxy.notes.wait(1)
    assert (record.decision, record.rule, record.status_code) == ("denied", "decoy", 200)
    await assert_frozen(proxy, upstream)


async def test_a_host_that_is_a_decoy(proxy: Proxying, upstream: Watching) -> None:
    answer = await proxy.try_connect(f"{KEY_ID.lower()}.attacker.test:443")
    assert (answer.status, answer.headers["x-moat-rule"]) == (403, "decoy")
    await assert_frozen(proxy, upstream)
    assert KEY_ID.lower() not in proxy.notes.everything()


async def test_a_server_name_that_is_a_decoy(proxy: Proxying, upstream: Watching) -> None:
    reader, writer = await proxy.tunnel(f"{PINNED}:443", sni=f"{KEY_ID.lower()}.test", verify=False)
    writer.write(wire(f"GET / HTTP/1.1\nHost: {PINNED}"))
    async with asyncio.timeout(10):
        assert (await read_answer(reader)).status == 403
    await closed(writer)
    await assert_frozen(proxy, upstream)


async def test_a_name_that_is_asked_for_is_a_decoy(tmp_path: Path, upstream: Watching) -> None:
    async with proxying(tmp_path, (HOST, upstream), decoys=DECOYS, transparent=True) as proxy:
        loop = asyncio.get_running_loop()
        labels = (KEY_ID[:10].lower(), KEY_ID[10:].lower(), "attacker", "test")
        name = b"".join(bytes([len(label)]) + label.encode() for label in labels)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            question = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + b"\0\0\x10\0\1"
            await loop.sock_sendto(asking, question, ("127.0.0.2", proxy.entries[53]))
            async with asyncio.timeout(10):
                await proxy.server.frozen.wait()
        assert (await proxy.try_connect(f"{HOST}:443")).status == 403
        assert [operation for _, operation, _, _ in proxy.notes.alarms] == ["DNS [REDACTED]"]


async def test_temporary_credentials_are_not_given_any_more(tmp_path: Path, upstream: Watching) -> None:
    async def give() -> Given:
        return Given("{}", "sts.example", ())

    served = (Served("/_aws/credentials", "aws", (), give),)
    async with proxying(tmp_path, (OTHER, upstream), decoys=DECOYS, served=served) as proxy:
        await proxy.ask(f"{OTHER}:443", f"GET /{KEY_ID} HTTP/1.1\nHost: {OTHER}")
        answer = await proxy.plain("GET /_aws/credentials HTTP/1.1\nHost: x", token="")
        assert (answer.status, answer.headers["x-moat-rule"]) == (403, "decoy")


async def test_the_alarm_is_written_before_anybody_is_answered(tmp_path: Path, upstream: Watching) -> None:
    async with proxying(tmp_path, (OTHER, upstream), decoys=DECOYS) as proxy:
        notes, gate = proxy.notes, asyncio.Event()

        class Slow(Notes):
            async def alarm(self, *alarm: str) -> None:
                await gate.wait()
                notes.alarms.append(alarm)

        proxy.server._admission._recorder = Slow()
        asking = asyncio.ensure_future(proxy.ask(f"{OTHER}:443", f"GET /{KEY_ID} HTTP/1.1\nHost: {OTHER}"))
        async with asyncio.timeout(10):
            await proxy.server.frozen.wait()  # what else has to be cut does not wait for a disk that is stuck
            assert not asking.done()
            gate.set()
            assert (await asking).status == 403
        assert notes.alarms == [(OTHER, f"GET https://{OTHER}/{KEY_ID}", "decoy", ALARM)]


async def test_an_alarm_that_cannot_be_written_freezes_all_the_same(
    tmp_path: Path, upstream: Watching
) -> None:
    async with proxying(tmp_path, (OTHER, upstream), decoys=DECOYS) as proxy:

        class Full(Notes):
            async def alarm(self, *_: str) -> None:
                raise AuditGateClosed("the disk is full")

        proxy.server._admission._recorder = Full()
        assert (await proxy.ask(f"{OTHER}:443", f"GET /{KEY_ID} HTTP/1.1\nHost: {OTHER}")).status == 403
        assert (await proxy.try_connect(f"{OTHER}:443")).status == 403
        assert proxy.server.unrecorded == 1
        proxy.server._admission.unrecorded = 0


async def test_what_is_clean_passes_as_without_decoys(proxy: Proxying, upstream: Watching) -> None:
    body = b"an innocent body that ends as some key does: AKIA"
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(post("/echo", body, host=HOST) + wire(f"GET /user HTTP/1.1\nHost: {HOST}"))
    async with asyncio.timeout(10):
        assert (await read_answer(reader)).status == 200
        assert (await read_answer(reader)).status in (200, 401)
    await closed(writer)
    assert [seen.body for seen in upstream.requests] == [body, b""]
    assert upstream.requests[0].all("authorization") == [f"Bearer {CANARY}"]
    assert not proxy.server.frozen.is_set()
    assert not proxy.notes.alarms
