"""A small address range of our own for an internal network, on engines that would leave a way out of it.

Before Docker 25 (API 1.44) a container on an internal network still has a default route to the bridge.
Docker drops what would be forwarded, but the host's own other addresses need no forwarding: everything
that listens on any of them is in reach. The bridge driver takes the container's default gateway from the
auxiliary address `DefaultGatewayIPv4`; when that is an address nobody has, every packet out of the subnet
dies unanswered, and only the bridge's own address is left. Auxiliary addresses need a range that is
known beforehand, so one is chosen here.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

# The end of what Docker itself hands out, then a part of 10/8; a range in use anywhere here is passed over.
POOLS = (IPv4Network("192.168.240.0/20"), IPv4Network("172.31.0.0/16"), IPv4Network("10.219.0.0/16"))
PREFIX = 28

_ROUTES = Path("/proc/net/route")


def free_subnets(taken: Iterable[IPv4Network]) -> Iterator[IPv4Network]:
    """Ranges that overlap none of `taken`, in random order within each pool: several runs choose at once."""
    taken = list(taken)
    for pool in POOLS:
        inside = [used for used in taken if used.overlaps(pool)]
        subnets = list(pool.subnets(new_prefix=PREFIX))
        random.shuffle(subnets)
        yield from (subnet for subnet in subnets if not any(subnet.overlaps(used) for used in inside))


def dead_end(subnet: IPv4Network) -> dict[str, Any]:
    """The IPAM configuration: the host at the first address, the way out at the last, where nobody is."""
    return {
        "Subnet": str(subnet),
        "Gateway": str(subnet.network_address + 1),
        "AuxiliaryAddresses": {"DefaultGatewayIPv4": str(subnet.broadcast_address - 1)},
    }


def place_of_host(subnet: IPv4Network) -> str:
    """The address that a container gets where the host itself has none: beside the dead end."""
    return str(subnet.broadcast_address - 2)


def host_routes(table: str | None = None) -> list[IPv4Network]:
    """What this machine routes somewhere (VPN, LAN, other bridges), without its default route.

    table: the text of /proc/net/route, whose addresses are hexadecimal in the machine's byte order.
    """
    if table is None:
        table = _ROUTES.read_text() if _ROUTES.exists() else ""
    rows = [line.split() for line in table.splitlines()[1:]]
    found = (IPv4Network((_address(row[1]), str(_address(row[7])))) for row in rows if len(row) > 7)
    return [network for network in found if network.prefixlen > 0]


def engine_subnets(networks: Iterable[dict[str, Any]]) -> list[IPv4Network]:
    """The IPv4 ranges in the answer to `GET /networks`."""
    pools = (pool for each in networks for pool in (each.get("IPAM") or {}).get("Config") or ())
    texts = (str(pool.get("Subnet", "")) for pool in pools)
    return [IPv4Network(text, strict=False) for text in texts if "." in text]


def _address(text: str) -> IPv4Address:
    return IPv4Address(struct.pack("=L", int(text, 16)))
