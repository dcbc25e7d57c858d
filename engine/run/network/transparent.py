"""What a transparent run needs beside its proxy: the three ports, and a resolver that leads to them."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Awaitable, Callable, Sequence

from engine.errors import MoatError, ProxyError
from engine.home import Home
from engine.proxy.entry import Entry
from engine.proxy.transparent import NAMES_PORT, TransparentSockets
from engine.run.spec import RunSpec
from engine.runtimes import Bind, ProxyReach, Wanted

RESOLV_CONF = "/etc/resolv.conf"
_FILE = "resolv.conf"

type _Bind = Callable[[Sequence[Wanted]], Awaitable[list[socket.socket]]]


async def open_transparent(
    spec: RunSpec,
    reach: ProxyReach,
    bind: _Bind,
    relay: Callable[[TransparentSockets], Awaitable[str]],
    say: Callable[[str], None],
) -> TransparentSockets | None:
    """None where the run is not to be transparent. Where it would be by its policy alone and cannot, that is
    said, and the run goes on without; where it was asked for, ProxyError.

    bind: gives sockets at `reach.bind`. relay: starts what has the usual ports where this process cannot, and
    gives its address.
    """
    if spec.transparent is False or (spec.transparent is None and not spec.isolated):
        return None
    if reach.own_address:
        try:
            return await _bound(bind, reach.bind, Entry.HTTP.value, Entry.HTTPS.value, NAMES_PORT)
        except OSError as error:
            why = f"ports 80, 443 and 53 of {reach.bind} cannot be had ({error.strerror})"
        try:
            return await _relayed(bind, reach.bind, relay)
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


async def _bound(bind: _Bind, address: str, http: int, https: int, names: int) -> TransparentSockets:
    """Names are asked for by UDP and TCP at one port, whichever it is."""
    tcp = await bind([Wanted("tcp", port) for port in (http, https, names)])
    try:
        (udp,) = await bind([Wanted("udp", tcp[2].getsockname()[1])])
    except BaseException:
        for sock in tcp:
            sock.close()
        raise
    return TransparentSockets(http=tcp[0], https=tcp[1], tcp=tcp[2], udp=udp, address=address)


async def _relayed(
    bind: _Bind, address: str, relay: Callable[[TransparentSockets], Awaitable[str]]
) -> TransparentSockets:
    sockets = await _bound(bind, address, 0, 0, 0)
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
