"""The load client of proxy.py: one process on one core, raw asyncio protocols, uvloop.

python proxy_load.py JSON     JSON: a Task; prints its result as JSON
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import statistics
import sys
import time

import msgspec
import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNK = b"\0" * 65536
_FRAME = b"\x82\x64" + b"x" * 100  # binary, whole, unmasked: it comes back as it is


class Task(msgspec.Struct):
    """proxy: its port, 0 for none; to: the port it is asked for; token: its password; ca: trusted."""

    kind: str
    port: int
    ca: str
    proxy: int = 0
    to: int = 443
    token: str = ""
    hosts: tuple[str, ...] = ("api.test",)
    connections: int = 1
    seconds: float = 2.0
    size: int = 0
    count: int = 0


class Client(asyncio.Protocol):
    """One connection. `answered` is called with the number of body bytes when a response is complete."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray()
        self.waiter: asyncio.Future[None] | None = None
        self.left = -1
        self.raw = False
        self.writable = asyncio.Event()
        self.writable.set()
        self.first = 0.0
        self.lost = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if not self.first:
            self.first = time.perf_counter()
        if self.raw:
            self.buffer += data
            self._wake()
            return
        if self.left < 0:
            self.buffer += data
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            found = _LENGTH.search(self.buffer, 0, end)
            self.status = int(self.buffer[9:12])
            length = int(found[1]) if found else 0
            self.left = length - (len(self.buffer) - end - 4)
            self.buffer.clear()
        else:
            self.left -= len(data)
        if self.left <= 0:
            self.left = -1
            self._wake()

    def connection_lost(self, exc):
        self.lost = True
        self._wake()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def _wake(self):
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def answer(self) -> None:
        self.waiter = self.loop.create_future()
        await self.waiter
        if self.lost:
            raise ConnectionError("the connection was lost")

    async def ask(self, data: bytes) -> None:
        self.first = 0.0
        self.waiter = self.loop.create_future()
        self.transport.write(data)
        await self.waiter
        if self.lost:
            raise ConnectionError("the connection was lost")
        if self.status != 200:
            raise RuntimeError(f"status {self.status}")


class Load:
    def __init__(self, task: Task) -> None:
        self.task = task
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.load_verify_locations(task.ca)
        self.context.set_alpn_protocols(["http/1.1"])

    async def connect(self, host: str) -> Client:
        loop = asyncio.get_running_loop()
        task = self.task
        if not task.proxy:
            _, client = await loop.create_connection(
                Client, "127.0.0.1", task.port, ssl=self.context, server_hostname=host
            )
            return client
        transport, client = await loop.create_connection(Client, "127.0.0.1", task.proxy)
        password = base64.b64encode(f"moat:{task.token}".encode()).decode()
        head = (
            f"CONNECT {host}:{task.to} HTTP/1.1\r\nHost: {host}:{task.to}\r\n"
            f"Proxy-Authorization: Basic {password}\r\n\r\n"
        )
        await client.ask(head.encode())
        client.transport = await loop.start_tls(transport, client, self.context, server_hostname=host)
        return client

    def get(self, host: str, path: str = "/json") -> bytes:
        port = "" if self.task.to == 443 else f":{self.task.to}"
        credential = "Authorization: Bearer placeholder\r\n" if host == "api.test" else ""
        return (
            f"GET {path} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: moat-benchmark/1\r\nAccept: */*\r\n"
            f"Accept-Encoding: gzip, deflate\r\n{credential}\r\n"
        ).encode()

    async def rates(self) -> dict[str, float]:
        """Requests a second over kept connections, and the median latency in ms."""
        task = self.task
        times: list[float] = []
        clients = [await self.connect(task.hosts[0]) for _ in range(task.connections)]
        data = self.get(task.hosts[0])
        until = [0.0]

        async def one(client: Client) -> None:
            while (begin := time.perf_counter()) < until[0]:
                await client.ask(data)
                times.append(time.perf_counter() - begin)

        until[0] = time.perf_counter() + min(0.5, task.seconds / 4)
        await asyncio.gather(*map(one, clients))
        times.clear()
        begin = time.perf_counter()
        until[0] = begin + task.seconds
        await asyncio.gather(*map(one, clients))
        took = time.perf_counter() - begin
        for client in clients:
            client.transport.abort()
        return {"rate": len(times) / took, "p50": statistics.median(times) * 1000}

    async def fresh(self) -> dict[str, float]:
        """Requests a second with a new connection each."""
        task = self.task
        data = self.get(task.hosts[0])
        done = [0]
        begin = time.perf_counter()

        async def one() -> None:
            while time.perf_counter() < begin + task.seconds:
                client = await self.connect(task.hosts[0])
                await client.ask(data)
                client.transport.abort()
                done[0] += 1

        await asyncio.gather(*(one() for _ in range(task.connections)))
        return {"rate": done[0] / (time.perf_counter() - begin)}

    async def down(self) -> dict[str, float]:
        client = await self.connect(self.task.hosts[0])
        begin = time.perf_counter()
        await client.ask(self.get(self.task.hosts[0], f"/down/{self.task.size}"))
        took = time.perf_counter() - begin
        client.transport.abort()
        return {"rate": self.task.size / took / 1e6}

    async def up(self) -> dict[str, float]:
        host, size = self.task.hosts[0], self.task.size
        client = await self.connect(host)
        port = "" if self.task.to == 443 else f":{self.task.to}"
        begin = time.perf_counter()
        client.waiter = client.loop.create_future()
        client.transport.write(
            f"POST /up HTTP/1.1\r\nHost: {host}{port}\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Length: {size}\r\n\r\n".encode()
        )
        while size > 0:
            await client.writable.wait()
            client.transport.write(_CHUNK[:size])
            size -= len(_CHUNK)
        await client.waiter
        took = time.perf_counter() - begin
        client.transport.abort()
        return {"rate": self.task.size / took / 1e6}

    async def event(self) -> dict[str, float]:
        """ms from the request to the first event of a stream that then stays silent; median of `count`."""
        times = []
        client = await self.connect(self.task.hosts[0])
        await client.ask(self.get(self.task.hosts[0]))
        for _ in range(self.task.count):
            client.first, client.raw = 0.0, True
            begin = time.perf_counter()
            client.transport.write(self.get(self.task.hosts[0], "/events"))
            while b"data: last" not in client.buffer:
                await client.answer()
                if b"data: first" in client.buffer and not client.buffer.count(b"seen"):
                    times.append(time.perf_counter() - begin)
                    client.buffer += b"seen"
            while b"0\r\n\r\n" not in client.buffer:
                await client.answer()
            client.buffer.clear()
        client.transport.abort()
        return {"p50": statistics.median(times) * 1000}

    async def echo(self) -> dict[str, float]:
        """Median ms of a WebSocket message of 100 bytes there and back."""
        host = self.task.hosts[0]
        client = await self.connect(host)
        port = "" if self.task.to == 443 else f":{self.task.to}"
        client.raw = True
        client.transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {host}{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in client.buffer:
            await client.answer()
        times = []
        for _ in range(self.task.count):
            client.buffer.clear()
            begin = time.perf_counter()
            client.waiter = client.loop.create_future()
            client.transport.write(_FRAME)
            await client.waiter
            while len(client.buffer) < len(_FRAME):
                await client.answer()
            times.append(time.perf_counter() - begin)
        client.transport.abort()
        return {"p50": statistics.median(times) * 1000}

    async def hosts(self) -> dict[str, float]:
        """`count` requests spread over all hosts, a connection kept for each."""
        clients = {host: await self.connect(host) for host in self.task.hosts}
        for number in range(self.task.count):
            host = self.task.hosts[number % len(self.task.hosts)]
            await clients[host].ask(self.get(host))
        for client in clients.values():
            client.transport.abort()
        return {}


def main() -> None:
    task = msgspec.json.decode(sys.argv[1], type=Task)
    load = Load(task)
    result = uvloop.run(getattr(load, task.kind)())
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
