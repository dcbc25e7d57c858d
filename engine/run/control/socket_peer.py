"""Who is at the other end of a unix socket: what the kernel knows, not what anybody says."""

from __future__ import annotations

import socket
import struct
import sys

import msgspec

# <sys/un.h> and <sys/ucred.h> of macOS; Python names none of them.
_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 1, 2
_XUCRED = struct.Struct("IIh16I")


class SocketPeer(msgspec.Struct, frozen=True):
    """As of the moment it connected. pid: may be of a process that has ended since."""

    uid: int
    pid: int


def peer_of(connection: socket.socket) -> SocketPeer:
    """Raises OSError."""
    if sys.platform == "darwin":
        _, uid, *_ = _XUCRED.unpack(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
        return SocketPeer(uid, connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID))
    ucred = struct.Struct("3i")  # pid, uid, gid (unix(7))
    pid, uid, _ = ucred.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, ucred.size))
    return SocketPeer(uid, pid)
