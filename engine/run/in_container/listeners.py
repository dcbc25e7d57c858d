"""Makes a run's listening sockets in the run's own network, and hands them over. Standard library only.

Usage: listeners.py SOCKET ADDRESS KIND:PORT…    KIND is tcp or udp; port 0 takes any
                                                 asks:0 is a socket to ask for more at

The sockets go to whoever listens at SOCKET, in the order they were named. They live while this process
does: it ends when that connection does. For each byte at `asks` one socket comes back by it, to be connected
to whoever is on the network.
"""

from __future__ import annotations

import select
import socket
import sys

BACKLOG = 512


def listener(address: str, wanted: str) -> socket.socket:
    kind, _, port = wanted.partition(":")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.bind((address, int(port)))
    if kind == "tcp":
        sock.listen(BACKLOG)
    return sock


def main(path: str, address: str, *wanted: str) -> None:
    with socket.socket(socket.AF_UNIX) as way:
        way.connect(path)  # first, so that a socket that cannot be made is known there at once
        asked, asks = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sockets = [asks if each == "asks:0" else listener(address, each) for each in wanted]
        socket.send_fds(way, [b"."], [sock.fileno() for sock in sockets])
        for sock in (asks, *sockets):
            sock.close()
        while way not in select.select([way, asked], [], [])[0]:
            if not asked.recv(1):  # nobody has the other end, or never had
                asked.close()
                way.recv(1)
                return
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
                socket.send_fds(asked, [b"."], [made.fileno()])


if __name__ == "__main__":
    main(*sys.argv[1:])
