"""By which door a connection came in, and what its destination is when no CONNECT says it. Pure.

PROXY is the proxy's own port, where a client says CONNECT and shows the run's password. HTTP and HTTPS
are ports 80 and 443 of the address that every name leads to in a transparent run: there the client
believes to speak with the server itself, and only SNI or Host can say with which.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from enum import Enum

from engine.proxy.destination import BadDestination, Destination, normalise_host, parse_authority


class Entry(Enum):
    PROXY = 0
    HTTP = 80
    HTTPS = 443


def named_by_sni(sni: str | None) -> Destination | None:
    """Port 443 of the host that a ClientHello names; None when it names none, an address least of all."""
    with contextlib.suppress(BadDestination):
        host, is_ip = normalise_host(sni or "")
        return None if is_ip else Destination(host, Entry.HTTPS.value)
    return None


def named_by_host(hosts: Sequence[str]) -> Destination | None:
    """Port 80 of the host that the one Host header names. None for several, none, or another port's."""
    with contextlib.suppress(BadDestination):
        if len(hosts) == 1:
            named = parse_authority(hosts[0], Entry.HTTP.value)
            return named if named.port == Entry.HTTP.value else None
    return None
