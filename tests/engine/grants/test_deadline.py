"""A service that answers a byte at a time, so that no single wait is ever too long."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.certificates import certificate

from engine.grants.https import Unreachable, ask
from engine.grants.route import Route

LIMIT = 0.4  # seconds
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service.test")])
    made = certificate(name, name, key, key, ["service.test"], ca=True)
    file = tmp_path_factory.mktemp("tls") / "service.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


class Dripping:
    """Listens until `close`. tls: the file of its certificate. It says `first`, then `then` for ever."""

    def __init__(self, tls, first: bytes, then: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.connections = 0
        self.ended = threading.Event()
        self._tls, self._first, self._then = tls, first, then
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError), self.listener.accept()[0] as plain:
            self.connections += 1
            plain.settimeout(20)
            with self._wrapped(plain) as sock:
                sock.recv(65536)
                sock.sendall(self._first)
                for byte in itertools.cycle(self._then):
                    sock.sendall(bytes([byte]))
                    time.sleep(LIMIT / 20)  # what is tried: never long enough for one wait's limit
        self.ended.set()

    def _wrapped(self, plain: socket.socket) -> socket.socket:
        if self._tls is None:
            return plain
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._tls)
        return context.wrap_socket(plain, server_side=True)

    def close(self) -> None:
        self.listener.close()
        self._thread.join(30)


@pytest.mark.parametrize(
    ("encrypted", "first", "then", "by_proxy"),
    [
        pytest.param(True, b"", HEAD + b"X-A: b\r\n" * 90, False, id="head"),
        pytest.param(True, HEAD + b"Content-Length: 1000000\r\n\r\n", b"{", False, id="body"),
        pytest.param(True, HEAD + b"Connection: close\r\n\r\n", b"{", False, id="body without an end"),
        # a TLS record whose length says that much follows
        pytest.param(False, b"\x16\x03\x03\x40\x00", b"\0", False, id="handshake"),
        pytest.param(False, b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", True, id="the proxy's answer"),
    ],
)
def test_all_of_it_has_one_limit(identity, encrypted, first, then, by_proxy):
    service = Dripping(identity if encrypted else None, first, then)
    host, port = service.address
    route = (
        Route(ca=identity, proxy=f"http://{host}:{port}")
        if by_proxy
        else Route(ca=identity, address=service.address)
    )
    began = time.monotonic()
    try:
        with pytest.raises(Unreachable, match=r"no whole answer came within 0\.4 s"):
            ask("https://service.test/token", {}, timeout=LIMIT, method="POST", body=b"x", route=route)
        assert time.monotonic() - began < 10 * LIMIT
        assert service.ended.wait(20)  # the connection was cut, not left to itself
        assert service.connections == 1
    finally:
        service.close()


def test_nothing_is_dialled_when_the_time_is_up(monkeypatch, identity):
    listener = socket.create_server(("127.0.0.1", 0))
    resolved = socket.getaddrinfo

    def slow(*args, **more):
        time.sleep(0.15)
        return resolved(*args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    route = Route(ca=identity, address=listener.getsockname())
    listener.setblocking(False)
    with listener:
        with pytest.raises(Unreachable, match="no whole answer"):
            ask("https://service.test/token", {}, timeout=0.1, route=route)
        with pytest.raises(BlockingIOError):
            listener.accept()
