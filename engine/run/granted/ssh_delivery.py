"""How a run reaches its SSH agent: what goes into the container, and who listens outside.

Where containers share the host's kernel the agent's socket is mounted. Under gVisor and in virtual machines
a mounted socket cannot be connected to; there a small relay in the container, started before the
agent's command, carries a socket of its own over TCP, and shows the run's token first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.errors import ProxyError, UsageError
from engine.home import Home
from engine.proxy.destination import Destination
from engine.run.control.socket_path import short_path
from engine.run.granted.ssh_client import OWN, client_files, in_container
from engine.runtimes import Bind, PlacedFile, Terms

if TYPE_CHECKING:
    from engine.ssh_agent import Mapping, SshGrant, SshRecorder

AGENT_DIR = "/run/moat/ssh"
AGENT_SOCKET = f"{AGENT_DIR}/agent.sock"


class SshAccess(msgspec.Struct, frozen=True):
    """What a run may log in to. agent: the socket of the person's own agent.

    servers: where its mappings lead, as the proxy knows them.
    """

    grants: tuple[SshGrant, ...]
    mappings: tuple[Mapping, ...]
    agent: Path
    servers: tuple[Destination, ...] = ()


class SshDelivery(msgspec.Struct, frozen=True):
    """For the container's spec. before: words to put before the agent's command, if it has one."""

    binds: tuple[Bind, ...] = ()
    files: tuple[PlacedFile, ...] = ()
    env: dict[str, str] = {}
    before: tuple[str, ...] = ()

    def wrapped(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """Raises UsageError where there is no command to put anything before."""
        if self.before and not command:
            raise UsageError(
                "an SSH grant in a sandboxed run needs a command, and the image's own is not known",
                remedy="Give a command after --, or in agent.yaml.",
            )
        return (*self.before, *command)


@contextlib.asynccontextmanager
async def deliver_ssh(
    home: Home,
    run_id: str,
    access: SshAccess | None,
    recorder: SshRecorder,
    terms: Terms,
    proxy: tuple[int, str],
    listening: socket.socket | None = None,
    *,
    isolated: bool,
) -> AsyncIterator[SshDelivery]:
    """Listen until left. Without access there is nothing to deliver, and nothing listens.

    proxy: its port and the run's token. isolated: whether it is the container's only way out.
    listening: a TCP socket for where one is needed, instead of one of this machine's address.
    """
    if access is None:
        yield SshDelivery()
        return
    from engine.ssh_agent import SshAgent, SshEndpoint

    agent = SshAgent(access.grants, recorder, access.agent)
    held = contextlib.ExitStack()
    env = {"SSH_AUTH_SOCK": AGENT_SOCKET}
    reach = terms.reach
    client = client_files(access.mappings, (reach.host, *proxy), isolated=isolated)
    if terms.mounts_sockets:
        directory = home.ensure_dir(home.run(run_id) / "ssh")
        endpoint, listener = SshEndpoint(agent), _listen_unix(directory / "agent.sock", held)
        delivery = SshDelivery((Bind(str(directory), AGENT_DIR),), client, env)
    else:
        token = secrets.token_urlsafe(32)
        endpoint, listener = (
            SshEndpoint(agent, token=token, peers=reach.peers),
            listening or _listen_tcp(reach.bind),
        )
        place = f"{reach.host} {listener.getsockname()[1]} {token}\n"
        delivery = SshDelivery(
            files=(
                *client,
                PlacedFile(AGENT_DIR, directory=True, mode=0o1777),
                PlacedFile(f"{OWN}/start", in_container("ssh_start.sh"), mode=0o755),
                PlacedFile(f"{OWN}/relay.py", in_container("ssh_relay.py")),
                PlacedFile(f"{OWN}/relay.pl", in_container("ssh_relay.pl")),
                PlacedFile(f"{OWN}/endpoint", place.encode()),
            ),
            env=env,
            before=("/bin/sh", f"{OWN}/start"),
        )
    try:
        await endpoint.start(listener)
        yield delivery
    finally:
        await endpoint.close()
        listener.close()
        held.close()
        await asyncio.to_thread(_forget, home.run(run_id) / "ssh")


def _listen_unix(path: Path, held: contextlib.ExitStack) -> socket.socket:
    """held: closed after the socket, whose name must go on leading to it; `serve_control` says why."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(held.enter_context(short_path(path)))
        os.chmod(path, 0o600)
        listener.listen()
    except OSError as error:
        listener.close()
        held.close()
        raise ProxyError(f"the SSH agent's socket {path} could not be made", detail=str(error)) from error
    return listener


def _listen_tcp(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.bind((address, 0))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ProxyError(f"the SSH agent cannot listen on {address}", detail=str(error)) from error
    return listener


def _forget(directory: Path) -> None:
    """A socket that nobody serves any more says nothing to a reader of the run's directory."""
    with contextlib.suppress(OSError):
        (directory / "agent.sock").unlink(missing_ok=True)
        directory.rmdir()
