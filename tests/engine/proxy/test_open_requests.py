"""What is said about requests that are on their way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.proxying import BEARER, Notes, Proxying, closed, proxying, wire
from support.upstream import Upstream

from engine.proxy import open_requests
from engine.proxy.exchange import Exchange
from engine.proxy.mask import Masker
from engine.proxy.open_requests import OpenRequests
from engine.proxy.redact import Redactor

HOST = "api.github.com"


async def until(holds) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - the recorder is told by a timer, there is no event for it
            await asyncio.sleep(0.01)


def said(proxy: Proxying) -> list:
    return proxy.notes.opened[-1] if proxy.notes.opened else []


async def test_an_event_stream_is_open_while_it_runs_and_one_record_afterwards(tmp_path: Path) -> None:
    async with (
        Upstream([HOST], expected=BEARER, directory=tmp_path) as upstream,
        proxying(tmp_path, (HOST, upstream)) as proxy,
    ):
        upstream.gated = True
        reader, writer = await proxy.tunnel(f"{HOST}:443")
        writer.write(wire(f"GET /sse?n=3&token=abc HTTP/1.1\nHost: {HOST}\nCookie: a=b"))
        await until(lambda: said(proxy))
        (first,) = said(proxy)
        assert (first.method, first.host, first.bytes_in) == ("GET", HOST, 0)
        assert first.grant == "github"
        assert "abc" not in first.url
        assert first.request_headers["Cookie"] == "[REDACTED]"
        upstream.permit()
        await until(lambda: said(proxy)[0].bytes_in)
        (more,) = said(proxy)
        assert (more.id, more.status_code) == (first.id, 200)
        assert more.duration_ms > first.duration_ms
        assert not proxy.notes.records
        upstream.permit(2)
        (record,) = await proxy.notes.wait(1)
        assert record.id == first.id
        await until(lambda: said(proxy) == [])
        proxy.assert_no_canary()
        await closed(writer)
        del reader


async def test_quick_requests_are_never_said(tmp_path: Path) -> None:
    async with Upstream([HOST]) as upstream, proxying(tmp_path, (HOST, upstream)) as proxy:
        for _ in range(3):
            await proxy.ask(f"{HOST}:443", f"GET /user HTTP/1.1\nHost: {HOST}")
        await proxy.notes.wait(3)
        assert not proxy.server._admission._open._exchanges
    assert proxy.notes.opened == []


@pytest.fixture
def quick_looks(monkeypatch):
    monkeypatch.setattr(open_requests, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(open_requests, "TELL_EVERY", 0.02)


async def test_no_more_than_can_be_read_and_not_all_at_once(quick_looks, monkeypatch) -> None:
    monkeypatch.setattr(open_requests, "MAX_OPEN", 30)
    monkeypatch.setattr(open_requests, "_REDACTED_AT_ONCE", 20)
    notes = Notes()
    tracked = OpenRequests(notes)
    redactor = Redactor(Masker(()), frozenset())
    exchanges = [Exchange(redactor, "GET", f"https://{HOST}/{number}", HOST) for number in range(50)]
    for exchange in exchanges:
        tracked.add(exchange)
    await until(lambda: len(notes.opened) >= 2)
    assert [len(requests) for requests in notes.opened[:2]] == [20, 30]
    assert [record.id for record in notes.opened[1]] == [exchange.id for exchange in exchanges[:30]]
    told = len(notes.opened)
    for exchange in exchanges:
        tracked.remove(exchange)
    await until(lambda: notes.opened[-1] == [])
    assert len(notes.opened) == told + 1  # nothing has moved meanwhile, so nothing was said
    assert tracked._timer is None
