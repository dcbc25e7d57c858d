"""The sockets of a transparent run, on the address that every name there leads to.

Clients that know no proxy ask for a name, get this address, and connect to port 80 or 443 of it.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass

from engine.proxy.entry import Entry

NAMES_PORT = 53
_BACKLOG = 512


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


def bind_transparent(address: str, ports: tuple[int, int, int] | None = None) -> TransparentSockets:
    """Bind to one IPv4 address of this machine, TCP sockets listening. Raises OSError, and leaves nothing.

    ports: for http, https and names, where somebody forwards the usual ones; 0 takes any.
    """
    http, https, names = ports or (Entry.HTTP.value, Entry.HTTPS.value, NAMES_PORT)
    with contextlib.ExitStack() as made:
        sockets = TransparentSockets(
            http=made.enter_context(_listener(address, http)),
            https=made.enter_context(_listener(address, https)),
            tcp=made.enter_context(_listener(address, names)),
            udp=made.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
            address=address,
        )
        sockets.udp.bind((address, sockets.tcp.getsockname()[1]))
        sockets.udp.setblocking(False)
        made.pop_all()
    return sockets


def _listener(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # a run that ended a moment ago may have left connections of the same address behind
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
