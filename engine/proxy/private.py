"""Private destinations that a person opened: `--allow-private HOST:PORT`, or config.yaml's.

Each opens one host, as it is asked for, and one port. A name leads to whatever private address it
resolves to, but never to a metadata service: those hand out the machine's own credentials to whoever
asks, so such an address has to be written out.
"""

from __future__ import annotations

import ipaddress

from engine.errors import UsageError
from engine.proxy.destination import Address, BadDestination, Destination, parse_authority

# What containers call the machine they run on; clients there never send `localhost` to a proxy.
THIS_MACHINE = "host.docker.internal"

# AWS (IMDS over IPv6), Alibaba, Azure's host agent, Oracle. IPv4's usual one is link-local.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)


def parse_private(text: str, said_by: str = "--allow-private") -> Destination:
    """`HOST:PORT`, IPv6 in brackets. Raises UsageError, which names `said_by`."""
    try:
        destination = parse_authority(text.strip())
        if destination.ip:
            address = ipaddress.ip_address(destination.host)
            if address.is_unspecified or address.is_multicast:
                raise BadDestination("an address that no single host has")
        return destination
    except BadDestination as error:
        raise UsageError(
            f"cannot read {said_by} {text!r}",
            detail=str(error),
            remedy="Write HOST:PORT, for example db.internal:8443 or 192.168.1.20:80.",
        ) from error


def opens(address: Address, *, literal: bool) -> bool:
    """Whether an opened destination may be dialled at `address`, which is not globally routable."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return opens(mapped, literal=literal)
    if address.is_unspecified or address.is_multicast:
        return False
    return literal or not (address.is_link_local or address in _METADATA)
