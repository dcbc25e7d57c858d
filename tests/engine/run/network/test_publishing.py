"""A run's ports on this machine: where they are, what is carried, and when nothing is any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import msgspec
import pytest
from support.fake_runtime import ENGINE

from engine.config import Port
from engine.errors import ContainerFailed
from engine.run.network import publishing
from engine.run.network.publishing import announced, publish
from engine.runtimes import Network, engine_terms
from engine.runtimes.reach import dial_here

PATIENCE = 20  # seconds
NETWORK = Network("moat-run_1", "n1", "172.18.0.1", "172.18.0.0/16", internal=False)
HERE = engine_terms(ENGINE, NETWORK, False, 0, 0)


class Container:
    """What listens in it listens here."""

    def __init__(self, address="127.0.0.1"):
        self._address = address

    async def address(self):
        if isinstance(self._address, Exception):
            raise self._address
        return self._address


@contextlib.asynccontextmanager
async def serving(answer, notices=None):
    """A server in the container that treats each connection by `answer`; yields where it is published."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    said = notices if notices is not None else []
    published = publish((Port("web", number),), HERE, (), said.append)
    task = asyncio.create_task(published.serve(Container(), dial_here))
    host, port = published.ports[0].address.split(":")
    try:
        async with asyncio.timeout(PATIENCE):
            yield published, host, int(port)
    finally:
        published.stop()
        async with asyncio.timeout(PATIENCE):
            await task
        server.close()
    assert not [line for line in said if "failed" in line]


async def until_refused(host, port):
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
        while True:
            _, late = await asyncio.open_connection(host, port)
            late.close()


async def echo_at_the_end(reader, writer):
    """Answers only once it has heard all, as half-closing clients expect."""
    heard = await reader.read(-1)
    writer.write(heard[::-1])
    await writer.drain()
    writer.close()


async def test_bytes_pass_both_ways_and_a_side_may_end_its_own_first():
    sent = os.urandom(3_000_000)
    async with serving(echo_at_the_end) as (_, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(sent)
        writer.write_eof()
        assert await reader.read(-1) == sent[::-1]
        writer.close()


async def test_the_server_may_speak_first_and_end_first():
    heard = asyncio.get_running_loop().create_future()

    async def answer(reader, writer):
        writer.write(b"220 ready\r\n")
        writer.write_eof()
        heard.set_result(await reader.read(-1))
        writer.close()

    async with serving(answer) as (_, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        assert await reader.read(-1) == b"220 ready\r\n"
        writer.write(b"bye")
        writer.close()
        assert await heard == b"bye"


async def test_who_goes_away_in_the_middle_is_missed_on_the_other_side():
    lost = asyncio.Event()

    async def answer(reader, writer):
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                writer.write(b"x" * 65536)
                await writer.drain()
        lost.set()
        writer.transport.abort()

    async with serving(answer) as (_, host, port):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"go")
        await writer.drain()
        writer.transport.abort()
        await lost.wait()


async def test_where_nothing_listens_the_connection_ends():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    published = publish((Port("web", number),), HERE, (), [].append)
    assert published.ports[0].address == f"127.0.0.1:{number}"
    assert published.env == {
        "MOAT_HOST_WEB": f"127.0.0.1:{number}",
        "MOAT_URL_WEB": f"http://127.0.0.1:{number}",
    }
    task = asyncio.create_task(published.serve(Container("127.0.0.2"), dial_here))
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        assert await reader.read(-1) == b""
        writer.close()
        published.stop()
        await task
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", number)


async def test_stopped_it_ends_what_is_carried_and_takes_no_more():
    """As a network that is frozen wants it."""
    begun = asyncio.Event()

    async def answer(reader, writer):
        begun.set()
        await reader.read(-1)
        writer.close()

    async with serving(answer) as (published, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        await begun.wait()
        published.stop()
        assert await reader.read(-1) == b""
        await until_refused(host, port)
        writer.close()


async def test_stopped_before_it_served_it_serves_nobody():
    published = publish((Port("web", 1),), HERE, (), [].append)
    published.stop()
    async with asyncio.timeout(PATIENCE):
        await published.serve(Container(), dial_here)
    host, port = published.ports[0].address.split(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize(
    ("address", "said"), [("", []), (ContainerFailed("gone"), ["the run's ports lead nowhere: gone"])]
)
async def test_a_container_without_an_address_leads_nowhere_and_not_to_this_machine(address, said):
    notices = []
    published = publish((Port("web", 1),), HERE, (), notices.append)
    async with asyncio.timeout(PATIENCE):
        await published.serve(Container(address), dial_here)
    assert notices == said


async def test_connections_are_bounded_and_the_next_waits_until_one_ends(monkeypatch):
    monkeypatch.setattr(publishing, "MOST", 2)
    notices, begun = [], asyncio.Semaphore(0)

    async def answer(reader, writer):
        begun.release()
        await reader.read(-1)
        writer.close()

    async with serving(answer, notices) as (_, host, port):
        clients = [await asyncio.open_connection(host, port) for _ in range(3)]
        for _ in range(2):
            await begun.acquire()
        assert begun.locked()
        assert notices == ["the run's ports have 2 connections; more wait until one ends"]
        clients[0][1].close()
        await begun.acquire()
        for _, writer in clients[1:]:
            writer.close()


def test_a_port_that_is_taken_is_another_one_and_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        notices = []
        published = publish((Port("web", number),), HERE, (), notices.append)
        try:
            host, _, here = published.ports[0].address.partition(":")
            assert host == "127.0.0.1"
            assert int(here) not in (0, number)
            assert announced(published) == [f"web: http://127.0.0.1:{here} ({number} is taken here)"]
            assert notices == []
        finally:
            published.close()


def test_the_proxys_own_ports_are_never_published():
    notices = []
    ports, beside = (Port("web", 80), Port("api", 8080)), msgspec.structs.replace(HERE, shares_address=True)
    published = publish(ports, beside, {80, 41999}, notices.append)
    published.close()
    assert [port.name for port in published.ports] == ["api"]
    assert "MOAT_URL_WEB" not in published.env
    assert notices == ["web: port 80 is not published: there it is the proxy's own"]


def test_where_the_container_is_not_reached_nothing_is_published_and_that_is_said():
    notices = []
    far = msgspec.structs.replace(HERE, unreached="it is on the moon")
    published = publish((Port("web", 80),), far, (), notices.append)
    assert (published.ports, published.env) == ((), {})
    assert notices == ["the run's ports are not published: it is on the moon"]
    publish((), far, (), notices.append)
    assert len(notices) == 1


async def greets(reader, writer):
    writer.write(b"hello\n")
    await reader.read(-1)
    writer.close()


async def test_a_run_publishes_tells_and_records_its_ports(one_run):
    server = await asyncio.start_server(greets, "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    run = one_run(publish=(f"web:{number}",))
    run.begin()
    await run.at("address")
    (port,) = run.metadata.ports
    assert (port.name, port.port) == ("web", number)
    assert port.address != f"127.0.0.1:{number}"
    assert run.engine.spec.env["MOAT_HOST_WEB"] == port.address
    assert run.engine.spec.env["MOAT_URL_WEB"] == port.url
    assert run.notices == [f"web: {port.url} ({number} is taken here)"]
    host, here = port.address.split(":")
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(host, int(here))
        assert await reader.readline() == b"hello\n"
        run.engine.end()  # and with it whatever is still connected
        assert await reader.read(-1) == b""
        writer.close()
    await run.result()
    run.over("exited")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(here))
    server.close()
    first, *entries = (entry.data for entry in run.entries())
    started = next(entry for entry in entries if entry.get("action") == "started")
    assert f"ports web:{number}" in first["message"]
    assert f"web at {port.address}" in started["reason"]


async def test_a_start_that_fails_leaves_no_port_behind(one_run):
    run = one_run(publish=("web:1",))
    run.engine.fails["start"] = ContainerFailed("it did not start")
    run.begin()
    with pytest.raises(ContainerFailed):
        await run.result()
    run.over("failed")
    here = int(run.engine.spec.env["MOAT_HOST_WEB"].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", here)
