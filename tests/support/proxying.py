"""A run's proxy on loopback with the clients that try it: curl, raw TLS sockets, HTTP/2."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import msgspec
from support.upstream import Upstream

from engine.events import RequestRecord
from engine.home import Home
from engine.proxy import (
    CertificateAuthority,
    Holding,
    HostRule,
    Injection,
    ProxyServer,
    ProxySpec,
    TransparentSockets,
    TrustFiles,
    parse_connect_to,
)
from engine.runtimes import Wanted, bind_here

CANARY = "ghp_CANARY4d1f0e9b7c6a5f3e2d1c0b9a8f7e6d5c"
BEARER = f"Bearer {CANARY}"
PLACEHOLDER = "ghp_moatProxyInjectedPlaceholder000000000000"
FAST = [True]  # which lane proxies take; the fixture `lane` puts its own on top
TOKEN = "run-token-0123456789abcdefghijklmnopqrstuv"

GITHUB = Injection(
    "github", (HostRule("api.github.com", "Authorization"),), (BEARER,), (PLACEHOLDER,), (CANARY,)
)


def bind_doors(address: str) -> TransparentSockets:
    http, https, tcp = bind_here(address, [Wanted("tcp", 0)] * 3)
    (udp,) = bind_here(address, [Wanted("udp", tcp.getsockname()[1])])
    return TransparentSockets(http=http, https=https, tcp=tcp, udp=udp, address=address)


@dataclass
class Notes:
    """A Recorder that remembers. `refuse` is raised instead of an intent; `stall` keeps intents waiting."""

    intents: list[tuple[str, str, str]] = field(default_factory=list)
    denials: list[tuple[str, str, str, str]] = field(default_factory=list)
    approvals: list[tuple[str, str, str, str]] = field(default_factory=list)
    scrubs: list[tuple[str, str, str]] = field(default_factory=list)

    alarms: list[tuple[str, str, str, str]] = field(default_factory=list)
    passes: list[tuple[str, str, str]] = field(default_factory=list)
    records: list[RequestRecord] = field(default_factory=list)
    opened: list[list[RequestRecord]] = field(default_factory=list)
    refuse: Exception | None = None
    stall: asyncio.Event | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def credential(self, grant: str, action: str, host: str) -> None:
        if self.stall is not None:
            await self.stall.wait()
        if self.refuse is not None:
            raise self.refuse
        self.intents.append((grant, action, host))

    async def approved(self, host: str, operation: str, rule: str, message: str) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.approvals.append((host, operation, rule, message))

    async def alarm(self, host: str, operation: str, rule: str, message: str) -> None:
        self.alarms.append((host, operation, rule, message))

    async def denied(self, host: str, operation: str, rule: str, message: str) -> None:
        self.denials.append((host, operation, rule, message))

    def open(self, requests: Sequence[RequestRecord]) -> None:
        self.opened.append(list(requests))

    async def scrubbed(self, host: str, operation: str, message: str) -> None:
        self.scrubs.append((host, operation, message))

    async def passed(self, host: str, operation: str, rule: str) -> None:
        self.passes.append((host, operation, rule))

    async def finished(self, record: RequestRecord) -> None:
        async with self._changed:
            self.records.append(record)
            self._changed.notify_all()

    async def wait(self, count: int, timeout: float = 10) -> list[RequestRecord]:
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: len(self.records) >= count)
        return self.records

    def everything(self) -> str:
        return (
            msgspec.json.encode([self.records, self.opened]).decode()
            + repr(self.denials)
            + repr(self.intents)
            + repr(self.scrubs)
            + repr(self.alarms)
        )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Proxying:
    """One running proxy. `port` is its own; requests are made with the run's token unless told otherwise."""

    def __init__(
        self, server: ProxyServer, port: int, notes: Notes, files: TrustFiles, entries: dict[int, int]
    ) -> None:
        self.server = server
        self.port = port
        self.notes = notes
        self.files = files
        self.entries = entries  # 80, 443 and 53 -> where they are at TRANSPARENT

    async def curl(self, *arguments: str, token: str = TOKEN) -> tuple[int, str]:
        """Exit code and standard output (errors appended)."""
        user = f"moat:{token}@" if token else ""
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--max-time", "20", "--cacert", str(self.files.bundle),
            "--proxy", f"http://{user}127.0.0.1:{self.port}", "--noproxy", "", *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        return process.returncode or 0, (out + err).decode("latin-1")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def tunnel(
        self, authority: str, *, sni: str | None = None, tls: bool = True, alpn: tuple[str, ...] = (),
        authorization: str | None = None, verify: bool = True,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:  # fmt: skip
        """CONNECT to `authority`, then TLS with `sni` (default: the host of it; "" sends none)."""
        reader, writer = await self.connect()
        credentials = proxy_authorization() if authorization is None else authorization
        fields = f"Proxy-Authorization: {credentials}\r\n" if credentials else ""
        writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n".encode("latin-1"))
        answer = await read_answer(reader, method="CONNECT")
        assert answer.status == 200, answer
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(self.files.ca)
            if alpn:
                context.set_alpn_protocols(list(alpn))
            name = authority.rpartition(":")[0] if sni is None else sni
            if not verify or not name:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            await writer.start_tls(context, server_hostname=name or None)
        return reader, writer

    async def ask(self, authority: str, head: str, body: bytes = b"", **tunnel: Any) -> Answer:
        """One HTTP/1 request through a tunnel; `head` as in "GET / HTTP/1.1\\nHost: x"."""
        reader, writer = await self.tunnel(authority, **tunnel)
        try:
            writer.write(wire(head) + body)
            async with asyncio.timeout(20):
                return await read_answer(reader, method=head.split(" ")[0])
        finally:
            await closed(writer)

    async def plain(self, head: str, body: bytes = b"", token: str = TOKEN) -> Answer:
        """One request to the proxy itself."""
        reader, writer = await self.connect()
        try:
            fields = f"\nProxy-Authorization: {proxy_authorization(token)}" if token else ""
            writer.write(wire(head + fields) + body)
            async with asyncio.timeout(20):
                return await read_answer(reader)
        finally:
            await closed(writer)

    async def try_connect(self, authority: str) -> Answer:
        """Just the answer to a CONNECT."""
        return await self.plain(f"CONNECT {authority} HTTP/1.1\nHost: {authority}")

    def assert_no_canary(self) -> None:
        everything = self.notes.everything()
        assert "CANARY" not in everything
        assert CANARY[10:30] not in everything
        assert base64.b64encode(CANARY.encode()).decode()[4:24] not in everything
        assert TOKEN not in everything


def proxy_authorization(token: str = TOKEN) -> str:
    return "Basic " + base64.b64encode(f"moat:{token}".encode()).decode()


def wire(head: str) -> bytes:
    return head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n"


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *fields = head[:-4].split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    code = int(status.split(" ")[1])
    if code == 100:
        return await read_answer(reader, method)
    if method in ("HEAD", "CONNECT") and (code == 200 or method == "HEAD"):
        return Answer(code, headers, b"")
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        while await reader.readline() not in (b"\r\n", b""):
            pass
        return Answer(code, headers, body)
    if "content-length" in headers:
        return Answer(code, headers, await reader.readexactly(int(headers["content-length"])))
    if code in (101, 204, 304):
        return Answer(code, headers, b"")
    return Answer(code, headers, await reader.read())


class Http2Client:
    """Requests on one HTTP/2 connection, several streams at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # "validate_outbound" off: an attacker's client does not check itself
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self.h2.initiate_connection()
        self.statuses: dict[int, int] = {}
        self.bodies: dict[int, bytes] = {}
        self.trailers: dict[int, list[tuple[bytes, bytes]]] = {}
        self._ended: set[int] = set()
        self._starved = 0
        self.h2.increment_flow_control_window(2**24)  # of the connection; streams keep 64 KiB

    def send(self, headers: list[tuple[str, str]], *, body: bytes = b"", end: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=end and not body)
        if body:
            self.h2.send_data(stream, body, end_stream=end)
        self._writer.write(self.h2.data_to_send())
        return stream

    def get(self, authority: str, path: str = "/user", *more: tuple[str, str]) -> int:
        pseudo = [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", authority)]
        return self.send([*pseudo, *more])

    async def finish(self, *streams: int, timeout: float = 10) -> None:
        async with asyncio.timeout(timeout):
            while not self._ended.issuperset(streams):
                data = await self._reader.read(65536)
                assert data, "the proxy closed the connection"
                for event in self.h2.receive_data(data):
                    self._take(event)
                self._writer.write(self.h2.data_to_send())

    async def finish_but(self, starved: int, *streams: int) -> None:
        """As `finish`, but what arrives for `starved` opens no window for more."""
        self._starved = starved
        await self.finish(*streams)

    def _take(self, event: Any) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.statuses[event.stream_id] = int(dict(event.headers)[b":status"])
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
            if event.stream_id != self._starved:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailers[event.stream_id] = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
            self._ended.add(event.stream_id)


TRANSPARENT = "127.0.0.2"  # whoever connects to it speaks from 127.0.0.1, as a container from its own


@asynccontextmanager
async def proxying(
    tmp_path: Path,
    *upstreams: tuple[str, Upstream],
    injections: tuple[Injection, ...] = (GITHUB,),
    holding: Holding | None = None,
    transparent: bool = False,
    fast: bool | None = None,
    **spec: Any,
) -> AsyncIterator[Proxying]:
    """A proxy whose `--connect-to` entries lead each "host:port" to its upstream. fast: see ProxyServer."""
    ca = CertificateAuthority.load_or_create(Home(tmp_path / "moat"))
    trusted = tmp_path / "upstreams.pem"
    trusted.write_bytes(b"".join(up.ca_file.read_bytes() for _, up in upstreams if up.ca_file.exists()))
    detours = tuple(
        parse_connect_to(up.connect_to(name.partition(":")[0], int(name.partition(":")[2] or 443)))
        for name, up in upstreams
    )
    notes = Notes()
    sock = socket.create_server(("127.0.0.1", 0))
    fields: dict[str, Any] = {
        "run_id": "run_test",
        "token": TOKEN,
        "subnet": "127.0.0.0/8",
        "injections": injections,
        "connect_to": detours,
        "upstream_ca": trusted if trusted.stat().st_size else None,
    }
    taken = FAST[-1] if fast is None else fast
    server = ProxyServer(ProxySpec(**(fields | spec)), ca, notes, holding, fast=taken)
    doors = bind_doors(TRANSPARENT) if transparent else None
    named = {80: doors.http, 443: doors.https, 53: doors.udp} if doors else {}
    entries = {usual: door.getsockname()[1] for usual, door in named.items()}
    try:
        await server.start(sock, doors)
        yield Proxying(server, sock.getsockname()[1], notes, ca.trust_files(tmp_path), entries)
    finally:
        await server.close()
        sock.close()
        for door in doors.sockets() if doors else ():
            door.close()
    assert server.crashes == 0
    assert server.unrecorded == 0
