"""The way from a container to the agent where no socket can be mounted: relay, token, TCP."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sys
from importlib import resources

import pytest

from engine.ssh_agent import SshAgent, SshEndpoint
from engine.ssh_agent.messages import FAILURE
from engine.ssh_agent.wire import uint32

TOKEN = "t" * 43
RELAYS = [("ssh_relay.py", [sys.executable, "-I"]), ("ssh_relay.pl", [shutil.which("perl") or "perl"])]


class Silent:
    async def ssh(self, event: object) -> None:
        """Recorded nowhere."""


@pytest.fixture
async def endpoint(tmp_path):
    """(host, port) of an endpoint whose agent refuses everything, because there is no agent behind it."""
    listener = socket.create_server(("127.0.0.1", 0))
    served = SshEndpoint(SshAgent((), Silent(), tmp_path / "none"), token=TOKEN, peers="127.0.0.0/8")
    await served.start(listener)
    yield listener.getsockname()[:2]
    await served.close()


async def answer(reader, writer, message: bytes = b"\x0b") -> bytes:
    writer.write(uint32(len(message)) + message)
    async with asyncio.timeout(20):
        return await reader.read(5)


async def test_the_token_opens_it(endpoint):
    reader, writer = await asyncio.open_connection(*endpoint)
    writer.write(uint32(len(TOKEN)) + TOKEN.encode())
    assert await answer(reader, writer) == uint32(1) + FAILURE
    writer.close()


@pytest.mark.parametrize("first", [b"wrong", b"t" * 42, b"x" * 300, b""])
async def test_threat_23_anything_else_is_cut_off(endpoint, first):
    reader, writer = await asyncio.open_connection(*endpoint)
    writer.write(uint32(len(first)) + first)
    with contextlib.suppress(ConnectionResetError):
        assert await answer(reader, writer) == b""
    writer.close()


async def test_threat_23_strangers_are_cut_off_unread(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    served = SshEndpoint(SshAgent((), Silent(), tmp_path / "none"), token=TOKEN, peers="10.9.8.0/24")
    await served.start(listener)
    reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
    with contextlib.suppress(ConnectionResetError):
        writer.write(uint32(len(TOKEN)) + TOKEN.encode())
        assert await answer(reader, writer) == b""
    writer.close()
    await served.close()


@pytest.mark.parametrize(("name", "interpreter"), RELAYS, ids=["python", "perl"])
async def test_a_relay_in_the_container(endpoint, tmp_path, name, interpreter):
    text = resources.files("engine.run").joinpath("in_container", name).read_text()
    place, path = tmp_path / "endpoint", tmp_path / "s"
    place.write_text(f"{endpoint[0]} {endpoint[1]} {TOKEN}\n")
    script = tmp_path / name
    script.write_text(
        text.replace("/moat/ssh/endpoint", str(place)).replace("/run/moat/ssh/agent.sock", str(path))
    )
    relay = await asyncio.create_subprocess_exec(*interpreter, str(script))
    try:
        async with asyncio.timeout(20):
            while not path.exists():  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.01)
        for _ in range(2):  # one connection does not end it
            reader, writer = await asyncio.open_unix_connection(path)
            assert await answer(reader, writer) == uint32(1) + FAILURE
            assert await answer(reader, writer, b"\x11" * 100_000) == uint32(1) + FAILURE
            writer.close()
        assert path.stat().st_mode & 0o077 == 0
    finally:
        relay.terminate()
        await relay.wait()
