"""The policy `ask` on real sockets: nothing goes anywhere before a person's yes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.proxying import BEARER, Http2Client, Proxying, closed, proxying, read_answer, wire
from support.upstream import Upstream

from engine.errors import AuditGateClosed
from engine.events import RequestRecord
from engine.proxy import ApprovalAnswer, Holding, Waiting

HOST = "new.test"
GET = f"GET /data HTTP/1.1\nHost: {HOST}"


class Desk:
    """A Holding, and a way to wait until so many approvals wait."""

    def __init__(self, timeout: float = 60, *, watched: bool = True) -> None:
        self._changed = asyncio.Event()
        self.holding = Holding(timeout, self._changed.set)
        if watched:
            self.holding.watch(600)

    async def waiting(self, count: int) -> tuple[Waiting, ...]:
        async with asyncio.timeout(20):
            while len(found := self.holding.approvals.waiting) != count:
                self._changed.clear()
                await self._changed.wait()
        return found


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    async with Upstream([HOST], expected=BEARER, directory=tmp_path) as running:
        yield running


@pytest.fixture
async def desk() -> Desk:
    return Desk()


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Upstream, desk: Desk) -> AsyncIterator[Proxying]:
    async with proxying(
        tmp_path, (HOST, upstream), (f"{HOST}:80", upstream), mode="ask", holding=desk.holding
    ) as running:
        yield running


async def one(proxy: Proxying) -> RequestRecord:
    (record,) = await proxy.notes.wait(1)
    return record


async def test_a_held_request_goes_on_after_a_yes_and_touches_nothing_before(
    proxy: Proxying, upstream: Upstream, desk: Desk
) -> None:
    asking = asyncio.ensure_future(proxy.ask(f"{HOST}:443", f"{GET}\nAuthorization: Bearer mine"))
    (waiting,) = await desk.waiting(1)
    assert (waiting.question.host, waiting.question.port, waiting.question.method) == (HOST, 443, "GET")
    assert waiting.question.shown == "/data"
    assert upstream.accepted == 0
    desk.holding.answer(waiting.id, ApprovalAnswer.ONCE)
    assert (await asking).status == 200
    (request,) = upstream.requests
    assert request.all("authorization") == ["Bearer mine"]  # allowed, not granted
    (approved,) = proxy.notes.approvals
    assert approved[0] == HOST
    assert approved[1:3] == (f"GET https://{HOST}/data", "approval-once")
    assert (await one(proxy)).rule == "approval-once"
    assert await desk.waiting(0) == ()


@pytest.mark.parametrize("http2", [False, True])
async def test_a_yes_for_the_run_is_asked_once_and_covers_that_host_and_port(
    tmp_path: Path, http2: bool
) -> None:
    desk = Desk()
    async with (
        Upstream([HOST], expected=BEARER, http2=http2) as upstream,
        proxying(tmp_path, (HOST, upstream), mode="ask", holding=desk.holding) as proxy,
    ):
        client = Http2Client(*await proxy.tunnel(f"{HOST}:443", alpn=("h2",)))
        streams = [client.get(HOST, path) for path in ("/data", "/data", "/other")]
        finishing = asyncio.ensure_future(client.finish(*streams))
        first, _ = await desk.waiting(2)
        assert first.held == 2  # alike: one question
        assert desk.holding.answer(first.id, ApprovalAnswer.RUN) == 3
        await finishing
        assert [client.statuses[stream] for stream in streams] == [200, 200, 200]
        assert (await proxy.ask(f"{HOST}:443", GET)).status == 200
        assert len(proxy.notes.approvals) == 4  # each one that a person let go, asked about or not


@pytest.mark.parametrize(
    ("answer", "rule"),
    [(ApprovalAnswer.DENY, "approval-denied"), (ApprovalAnswer.DENY_RUN, "approval-denied")],
)
async def test_a_no_is_a_403_that_says_so(
    proxy: Proxying, upstream: Upstream, desk: Desk, answer: ApprovalAnswer, rule: str
) -> None:
    asking = asyncio.ensure_future(
        proxy.ask(f"{HOST}:443", f"POST /x HTTP/1.1\nHost: {HOST}\nContent-Length: 9")
    )
    (waiting,) = await desk.waiting(1)
    desk.holding.answer(waiting.id, answer)
    refused = await asking
    assert refused.status == 403
    assert b"A person denied it" in refused.body
    assert b"remedy:" in refused.body
    assert refused.headers["x-moat-rule"] == rule
    assert proxy.notes.denials[0][:3] == (HOST, f"POST https://{HOST}/x", rule)
    assert upstream.accepted == 0


async def test_no_answer_in_time_is_a_no(tmp_path: Path, upstream: Upstream) -> None:
    desk = Desk(0.2)
    async with proxying(tmp_path, (HOST, upstream), mode="ask", holding=desk.holding) as proxy:
        refused = await proxy.ask(f"{HOST}:443", GET)
        assert (refused.status, refused.headers["x-moat-rule"]) == (403, "approval-timeout")
        assert b"Nobody answered within 0.2 seconds" in refused.body
        assert proxy.notes.denials[0][2] == "approval-timeout"
    assert upstream.accepted == 0


@pytest.mark.parametrize("holding", [True, False])
async def test_headless_is_a_no_at_once(tmp_path: Path, upstream: Upstream, holding: bool) -> None:
    desk = Desk(watched=False).holding if holding else None
    async with proxying(tmp_path, (HOST, upstream), mode="ask", holding=desk) as proxy:
        refused = await proxy.ask(f"{HOST}:443", GET)
        assert refused.headers["x-moat-rule"] == "approval-headless"
        assert b"moat approvals --watch" in refused.body
    assert upstream.accepted == 0


async def test_a_client_that_goes_withdraws_its_question(
    proxy: Proxying, upstream: Upstream, desk: Desk
) -> None:
    _, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(GET))
    (waiting,) = await desk.waiting(1)
    await closed(writer)
    await desk.waiting(0)
    assert desk.holding.answer(waiting.id, ApprovalAnswer.ONCE) == 0
    record = await one(proxy)
    assert (record.decision, record.rule) == ("denied", "approval-withdrawn")
    assert proxy.notes.denials[0][2] == "approval-withdrawn"
    assert upstream.accepted == 0


async def test_a_held_body_is_not_read_without_bound_and_arrives_whole(
    proxy: Proxying, upstream: Upstream, desk: Desk
) -> None:
    size = 64 * 1024 * 1024
    reader, writer = await proxy.tunnel(f"{HOST}:443")
    writer.write(wire(f"PUT /upload HTTP/1.1\nHost: {HOST}\nContent-Length: {size}"))
    sent = 0

    async def upload() -> None:
        nonlocal sent
        piece = bytes(1024 * 1024)
        while sent < size:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)

    uploading = asyncio.ensure_future(upload())
    (waiting,) = await desk.waiting(1)
    before = -1
    while sent != before:  # until nothing more is taken
        before = sent
        await asyncio.wait({uploading}, timeout=0.5)
    assert sent < size / 2
    desk.holding.answer(waiting.id, ApprovalAnswer.ONCE)
    await uploading
    answer = await read_answer(reader)
    assert answer.status == 200
    (request,) = await upstream.seen(1)
    assert request.size == size
    await closed(writer)


async def test_what_a_person_allows_does_not_leave_unrecorded(
    proxy: Proxying, upstream: Upstream, desk: Desk
) -> None:
    proxy.notes.refuse = AuditGateClosed("the disk is full")
    asking = asyncio.ensure_future(proxy.ask(f"{HOST}:443", GET))
    (waiting,) = await desk.waiting(1)
    desk.holding.answer(waiting.id, ApprovalAnswer.RUN)
    assert (await asking).status == 503
    assert upstream.accepted == 0


async def test_a_secret_in_the_query_is_not_shown(proxy: Proxying, desk: Desk) -> None:
    asking = asyncio.ensure_future(
        proxy.ask(f"{HOST}:443", f"GET /x?access_token=hush&a=1 HTTP/1.1\nHost: {HOST}")
    )
    (waiting,) = await desk.waiting(1)
    assert "hush" not in waiting.question.shown
    assert waiting.question.shown.startswith("/x?access_token=")
    desk.holding.answer(waiting.id, ApprovalAnswer.DENY)
    await asking


async def test_plain_http_and_every_lookalike_is_asked_about_as_what_it_is(
    proxy: Proxying, upstream: Upstream, desk: Desk
) -> None:
    plain = asyncio.ensure_future(proxy.plain(f"GET http://{HOST}/p HTTP/1.1\nHost: {HOST}"))
    (waiting,) = await desk.waiting(1)
    assert (waiting.question.port, waiting.question.tls) == (80, False)
    desk.holding.answer(waiting.id, ApprovalAnswer.RUN)
    await plain
    names = ["xn--nw-cja.test", "new.test.evil.test", "n\u0435w.test".encode("idna").decode()]
    asking = [
        asyncio.ensure_future(proxy.ask(f"{name}:443", f"GET / HTTP/1.1\nHost: {name}")) for name in names
    ]
    found = await desk.waiting(3)
    assert {each.question.host for each in found} == set(names)
    for each in found:
        desk.holding.answer(each.id, ApprovalAnswer.DENY)
    assert {answer.status for answer in await asyncio.gather(*asking)} == {403}
    assert {answer[1] for answer in proxy.notes.approvals} == {f"GET http://{HOST}/p"}


async def test_what_is_neither_tls_nor_http_is_refused_and_never_asked_about(
    proxy: Proxying, upstream: Upstream, desk: Desk
) -> None:
    reader, writer = await proxy.tunnel(f"{HOST}:443", tls=False)
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    assert await reader.read() == b""
    await closed(writer)
    assert (await one(proxy)).rule == "not-http"
    assert upstream.accepted == 0
    assert await desk.waiting(0) == ()
