"""Where Podman answers otherwise than Docker.

Networks are made by its own API (libpod 4 and newer): Docker's way of asking knows none without a resolver,
and Podman's sits on the network's gateway and asks the host's for anybody, in `strict` too. An internal
network has no gateway, and its bridge no address of the host's; any bridge is made only with its first
container.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import aiodocker

NETWORKS = "v4.0.0/libpod/networks/create"


def podman_network(
    name: str, bridge: str, subnet: IPv4Network, labels: dict[str, str], *, internal: bool
) -> dict[str, Any]:
    return {
        "name": name,
        "driver": "bridge",
        "network_interface": bridge,
        "subnets": [{"subnet": str(subnet)}],
        "internal": internal,
        "ipv6_enabled": False,
        "dns_enabled": False,
        "labels": labels,
    }


async def create(docker: aiodocker.Docker, body: dict[str, Any]) -> str:
    """The name of the network made."""
    made = await docker._query_json(NETWORKS, "POST", data=body, versioned_api=False)
    return str(made["name"])


def as_docker_would(body: dict[str, Any]) -> dict[str, Any]:
    """A container's body with what Docker does unasked: in a container every port may be listened on."""
    host = body["HostConfig"]
    sysctls = {**host.get("Sysctls", {}), "net.ipv4.ip_unprivileged_port_start": "0"}
    return {**body, "HostConfig": {**host, "Sysctls": sysctls}}
