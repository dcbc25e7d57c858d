"""What proxy.py measures against: an upstream, a TLS relay as Python's floor, and Moat's proxy itself.

    python proxy_peers.py upstream CERT              serves TLS
    python proxy_peers.py relay CERT CA PORT         CONNECT, TLS on both sides, bytes between
    python proxy_peers.py moat HOME CA PORT TOKEN [GRANTS…]
                                                     a run's proxy with everything on; one for each number

Each prints its ports and serves until SIGTERM.

`moat` keeps the audit log and the request log on disk as a supervisor does, and attaches a credential to
requests for api.test. GRANTS: how many grants the run has, that one the last of them (default: 1).
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import random
import signal
import socket
import ssl
import string
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

from engine.proxy import HostRule, Injection

_JSON = b'{"id":1,"name":"moat","items":[{"a":1,"b":"two"},{"a":3,"b":"four"}],"ok":true}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: benchmark\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_JSON), _JSON)
)
_ITEMS = gzip.compress(b"[%b]" % b",".join(b'{"id":%d,"of":%b}' % (n, _JSON) for n in range(500)), 6)
_LONG = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_ITEMS), _ITEMS)
)
_BLOCK = os.urandom(65536)
SECRET = "sk-benchmark-0123456789abcdefghijklmnop"
_USED = Injection(
    "bench", (HostRule("api.test", "Authorization"),), (f"Bearer {SECRET}",), ("placeholder",), (SECRET,)
)
_LENGTHS = (40, 108, 164, 39, 26, 64)  # characters of what github, anthropic, openai, gemini … give out
_FORMS = (("Authorization", "Bearer "), ("x-api-key", ""), ("PRIVATE-TOKEN", ""), ("Authorization", "token "))


def _another(number: int) -> Injection:
    """A grant beside the one that is used, as unlike the others as real ones are."""
    letters = random.Random(number).choices(string.ascii_letters + string.digits, k=_LENGTHS[number % 6])
    secret, (header, scheme) = "".join(letters), _FORMS[number % 4]
    hosts = (f"api.service{number}.example", f"*.service{number}.example")[: 1 + number % 2]
    rules = tuple(HostRule(host, header) for host in hosts)
    placeholder = f"service{number}-moat-proxy-injected"
    return Injection(
        f"service{number}", rules, (f"{scheme}{secret}",) * len(rules), (placeholder,), (secret,)
    )


class Upstream(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = b""
        self.left = 0
        self.sending = 0
        self.echo = False
        self.paused = False

    def connection_made(self, transport):
        self.transport = transport

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        self._send()

    def data_received(self, data):
        if self.echo:
            self.transport.write(data)
            return
        if self.left:
            self.left -= len(data)
            if self.left <= 0:
                self.left = 0
                self.transport.write(_ANSWER)
            return
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
            self._serve(head)

    def _serve(self, head):
        path = head.split(b" ", 2)[1]
        if path == b"/json":
            self.transport.write(_ANSWER)
        elif path == b"/long":
            self.transport.write(_LONG)
        elif path.startswith(b"/down/"):
            self.sending = int(path[6:])
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
                % self.sending
            )
            self._send()
        elif path == b"/up":
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            self.left = length - len(self.buffer)
            self.buffer = b""
        elif path == b"/ws":
            self.echo = True
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            )
        elif path == b"/events":
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            self._event(b"data: first\n\n")
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, self._event, b"data: last\n\n")
            loop.call_later(0.05, self.transport.write, b"0\r\n\r\n")

    def _event(self, event):
        self.transport.write(b"%x\r\n%b\r\n" % (len(event), event))

    def _send(self):
        while self.sending and not self.paused:
            data = _BLOCK[: self.sending]
            self.sending -= len(data)
            self.transport.write(data)


async def upstream(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, ssl=context)
    await _serve(server)


class Pipe(asyncio.Protocol):
    """Writes what it hears to `other`, and stops listening while that is full."""

    other: Pipe | None = None
    transport: asyncio.Transport

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.other is not None:
            self.other.transport.write(data)

    def pause_writing(self):
        self.other.transport.pause_reading()

    def resume_writing(self):
        self.other.transport.resume_reading()

    def connection_lost(self, exc):
        if self.other is not None:
            self.other.transport.close()


class Entry(asyncio.Protocol):
    def __init__(self, leaf, verifying, port) -> None:
        self.leaf, self.verifying, self.port = leaf, verifying, port
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        if self.buffer.endswith(b"\r\n\r\n"):
            host = self.buffer.split(b" ")[1].partition(b":")[0].decode()
            self.task = asyncio.get_running_loop().create_task(self.join(host))

    async def join(self, host):
        loop = asyncio.get_running_loop()
        inner, outer = Pipe(), Pipe()
        await loop.create_connection(
            lambda: outer, "127.0.0.1", self.port, ssl=self.verifying, server_hostname=host
        )
        inner.other, outer.other = outer, inner
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            inner.transport = await loop.start_tls(self.transport, inner, self.leaf, server_side=True)
        except OSError:
            outer.transport.close()


async def relay(certificate: str, ca: str, port: str) -> None:
    leaf = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.load_cert_chain(certificate)
    verifying = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verifying.load_verify_locations(ca)
    server = await asyncio.get_running_loop().create_server(
        lambda: Entry(leaf, verifying, int(port)), "127.0.0.1", 0
    )
    await _serve(server)


async def moat(home_path: str, ca: str, port: str, token: str, *numbers: str) -> None:
    from engine.home import Home
    from engine.proxy import CertificateAuthority

    home = Home(Path(home_path))
    authority = CertificateAuthority.load_or_create(home)
    async with contextlib.AsyncExitStack() as stack:
        ports = [
            await stack.enter_async_context(_run(home, authority, ca, port, token, int(number)))
            for number in numbers or ("1",)
        ]
        sys.stdout.write(" ".join(map(str, ports)) + "\n")
        sys.stdout.flush()
        await _stopped()


@contextlib.asynccontextmanager
async def _run(home, authority, ca: str, port: str, token: str, grants: int) -> AsyncIterator[int]:
    from engine.audit import AuditLog
    from engine.proxy import ProxyServer, ProxySpec, parse_connect_to
    from engine.run.records.records import RunRecords

    run = f"run_benchmark{grants}"
    home.ensure_dir(home.run(run))
    injections = (*map(_another, range(grants - 1)), _USED)
    values = tuple(secret for injection in injections for secret in injection.secrets)
    sock = socket.create_server(("127.0.0.1", 0))
    async with await AuditLog.open(home, home.run(run) / "audit.db") as log:
        records = RunRecords(home, run, log, values, print)
        spec = ProxySpec(
            run_id=run,
            token=token,
            subnet="127.0.0.0/8",
            mode="strict",
            allow=("*.test",),
            injections=injections,
            connect_to=(parse_connect_to(f"::127.0.0.1:{port}"),),
            upstream_ca=Path(ca),
        )
        server = ProxyServer(spec, authority, records)
        await server.start(sock)
        yield sock.getsockname()[1]
        await server.close()
        await records.close()
        assert server.crashes == 0, server.crashes
        assert server.unrecorded == 0, server.unrecorded
        sys.stderr.write(f"entries {log.seq} commits {log.commits}\n")


async def _serve(server: asyncio.Server) -> None:
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await _stopped()


async def _stopped() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


if __name__ == "__main__":
    if sys.argv[1] == "moat":
        from engine.loop import run_in_loop

        run_in_loop(moat(*sys.argv[2:]))
    else:
        uvloop.run({"upstream": upstream, "relay": relay}[sys.argv[1]](*sys.argv[2:]))
