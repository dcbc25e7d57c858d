"""Does an address belong to this machine? A public one may: a server's own, or any IPv6 at home.

Services that listen on every address trust that only this machine or its network asks them; the proxy,
which runs here, must not ask them for an agent.
"""

from __future__ import annotations

import errno
import socket

from engine.proxy.destination import Address

# Never anybody's: RFC 1112 class E, and RFC 6666's discard prefix.
_NOBODYS = {4: "240.0.0.1", 6: "100::1"}


def is_own_address(address: Address) -> bool:
    """Sends nothing. Only an address of this machine can be bound to, unless the kernel was told otherwise
    (`ip_nonlocal_bind`); then the route tells: to reach itself a machine speaks from that very address.
    """
    text = str(address)
    if not _can_bind(text, address.version):
        return False
    if not _can_bind(_NOBODYS[address.version], address.version):
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((text, 9))  # UDP: this asks for a route and sends nothing
            return bool(probe.getsockname()[0] == text)
    except OSError:
        return False


def _can_bind(text: str, version: int) -> bool:
    try:
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((text, 0))
    except OSError as error:
        # out of descriptors or ports: better refused than reached
        return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRINUSE)
    return True
