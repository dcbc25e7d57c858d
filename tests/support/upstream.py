"""A small HTTPS upstream that plays a service: own CA, records of what it saw, misbehaviour on demand.

    async with Upstream(["api.github.com"]) as upstream:
        entry = upstream.connect_to("api.github.com")  # for --connect-to; --upstream-ca is upstream.ca_file

Paths: /user (401 unless `expected` came as Authorization), /echo (headers and body back as JSON; `?gzip=1`),
/sse?n=3 (waits for `permit()` before each event when `gated`), /download?size=N, /upload (counts), /status/N,
/redirect?to=URL, /chunked, /close, /hang, /early (100 and 103 first), /ws (101, then echoes bytes).
HTTP/1.1 over TLS, or plain with `tls=False`; HTTP/2 as well with `http2=True`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.certificates import certificate
from support.messages import Response, SeenRequest
from support.upstream_http2 import Http2Side

_CHUNK = 64 * 1024


@dataclass
class _Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class Upstream:
    """hosts: names or IPs in the certificate. `port` is known once it runs; `requests` and `accepted` count.

    expired, self_signed: a certificate that must not verify. expected: the Authorization that /user wants.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        expected: str = "",
        tls: bool = True,
        http2: bool = False,
        expired: bool = False,
        self_signed: bool = False,
        directory: Path | None = None,
    ) -> None:
        self.hosts = tuple(hosts)
        self.address = address
        self.port = port
        self.expected = expected
        self.requests: list[SeenRequest] = []
        self.accepted = 0
        self.raw = bytearray()
        self.gated = False
        self.kept_body = _CHUNK
        self.disconnected = asyncio.Event()
        self._permits = asyncio.Semaphore(0)
        self._arrived = asyncio.Condition()
        self._tls = tls
        self._http2 = http2
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="moat-upstream-")
        self.directory = directory or Path(self._temporary.name if self._temporary else "")
        self.ca_file = self.directory / "upstream-ca.pem"
        self._context = self._make_certificates(expired, self_signed) if tls else None

    async def __aenter__(self) -> Upstream:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, self.address, self.port, ssl=self._context, limit=2**20
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=5)
        for writer in list(self._connections):
            writer.transport.abort()
        if self._temporary is not None:
            self._temporary.cleanup()
        await asyncio.sleep(0)

    def connect_to(self, host: str, port: int = 443) -> str:
        """The --connect-to entry that leads `host` here."""
        return f"{host}:{port}:{self.address}:{self.port}"

    def permit(self, events: int = 1) -> None:
        """Let that many server-sent events go."""
        for _ in range(events):
            self._permits.release()

    async def seen(self, count: int, timeout: float = 10) -> list[SeenRequest]:
        """Wait until `count` requests have arrived."""
        async with asyncio.timeout(timeout), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def _note(self, request: SeenRequest) -> None:
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    # -- certificates ----------------------------------------------------------------------------

    def _make_certificates(self, expired: bool, self_signed: bool) -> ssl.SSLContext:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Upstream CA")])
        authority = _Authority(ca_key, certificate(ca_name, ca_name, ca_key, ca_key, (), ca=True))
        self.ca_file.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.hosts[0])])
        leaf = certificate(
            name,
            name if self_signed else ca_name,
            key,
            key if self_signed else ca_key,
            self.hosts,
            expired=expired,
        )
        chain = self.directory / "upstream.pem"
        chain.write_bytes(
            leaf.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        chain.chmod(0o600)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        context.set_alpn_protocols(["h2", "http/1.1"] if self._http2 else ["http/1.1"])
        return context

    # -- HTTP/1 ----------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        number = self.accepted
        self._connections.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            tls = writer.get_extra_info("ssl_object")
            if tls is not None and tls.selected_alpn_protocol() == "h2":
                await Http2Side(self, reader, writer, number).serve()
                return
            while await self._one(reader, writer, number):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._connections.discard(writer)
            self.disconnected.set()
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        try:
            first = await reader.readexactly(1)
            if first == b"\x16" and not self._tls:  # TLS where there is none, answered as servers do
                writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
                return False
            head = first + await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            self.raw += error.partial
            return False
        self.raw += head
        line, *fields = head[:-4].decode("latin-1").split("\r\n")
        method, path, version = line.split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        request = SeenRequest(method, path, headers, connection=number, version=version)
        await self._note(request)
        if urlsplit(path).path == "/ws":
            await self.upgraded(request, reader, writer)
            return False
        if "100-continue" in request.all("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self._body(reader, request)
        if path.startswith("/early"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
        if path.startswith("/close"):
            return False
        response = await self.respond(request)
        return await _write_http1(writer, method, response)

    async def _body(self, reader: asyncio.StreamReader, request: SeenRequest) -> None:
        async for chunk in _read_body(reader, request):
            request.size += len(chunk)
            if len(request.body) < self.kept_body:
                request.body += chunk

    # -- what it answers -------------------------------------------------------------------------

    async def upgraded(
        self, request: SeenRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """The bytes back, whatever they are; until the client closes."""
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()

    def answers_at_once(self, request: SeenRequest) -> bool:
        """Over HTTP/2: `respond` is called before the body has come, and reads it from `arriving`."""
        return False

    async def respond(self, request: SeenRequest) -> Response:
        parts = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        match parts.path.split("/")[1:]:
            case ["user"]:
                if self.expected and request.all("authorization") != [self.expected]:
                    return Response(401, b'{"message":"Bad credentials"}')
                return Response(200, b'{"login":"octocat"}')
            case ["echo"]:
                text = json.dumps(
                    {"headers": request.headers, "body": request.body.decode("latin-1")}
                ).encode()
                headers = [("x-echo", value) for value in request.all("authorization")]
                if "gzip" in query:
                    return Response(200, gzip.compress(text), [*headers, ("content-encoding", "gzip")])
                return Response(200, text, headers)
            case ["sse"]:
                return Response(200, stream=self._events(int(query.get("n", "3"))), kind="text/event-stream")
            case ["download"]:
                size = int(query["size"])
                return Response(200, stream=_bulk(size), length=size, kind="application/octet-stream")
            case ["upload"]:
                return Response(200, json.dumps({"size": request.size}).encode())
            case ["status", code]:
                return Response(int(code), b"{}" if int(code) not in (204, 304) else b"")
            case ["redirect"]:
                return Response(302, b"", [("location", query["to"])])
            case ["chunked"]:
                return Response(200, stream=_bulk(200_000), trailers=[("x-checksum", "abc")])
            case ["hang"]:
                await asyncio.sleep(3600)
        return Response(200, b'{"path":%s}' % json.dumps(request.path).encode())

    async def _events(self, count: int) -> AsyncIterator[bytes]:
        for number in range(count):
            if self.gated:
                await self._permits.acquire()
            yield f"data: event {number}\n\n".encode()


async def _bulk(size: int) -> AsyncIterator[bytes]:
    block = bytes(range(256)) * (_CHUNK // 256)
    while size > 0:
        yield block[:size]
        size -= len(block)


async def _read_body(reader: asyncio.StreamReader, request: SeenRequest) -> AsyncIterator[bytes]:
    if request.all("transfer-encoding"):
        while size := int((await reader.readline()).split(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        while (line := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            request.headers.append((f"trailer:{name}", value.strip()))
        return
    left = int((request.all("content-length") or ["0"])[0])
    while left:
        chunk = await reader.read(min(left, _CHUNK))
        if not chunk:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(chunk)
        yield chunk


async def _write_http1(writer: asyncio.StreamWriter, method: str, response: Response) -> bool:
    lines = [f"HTTP/1.1 {response.status} Whatever", f"content-type: {response.kind}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    chunked = response.stream is not None and response.length is None
    if chunked:
        lines.append("transfer-encoding: chunked")
    elif response.status not in (204, 304):
        lines.append(f"content-length: {response.length if response.stream else len(response.body)}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    if method == "HEAD":
        return True
    if response.stream is None:
        writer.write(response.body)
    else:
        async for part in response.stream:
            writer.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            await writer.drain()
        if chunked:
            trailers = "".join(f"{name}: {value}\r\n" for name, value in response.trailers)
            writer.write(f"0\r\n{trailers}\r\n".encode())
    await writer.drain()
    return True
