"""The agent on real sockets, in front of a real ssh-agent."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from support.ssh_session import Session, blob_of, sign_request

from engine.errors import AuditGateClosed
from engine.ssh_agent import SshAgent, SshEvent, SshGrant, fingerprint
from engine.ssh_agent.keys import signed_by
from engine.ssh_agent.messages import FAILURE, SUCCESS, parse_identities
from engine.ssh_agent.wire import Reader, uint32

SERVER = ed25519.Ed25519PrivateKey.generate()


class Recorder:
    def __init__(self) -> None:
        self.events: list[SshEvent] = []
        self.full = False

    async def ssh(self, event: SshEvent) -> None:
        if self.full:
            raise AuditGateClosed("the disk is full")
        self.events.append(event)


@pytest.fixture(scope="module")
def ssh_agent(tmp_path_factory: pytest.TempPathFactory):
    """A real ssh-agent with two keys: (its socket, blob of the first, blob of the second)."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("needs ssh-agent (openssh-client)")
    # a socket's path has to be short
    directory = tmp_path_factory.mktemp("a")
    socket = directory / "s"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as process:
        blobs = []
        for name in ("one", "two"):
            key = ed25519.Ed25519PrivateKey.generate()
            file = directory / name
            file.write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.OpenSSH,
                    serialization.NoEncryption(),
                )
            )
            file.chmod(0o600)
            added = _add(file, socket)
            assert added.returncode == 0, added.stderr
            blobs.append(blob_of(key))
        yield socket, blobs[0], blobs[1]
        process.terminate()


def _add(file: Path, socket: Path) -> subprocess.CompletedProcess[bytes]:
    """Again until the agent listens."""
    environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
    for _ in range(200):
        done = subprocess.run(["ssh-add", "-q", str(file)], env=environment, capture_output=True, check=False)
        if done.returncode != 2:  # 2: it cannot be reached
            break
    return done


@pytest.fixture
async def client(ssh_agent, tmp_path):
    """`await ask(message)` through Moat's agent; `ask.recorder` has what was recorded."""
    socket, mine, _ = ssh_agent
    recorder = Recorder()
    grants = (SshGrant("git.test", frozenset({fingerprint(mine)}), frozenset({blob_of(SERVER)})),)
    agent = SshAgent(grants, recorder, socket)
    path = tmp_path / "agent.sock"
    server = await asyncio.start_unix_server(agent.serve, path)
    reader, writer = await asyncio.open_unix_connection(path)

    async def ask(message: bytes) -> bytes:
        writer.write(uint32(len(message)) + message)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))

    ask.recorder, ask.agent, ask.reader, ask.writer = recorder, agent, reader, writer  # type: ignore[attr-defined]
    yield ask
    writer.close()
    server.close()
    await server.wait_closed()


async def test_a_login_is_signed_by_the_real_key(client, ssh_agent):
    _, mine, _ = ssh_agent
    session = Session(SERVER)
    assert await client(session.bind()) == SUCCESS
    payload = session.login(mine)
    reader = Reader(await client(sign_request(mine, payload)))
    assert reader.byte() == 14
    assert signed_by(mine, payload, reader.string())
    assert client.recorder.events == [SshEvent("sign_allowed", "git.test", fingerprint(mine))]


async def test_the_list_has_the_granted_key_only(client, ssh_agent):
    _, mine, _ = ssh_agent
    assert [item.blob for item in parse_identities(await client(b"\x0b"))] == [mine]


async def test_what_cannot_be_recorded_is_not_signed(client, ssh_agent):
    _, mine, _ = ssh_agent
    session = Session(SERVER)
    assert await client(session.bind()) == SUCCESS
    client.recorder.full = True
    assert await client(sign_request(mine, session.login(mine))) == FAILURE
    assert await client(b"\x0b") == FAILURE


async def test_an_agent_that_is_gone_is_a_refusal(client, ssh_agent, monkeypatch):
    client.agent._upstream = Path("/nowhere/agent.sock")
    assert await client(b"\x0b") == FAILURE


@pytest.mark.parametrize("length", [0, 256 * 1024 + 1, 2**32 - 1])
async def test_a_length_that_no_message_has_ends_the_connection(client, length):
    client.writer.write(uint32(length) + b"x")
    assert await client.reader.read() == b""


async def test_bindings_of_one_connection_are_not_anothers(client, ssh_agent, tmp_path):
    _, mine, _ = ssh_agent
    session = Session(SERVER)
    assert await client(session.bind()) == SUCCESS
    reader, writer = await asyncio.open_unix_connection(tmp_path / "agent.sock")
    request = sign_request(mine, session.login(mine))
    writer.write(uint32(len(request)) + request)
    assert await reader.readexactly(5) == uint32(1) + FAILURE
    writer.close()
