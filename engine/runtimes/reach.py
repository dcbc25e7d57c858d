"""How a container reaches the run's proxy.

On native Linux that is the gateway of the run's own bridge, where only that bridge's containers and the
host itself can connect; on a network apart from the host, an address that only its containers know. Docker
Desktop forwards `host.docker.internal` to the host's loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Literal

import msgspec

from engine.errors import RuntimeUnavailable
from engine.runtimes.spec import EngineInfo, Network

PROXY_HOST = "host.docker.internal"
DIAL_TIMEOUT = 10.0  # seconds for a container to take a connection


class ProxyReach(msgspec.Struct, frozen=True):
    """host: the name to put in the proxy URL; bind: the address the proxy listens on, this machine's unless
    the network is apart; extra_hosts: for the container's /etc/hosts; peers: CIDR of the only addresses that
    may connect.

    own_address: names can lead to `bind`, because no other service is on it for the container. alone: nobody
    but the container can connect to it, not even this machine.
    """

    host: str
    bind: str
    extra_hosts: dict[str, str]
    peers: str
    own_address: bool = False
    alone: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """A socket to listen on; port 0 is any."""

    kind: Literal["tcp", "udp"]
    port: int


def proxy_reach(engine: EngineInfo, network: Network) -> ProxyReach:
    """Raises RuntimeUnavailable where the promise of the policy cannot be kept."""
    if engine.platform == "linux":
        return ProxyReach(PROXY_HOST, network.gateway, {PROXY_HOST: network.gateway}, network.subnet, True)
    if network.internal:
        raise RuntimeUnavailable(
            "the policies 'strict' and 'ask' cannot be enforced on Docker Desktop yet",
            detail="An internal network there has no way to the proxy on this machine.",
            remedy="Use --policy permissive, or run Moat on Linux.",
        )
    return ProxyReach(PROXY_HOST, "127.0.0.1", {}, "127.0.0.0/8")


def container_user(engine: EngineInfo, uid: int, gid: int) -> str:
    """The container's user, chosen so that what the agent writes belongs to the person who ran Moat.

    A rootless engine maps its root to that person, so there root is right; everywhere else it is the
    person's own ids (for root that overrides the image's USER, whose files would be a stranger's).
    """
    return "0:0" if engine.rootless else f"{uid}:{gid}"


def bind_here(address: str, wanted: Sequence[Wanted], backlog: int = 512) -> list[socket.socket]:
    """Non-blocking, at one address of this machine, TCP ones listening. Raises OSError, leaves nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.ExitStack() as made:
        sockets = []
        for want in wanted:
            kind = socket.SOCK_STREAM if want.kind == "tcp" else socket.SOCK_DGRAM
            sock = made.enter_context(socket.socket(family, kind))
            if want.kind == "tcp":
                # a run that ended a moment ago may have left connections of the same address behind
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, want.port))
            if want.kind == "tcp":
                sock.listen(backlog)
            sock.setblocking(False)
            sockets.append(sock)
        made.pop_all()
    return sockets


async def connected(sock: socket.socket, address: str, port: int) -> socket.socket:
    """`sock` itself, which is non-blocking and of whichever network; closed when it fails. Raises OSError."""
    try:
        async with asyncio.timeout(DIAL_TIMEOUT):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def dial_here(address: str, port: int) -> socket.socket:
    """As `Runtime.dial`, where this machine is on the network."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    return await connected(sock, address, port)
