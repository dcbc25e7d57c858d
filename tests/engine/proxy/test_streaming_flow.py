"""Over real sockets: bodies pass as they come."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import BEARER, TOKEN, Http2Client, Proxying, closed, proxying, read_answer, wire
from support.upstream import Upstream

HOST = "api.github.com"
MIB = 1024 * 1024


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    async with Upstream([HOST], expected=BEARER, directory=tmp_path) as running:
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Proxying]:
    async with proxying(tmp_path, (HOST, upstream)) as running:
        yield running
    running.assert_no_canary()


def memory() -> int:
    """The process's peak resident size in bytes: it only grows, so a bound on its growth is a bound."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def pour(writer: asyncio.StreamWriter, size: int, patience: float = 20) -> int:
    """Write `size` zero bytes; returns how many were written when the other side stopped taking them."""
    block = bytes(64 * 1024)
    for sent in range(0, size, len(block)):
        writer.write(block)
        try:
            async with asyncio.timeout(patience):
                await writer.drain()
                # A TLS transport of 3.13.0 does not know that the one below it is lost until the loop has
                # turned, and a drain that has nothing to wait for does not turn it.
                await asyncio.sleep(0)
        except TimeoutError:
            return sent + len(block)
    return size


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
@pytest.mark.parametrize("upstream_http2", [False, True])
async def test_server_sent_events_arrive_one_by_one(tmp_path: Path, alpn: str, upstream_http2: bool) -> None:
    async with (
        Upstream([HOST], http2=upstream_http2) as upstream,
        proxying(tmp_path, (HOST, upstream)) as proxy,
    ):
        upstream.gated = True
        reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=(alpn,))
        received = b""
        if alpn == "h2":
            client = Http2Client(reader, writer)
            client.get(HOST, "/sse?n=5")
        else:
            writer.write(wire(f"GET /sse?n=5 HTTP/1.1\nHost: {HOST}"))
        for number in range(5):
            upstream.permit()  # event k+1 leaves the upstream only after event k was seen here
            async with asyncio.timeout(10):
                while b"data: event %d\n\n" % number not in received:
                    data = await reader.read(65536)
                    assert data
                    if alpn == "h2":
                        for event in client.h2.receive_data(data):
                            client._take(event)
                        received = b"".join(client.bodies.values())
                    else:
                        received += data
        assert b"event 5" not in received
        (record,) = await proxy.notes.wait(1)
        assert record.bytes_in == len(b"data: event 0\n\n") * 5
        assert record.response_body.startswith("data: event 0\n\ndata: event 1")
        await closed(writer)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_threat_27_a_large_upload_streams(
    proxy: Proxying, upstream: Upstream, tmp_path: Path, version: str, chunked: bool
) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(50 * MIB)
    before = memory()
    extra = ["-H", "Transfer-Encoding: chunked"] if chunked and version == "--http1.1" else []
    source = ["-T", "-"] if chunked and version == "--http2" else ["-T", str(big)]
    with big.open("rb") as stdin:
        process = await asyncio.create_subprocess_exec(
            "curl",
            *("-sS", "--max-time", "60", "--cacert", str(proxy.files.bundle), version),
            *("--proxy", f"http://moat:{TOKEN}@127.0.0.1:{proxy.port}"),
            *extra,
            *source,
            f"https://{HOST}/upload",
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    out, err = await process.communicate()
    assert out == b'{"size": %d}' % (50 * MIB), err
    assert memory() - before < 24 * MIB
    (record,) = await proxy.notes.wait(1)
    assert record.bytes_out == 50 * MIB
    assert len(record.request_body) <= 8192


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_threat_27_a_large_download_streams(proxy: Proxying, tmp_path: Path, version: str) -> None:
    before = memory()
    code, out = await proxy.curl(
        version, "-o", "/dev/null", "-w", "%{size_download}", f"https://{HOST}/download?size={50 * MIB}"
    )
    assert (code, out) == (0, str(50 * MIB))
    assert memory() - before < 24 * MIB


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.usefixtures("lane")
async def test_threat_27_a_starved_stream_is_not_stored_and_stops_no_other(
    tmp_path: Path, http2: bool
) -> None:
    async with Upstream([HOST], http2=http2) as upstream, proxying(tmp_path, (HOST, upstream)) as proxy:
        before = memory()
        reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=("h2",))
        client = Http2Client(reader, writer)
        slow = client.get(HOST, f"/download?size={200 * MIB}")  # its window of 64 KiB is never opened
        await upstream.seen(1)
        for number in range(5):
            quick = client.get(HOST, f"/download?size={MIB}")
            await client.finish_but(slow, quick)
            assert client.statuses[quick] == 200
            assert len(client.bodies[quick]) == MIB
            assert len(upstream.requests) == number + 2
        assert memory() - before < 32 * MIB
        await closed(writer)


async def test_threat_27_an_http2_upload_waits_for_the_upstreams_windows(tmp_path: Path) -> None:
    async with Upstream([HOST], http2=True) as upstream, proxying(tmp_path, (HOST, upstream)) as proxy:
        big = tmp_path / "big"
        with big.open("wb") as file:
            file.truncate(100 * MIB)
        before = memory()
        code, out = await proxy.curl("--http2", "-T", str(big), f"https://{HOST}/upload")
        assert (code, out) == (0, f'{{"size": {100 * MIB}}}')
        assert memory() - before < 32 * MIB


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_a_refused_upload_is_answered_early_and_not_kept(
    proxy: Proxying, upstream: Upstream, tmp_path: Path, version: str
) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(50 * MIB)
    before = memory()
    code, out = await proxy.curl(
        version, "-X", "POST", "-T", str(big), "-H", "Host: evil.test", f"https://{HOST}/"
    )
    assert code == 0, out
    assert "rule: host-mismatch" in out
    assert upstream.accepted == 0
    assert memory() - before < 24 * MIB


@pytest.mark.usefixtures("lane")
async def test_a_refused_upload_that_never_ends_is_cut(
    proxy: Proxying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.proxy.http1._MAX_IGNORED", 2 * MIB)
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"POST / HTTP/1.1\nHost: evil.test\nContent-Length: {1 << 40}"))
    assert (await read_answer(reader)).status == 403
    with pytest.raises(ConnectionError):
        await pour(writer, 100_000 * MIB)
    await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_a_body_waits_outside_while_the_decision_takes_its_time(
    proxy: Proxying, upstream: Upstream
) -> None:
    proxy.notes.stall = asyncio.Event()
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    size = 64 * MIB
    before = memory()
    writer.write(wire(f"POST /upload HTTP/1.1\nHost: {HOST}\nContent-Length: {size}"))
    sent = await pour(writer, size, patience=0.5)
    assert sent < 24 * MIB  # back-pressure reached this side
    proxy.notes.stall.set()
    await pour(writer, size - sent)
    answer = await read_answer(reader)
    assert answer.body == b'{"size": %d}' % size
    assert memory() - before < 48 * MIB
    await closed(writer)


async def test_threat_25_an_http2_body_without_length_is_framed_for_http1(
    proxy: Proxying, upstream: Upstream
) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443", alpn=("h2",))
    client = Http2Client(reader, writer)
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    pseudo = [(":method", "POST"), (":scheme", "https"), (":path", "/upload"), (":authority", HOST)]
    first = client.send(pseudo, body=smuggled)
    await client.finish(first)
    assert client.bodies[first] == b'{"size": %d}' % len(smuggled)
    assert [request.path for request in upstream.requests] == ["/upload"]
    assert upstream.requests[0].all("transfer-encoding") == ["chunked"]
    await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_trailers_pass_both_ways(proxy: Proxying, upstream: Upstream) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    head = wire(f"POST /chunked HTTP/1.1\nHost: {HOST}\nTransfer-Encoding: chunked")
    writer.write(head + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nAuthorization: Bearer own\r\n\r\n")
    response = b""
    async with asyncio.timeout(10):
        while not response.endswith(b"0\r\nx-checksum: abc\r\n\r\n"):
            response += await reader.read(65536)
    assert response.startswith(b"HTTP/1.1 200")
    assert upstream.requests[0].body == b"abc"
    assert ("trailer:x-sum", "1") in upstream.requests[0].headers
    assert not any(name.lower() == "trailer:authorization" for name, _ in upstream.requests[0].headers)
    await closed(writer)


@pytest.mark.usefixtures("lane")
async def test_expect_100_continue(proxy: Proxying, upstream: Upstream, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"x" * 100_000)
    code, out = await proxy.curl(
        "--http1.1", "-v", "-H", "Expect: 100-continue", "--data-binary", f"@{body}", f"https://{HOST}/upload"
    )
    assert code == 0
    assert "HTTP/1.1 100" in out
    assert '{"size": 100000}' in out
    assert upstream.requests[0].all("expect") == []


@pytest.mark.usefixtures("lane")
async def test_hints_of_the_upstream_are_not_the_answer(proxy: Proxying) -> None:
    assert (await proxy.ask(f"{HOST}:443", f"GET /early HTTP/1.1\nHost: {HOST}")).body == b'{"path":"/early"}'


@pytest.mark.parametrize(
    ("method", "path"), [("HEAD", "/user"), ("GET", "/status/204"), ("GET", "/status/304")]
)
@pytest.mark.usefixtures("lane")
async def test_answers_without_a_body(proxy: Proxying, method: str, path: str) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    for _ in range(2):
        writer.write(wire(f"{method} {path} HTTP/1.1\nHost: {HOST}"))
        assert (await read_answer(reader, method)).status in (200, 204, 304)
    await closed(writer)


async def test_threat_30_no_log_record_of_any_library(
    proxy: Proxying, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for version in ("--http1.1", "--http2"):
            await proxy.curl(version, f"https://{HOST}/user")
        await proxy.ask(f"{HOST}:443", "NONSENSE")
    noise = [record for record in caplog.records if record.name.split(".")[0] not in ("asyncio",)]
    assert noise == []
