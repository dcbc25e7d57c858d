"""The listening sockets of an isolated run, made where the host itself has no address.

What a container can reach of a host's address it reaches whole: every service that listens on all of
them, whatever the port, and only root's firewall could tell them apart. So the network of an isolated run
has none of the host's. A small container on it makes the sockets and hands them to the supervisor, which
serves them from outside: nothing else listens there, and no byte passes through that container.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from engine.errors import ContainerFailed
from engine.home import Home
from engine.proxy.entry import Entry
from engine.proxy.transparent import NAMES_PORT, TransparentSockets
from engine.run.control.socket_path import short_path
from engine.run.network.port_relay import IMAGE
from engine.run.spec import RunSpec
from engine.run.whole import whole
from engine.runtimes import (
    Bind,
    ContainerSpec,
    Network,
    PlacedFile,
    Runtime,
    connected,
    home_label,
)

READY_TIMEOUT = 15.0  # seconds from the container's start until its sockets are here
_ASK_TIMEOUT = 10.0  # seconds until a socket that was asked for is here
_SCRIPT = "/moat/listeners.py"
_THERE = "/run/moat/listeners"
_NAME = "s"
_TRANSPARENT = (
    f"tcp:{Entry.HTTP.value}", f"tcp:{Entry.HTTPS.value}", f"udp:{NAMES_PORT}", f"tcp:{NAMES_PORT}",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listeners:
    """proxy: the proxy's own port. agent: for an SSH agent over TCP. All are bound to one address.

    way: the connection that they came by; the container ends with it. asks: where it gives more sockets.
    """

    proxy: socket.socket
    agent: socket.socket | None
    transparent: TransparentSockets | None
    way: socket.socket
    asks: socket.socket | None = None
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def sockets(self) -> tuple[socket.socket, ...]:
        agent = (self.agent,) if self.agent is not None else ()
        transparent = self.transparent.sockets() if self.transparent is not None else ()
        asks = (self.asks,) if self.asks is not None else ()
        return self.proxy, *agent, *transparent, *asks, self.way

    async def dial(self, address: str, port: int) -> socket.socket:
        """As a runtime's, where this machine is not on the network. Raises OSError."""
        assert self.asks is not None
        async with self.asking, asyncio.timeout(_ASK_TIMEOUT):
            self.asks.send(b".")
            (made,) = await _received(self.asks, 1)
        return await connected(made, address, port)

    async def ended(self) -> None:
        """Return when the container is gone before its time; then nothing reaches the sockets any more."""
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_reader(self.way, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(self.way)


async def open_listeners(
    home: Home, spec: RunSpec, user: str, engine: Runtime, network: Network, *, agent: bool
) -> Listeners:
    """user: whom the container runs as. agent: whether an SSH agent needs one.

    Raises RuntimeFailure or OSError; the caller removes the container by the run's label.
    """
    transparent = spec.isolated if spec.transparent is None else spec.transparent
    wanted = (
        "tcp:0",
        *(("tcp:0",) if agent else ()),
        *(_TRANSPARENT if transparent else ()),
        *(("asks:0",) if spec.ports else ()),
    )
    directory = home.ensure_dir(home.run(spec.id) / "listeners")
    with contextlib.ExitStack() as made:
        made.callback(_forget, directory)
        meeting = made.enter_context(_meeting(directory / _NAME))
        container = await whole(
            engine.create(
                ContainerSpec(
                    run_id=spec.id,
                    home_label=home_label(home.root),
                    name=f"moat-{spec.id}-listeners",
                    image=IMAGE,
                    network=network,
                    address=network.gateway,
                    command=("python3", "-I", _SCRIPT, f"{_THERE}/{_NAME}", network.gateway, *wanted),
                    workdir="/",
                    binds=(Bind(str(directory), _THERE),),
                    files=(PlacedFile(_SCRIPT, _script()),),
                    user=user,
                    # sockets that gVisor's own network makes could not be handed over
                    sandbox="standard",
                    memory_mb=128,
                    pids_limit=64,
                )
            )
        )
        await container.start()
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                way, sockets = await _met(meeting, len(wanted))
        except TimeoutError:
            raise ContainerFailed("the run's listening sockets were not made in time") from None
    proxy, *rest = sockets
    for_agent = rest.pop(0) if agent else None
    asks = rest.pop() if spec.ports else None
    found = _transparent(rest, network.gateway) if transparent else None
    return Listeners(proxy, for_agent, found, way, asks)


def _transparent(sockets: Sequence[socket.socket], address: str) -> TransparentSockets:
    http, https, udp, tcp = sockets
    return TransparentSockets(http=http, https=https, udp=udp, tcp=tcp, address=address)


async def _met(meeting: socket.socket, count: int) -> tuple[socket.socket, Sequence[socket.socket]]:
    way, _ = await asyncio.get_running_loop().sock_accept(meeting)
    way.setblocking(False)
    try:
        return way, await _received(way, count)
    except OSError as error:
        way.close()
        raise ContainerFailed("the run's listening sockets could not be made") from error
    except BaseException:
        way.close()
        raise


async def _received(way: socket.socket, count: int) -> list[socket.socket]:
    """What came by `way`. Raises OSError where it is not `count` sockets."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_reader(way, arrived.set)
    try:
        await arrived.wait()
        _, descriptors, _, _ = socket.recv_fds(way, 1, count)
    finally:
        loop.remove_reader(way)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for sock in sockets:
        sock.setblocking(False)
    if len(sockets) != count:
        for sock in sockets:
            sock.close()
        raise OSError(errno.ECONNRESET, "the container that makes sockets has ended")
    return sockets


def _meeting(path: Path) -> socket.socket:
    meeting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as name:
            meeting.bind(name)
        os.chmod(path, 0o600)
        meeting.listen(1)
        meeting.setblocking(False)
    except OSError:
        meeting.close()
        raise
    return meeting


def _script() -> bytes:
    return resources.files("engine.run").joinpath("in_container", "listeners.py").read_bytes()


def _forget(directory: Path) -> None:
    with contextlib.suppress(OSError):
        (directory / _NAME).unlink(missing_ok=True)
        directory.rmdir()
