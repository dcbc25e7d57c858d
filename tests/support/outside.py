"""Whoever might hear what an agent sends: services of this machine, and the wire that leaves it."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import socket
import threading
from pathlib import Path
from typing import Self

_ETH_P_ALL = 3
_LARGEST = 65536


class Outside:
    """Use as `with Outside(directory) as outside`. A TCP and a UDP service on one port of all addresses, a
    unix socket, an abstract one and a file; and, where this process may listen to it, the wire itself.

    address, address6: nobody's, of documentation's networks. What is sent there leaves this machine, or not.
    """

    def __init__(self, directory: Path) -> None:
        self.address = str(ipaddress.IPv4Address("198.51.100.0") + 1 + secrets.randbelow(254))
        self.address6 = str(ipaddress.IPv6Address("2001:db8::") + secrets.randbits(60))
        self.file = directory / "secret-of-this-machine"
        self.file.write_text("secret")
        self.path = directory / "service.sock"
        self.abstract = f"moat-test-{secrets.token_hex(8)}"
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        while True:
            tcp = self._open.enter_context(socket.create_server(("0.0.0.0", 0)))
            self.port = tcp.getsockname()[1]
            self._udp = self._open.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            self._udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            with contextlib.suppress(OSError):
                self._udp.bind(("::", self.port))
                break
        self._udp.setblocking(False)
        for name in (str(self.path), "\0" + self.abstract):
            service = self._open.enter_context(socket.socket(socket.AF_UNIX))
            service.bind(name)
            service.listen()
        self._wire = self._open.enter_context(_Wire(self.address, self.address6)) if _may_listen() else None
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def told(self, own_address: str) -> dict[str, str]:
        """What the agent has to know of it, as variables."""
        return {
            "HOST_ADDRESS": own_address, "HOST_SERVICE": str(self.port), "HOST_FILE": str(self.file),
            "HOST_SOCKET": str(self.path), "HOST_ABSTRACT": self.abstract,
            "OUTSIDE": self.address, "OUTSIDE6": self.address6,
        }  # fmt: skip

    def heard(self) -> list[str]:
        """The datagrams that the service got so far."""
        said = []
        with contextlib.suppress(BlockingIOError):
            while True:
                said.append(self._udp.recv(_LARGEST).decode())
        return said

    def left(self) -> set[int] | None:
        """The protocols by which something went to one of the two addresses; None where nobody may look."""
        return None if self._wire is None else self._wire.protocols()


class _Wire:
    """Every frame that goes out by the interface of the default route."""

    def __init__(self, address: str, address6: str) -> None:
        self._places = (ipaddress.ip_address(address).packed, ipaddress.ip_address(address6).packed)
        self._seen: set[int] = set()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._socket.bind((_uplink(), _ETH_P_ALL))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def protocols(self) -> set[int]:
        return set(self._seen)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while frame := self._socket.recv(_LARGEST):
                kind = frame[12:14]
                if kind == b"\x08\x00" and frame[30:34] == self._places[0]:
                    self._seen.add(frame[23])
                elif kind == b"\x86\xdd" and frame[38:54] == self._places[1]:
                    self._seen.add(frame[20])


def _uplink() -> str:
    rows = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    return next(row[0] for row in rows if row[1] == "00000000")


def _may_listen() -> bool:
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)):
            return bool(_uplink())
    except (OSError, StopIteration):
        return False
