"""How a container reaches the run's proxy (DESIGN.md, "Reach and isolation per runtime").

On native Linux that is the gateway of the run's own bridge, where only that bridge's containers and the
host itself can connect; on a network apart from the host, an address that only its containers know. Docker
Desktop forwards `host.docker.internal` to the host's loopback.
"""

from __future__ import annotations

import msgspec

from engine.errors import RuntimeUnavailable
from engine.runtimes.spec import EngineInfo, Network

PROXY_HOST = "host.docker.internal"


class ProxyReach(msgspec.Struct, frozen=True):
    """host: the name to put in the proxy URL; bind: the address the proxy listens on, this machine's unless
    the network is apart; extra_hosts: for the container's /etc/hosts; peers: CIDR of the only addresses that
    may connect."""

    host: str
    bind: str
    extra_hosts: dict[str, str]
    peers: str


def proxy_reach(engine: EngineInfo, network: Network) -> ProxyReach:
    """Raises RuntimeUnavailable where the promise of the policy cannot be kept."""
    if engine.rootless:
        raise RuntimeUnavailable(
            "this Docker engine is rootless: its networks live in a namespace that Moat's proxy cannot join",
            remedy="Use the system's Docker engine (unset DOCKER_HOST, or point it at /var/run/docker.sock).",
        )
    if engine.platform == "linux":
        return ProxyReach(PROXY_HOST, network.gateway, {PROXY_HOST: network.gateway}, network.subnet)
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
