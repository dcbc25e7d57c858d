"""Makes a run's listening sockets in the run's own network, and hands them over. Standard library only.

Usage: listeners.py SOCKET ADDRESS KIND:PORT…    KIND is tcp or udp; port 0 takes any

The sockets go to whoever listens at SOCKET, in the order they were named. They live while this process
does: it ends when that connection does.
"""

from __future__ import annotations

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
        sockets = [listener(address, each) for each in wanted]
        socket.send_fds(way, [b"."], [sock.fileno() for sock in sockets])
        for sock in sockets:
            sock.close()
        way.recv(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
