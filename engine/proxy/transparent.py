"""The sockets of a transparent run, on the address that every name there leads to.

Clients that know no proxy ask for a name, get this address, and connect to port 80 or 443 of it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

NAMES_PORT = 53


@dataclass(frozen=True, slots=True)
class TransparentSockets:
    """http, https: the entries. udp, tcp: where names are asked for, and answered with `address`."""

    http: socket.socket
    https: socket.socket
    udp: socket.socket
    tcp: socket.socket
    address: str

    def sockets(self) -> tuple[socket.socket, ...]:
        return self.http, self.https, self.udp, self.tcp
