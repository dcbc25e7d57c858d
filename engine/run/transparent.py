"""What a transparent run needs beside its proxy: the three ports, and a resolver that leads to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

from engine.errors import MoatError, ProxyError
from engine.home import Home
from engine.proxy.transparent import TransparentSockets, bind_transparent
from engine.run.spec import RunSpec
from engine.runtimes import Bind, EngineInfo, ProxyReach

RESOLV_CONF = "/etc/resolv.conf"
_FILE = "resolv.conf"


async def open_transparent(
    spec: RunSpec,
    engine: EngineInfo,
    reach: ProxyReach,
    relay: Callable[[TransparentSockets], Awaitable[str]],
    say: Callable[[str], None],
) -> TransparentSockets | None:
    """None where the run is not to be transparent. Where it would be by its policy alone and cannot, that is
    said, and the run goes on without; where it was asked for, ProxyError.

    relay: starts what has the usual ports where this process cannot, and gives its address.
    """
    if spec.transparent is False or (spec.transparent is None and not spec.isolated):
        return None
    if engine.platform == "linux":
        try:
            return bind_transparent(reach.bind)
        except OSError as error:
            why = f"ports 80, 443 and 53 of {reach.bind} cannot be had ({error.strerror})"
        try:
            return await _relayed(reach, relay)
        except (MoatError, OSError) as error:
            why += f", nor a relay for them: {error.what if isinstance(error, MoatError) else error.strerror}"
    else:
        why = "the container does not reach this machine by an address of its own"
    if spec.transparent is None:
        say(f"clients that ignore HTTP_PROXY will not work in this run: {why}")
        return None
    raise ProxyError(
        "network.transparent cannot be kept here",
        detail=why,
        remedy="Let Moat make its base image (moat doctor --fix), or allow it the ports "
        "(sysctl net.ipv4.ip_unprivileged_port_start=53).",
    )


async def _relayed(
    reach: ProxyReach, relay: Callable[[TransparentSockets], Awaitable[str]]
) -> TransparentSockets:
    sockets = bind_transparent(reach.bind, (0, 0, 0))
    try:
        return dataclasses.replace(sockets, address=await relay(sockets))
    except BaseException:
        for sock in sockets.sockets():
            sock.close()
        raise


def resolver_bind(home: Home, run_id: str, address: str) -> Bind:
    """The container's /etc/resolv.conf, from the run's directory; the engine's own resolver is left out.

    As private as all that Moat writes: the container's user is the one that it belongs to.
    """
    file = home.run(run_id) / _FILE
    home.write(file, f"# Moat: every name leads to the run's proxy\nnameserver {address}\n".encode())
    return Bind(str(file), RESOLV_CONF, read_only=True)
