"""An HTTP proxy that knows CONNECT only, and takes every host to one local port."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

PATIENCE = 20.0  # seconds


@contextlib.contextmanager
def connect_relay(port: int) -> Iterator[str]:
    """Its URL, for HTTPS_PROXY, while entered."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, _ = listener.accept()
                threading.Thread(target=_relay, args=(client, port), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _relay(client: socket.socket, port: int) -> None:
    client.settimeout(PATIENCE)
    with client, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data:
                return
            head += data
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as upstream:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_copy, args=(upstream, client), daemon=True)
            back.start()
            _copy(client, upstream)
            back.join(PATIENCE)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
