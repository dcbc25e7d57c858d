"""How a run will be kept: what a runtime settles before the container is made."""

from __future__ import annotations

import msgspec

from engine.runtimes.reach import ProxyReach, container_user, proxy_reach
from engine.runtimes.sandbox import choose_sandbox, gvisor_not_with_podman
from engine.runtimes.spec import EngineInfo, Network, Sandbox


class Terms(msgspec.Struct, frozen=True):
    """user: the container's "uid:gid". mounts_sockets: whether a mounted unix socket can be connected to.
    makes_listeners: the network is apart, and a container of the run's has to make the sockets in it.
    shares_address: the proxy's sockets are at the container's own address. unreached: why this machine cannot
    connect to the container; "" where it can.
    engine_socket: the path of the engine's own unix socket; otherwise "".
    engine_group: the id of the group that may use it.
    remark: what a person should know of how their wish was met; "" mostly.
    """

    sandbox: Sandbox
    reach: ProxyReach
    user: str
    mounts_sockets: bool
    makes_listeners: bool = False
    shares_address: bool = False
    unreached: str = ""
    engine_socket: str = ""
    engine_group: int | None = None
    remark: str = ""


def engine_terms(engine: EngineInfo, network: Network, requested: bool | None, uid: int, gid: int) -> Terms:
    """A container engine's. requested: as `choose_sandbox`. Raises RuntimeUnavailable, SandboxUnavailable.

    Under gVisor and in virtual machines a mounted socket cannot be connected to.
    """
    if engine.podman and requested is not False:
        raise gvisor_not_with_podman()
    sandbox = choose_sandbox(requested, engine.platform, engine.runtimes)
    return Terms(
        sandbox=sandbox,
        reach=proxy_reach(engine, network),
        user=container_user(engine, uid, gid),
        mounts_sockets=sandbox == "standard" and engine.platform == "linux",
        makes_listeners=network.apart and engine.platform == "linux",
        unreached=""
        if engine.platform == "linux"
        else "its containers' addresses are not reached from this machine",
    )
