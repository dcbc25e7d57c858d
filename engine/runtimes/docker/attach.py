"""Standard streams over the connection that Docker gives away on `attach` and on the start of an `exec`.

By hand and not with aiodocker's Stream (0.27), which cannot close an agent's input without closing its
output too (`cat | wc` never ends), asks for the container's description before every attach, and holds
a frame back until it is whole. The protocol is small: after the `101` the socket carries the agent's
input one way and, the other way, raw bytes (with a terminal) or frames of an 8-byte head: stream
number, three zero bytes, length (big-endian); see "Attach to a container" in the Engine API.

Backpressure is the socket's own: nothing is read while the caller is busy, at most two read buffers are
held, and an agent that prints faster than it is read waits in its write.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from types import TracebackType
from urllib.parse import urlencode, urlsplit

from engine.errors import ContainerFailed, RuntimeUnavailable
from engine.runtimes.docker.errors import START_DAEMON, explain
from engine.runtimes.spec import Stream

READ_SIZE = 64 * 1024  # bytes
OPEN_TIMEOUT = 30.0  # seconds
CLOSE_TIMEOUT = 5.0  # seconds

_HEAD = struct.Struct(">BxxxL")
_STREAMS: dict[int, Stream] = {0: "stdout", 1: "stdout", 2: "stderr"}  # 0 is input, echoed on stdout
_SYSTEM_ERROR = 3

# Docker waits for these keys on a terminal's input and detaches: its default swallows every ctrl-p
# until the next key. Bytes that no UTF-8 keyboard sends leave all keys to the agent.
_NO_DETACH_KEYS = b"\xff,\xfe,\xff,\xfe"


class Attachment:
    """The streams of one container. Made by `open_attachment`, before the container starts."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        tty: bool,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._tty = tty
        self._stdin_open = True

    async def __aiter__(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """What the agent prints, whole and in order, until every process of it has closed its output.

        Pieces are at most READ_SIZE and cut anywhere. With a terminal all of it is "stdout". Raises
        RuntimeUnavailable when Docker goes away in the middle.
        """
        try:
            if self._tty:
                while data := await self._reader.read(READ_SIZE):
                    yield "stdout", data
                return
            while head := await self._head():
                number, length = _HEAD.unpack(head)
                if number == _SYSTEM_ERROR:
                    text = (await self._reader.readexactly(length)).decode(errors="replace")
                    raise explain("carry the agent's output", 0, text)
                if number not in _STREAMS:
                    raise ContainerFailed(
                        "Docker's output stream is not in its own format",
                        detail=f"There is no stream number {number}.",
                        remedy="Start the run again; report it if it happens twice.",
                    )
                while length:
                    data = await self._reader.read(min(length, READ_SIZE))
                    if not data:
                        raise asyncio.IncompleteReadError(b"", length)
                    length -= len(data)
                    yield _STREAMS[number], data
        except (asyncio.IncompleteReadError, OSError) as error:
            raise RuntimeUnavailable(
                "Docker broke off the agent's output", detail=str(error), remedy=START_DAEMON
            ) from error

    async def _head(self) -> bytes:
        """The next frame's head, or nothing at a clean end."""
        try:
            return await self._reader.readexactly(_HEAD.size)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return b""

    async def write(self, data: bytes) -> None:
        """Give the agent input; waits while it does not read. After the agent's end it goes nowhere."""
        if not self._stdin_open:
            return
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            self._stdin_open = False  # whether the agent ended or Docker died is told by the output's end

    async def close_stdin(self) -> None:
        """The agent reads end-of-file; its output goes on."""
        if self._stdin_open:
            self._stdin_open = False
            with contextlib.suppress(OSError):
                self._writer.write_eof()

    async def close(self) -> None:
        """Let go of the connection; the container is left alone."""
        self._stdin_open = False
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._writer.wait_closed()

    async def __aenter__(self) -> Attachment:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def open_attachment(address: str, api: str, container: str, *, stdin: bool, tty: bool) -> Attachment:
    """Attach to a container at the engine behind `address` ("unix:///path" or "tcp://host:port")."""
    return await open_streams(address, attach_request(api, container, stdin=stdin), "container", tty=tty)


async def open_streams(address: str, request: bytes, whose: str, *, tty: bool) -> Attachment:
    """Send a request that Docker answers by giving the connection away. whose: for messages."""
    try:
        async with asyncio.timeout(OPEN_TIMEOUT):
            reader, writer = await _open(address)
            try:
                writer.write(request)
                await _expect_upgrade(reader, whose)
            except BaseException:
                writer.close()
                raise
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
        raise RuntimeUnavailable(
            f"Docker did not hand over the {whose}'s streams",
            detail=str(error) or type(error).__name__,
            remedy=START_DAEMON,
        ) from error
    return Attachment(reader, writer, tty=tty)


def attach_request(api: str, container: str, *, stdin: bool) -> bytes:
    query = urlencode(
        {"stream": 1, "stdout": 1, "stderr": 1, "stdin": int(stdin), "logs": 0, "detachKeys": _NO_DETACH_KEYS}
    )
    return upgrade_request(f"/{api}/containers/{container}/attach?{query}")


def upgrade_request(target: str, body: bytes = b"") -> bytes:
    """A POST of `body`, which is JSON or nothing, that asks for the connection itself."""
    head = (
        f"POST {target} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


async def _open(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        return await asyncio.open_unix_connection(parts.path, limit=READ_SIZE)
    return await asyncio.open_connection(parts.hostname, parts.port or 2375, limit=READ_SIZE)


async def _expect_upgrade(reader: asyncio.StreamReader, whose: str) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status = head.split(" ", 2)[1]
    if status not in ("101", "200"):  # 200 is what engines say that do not upgrade but hijack all the same
        body = (await reader.read(4096)).decode(errors="replace")
        raise explain(f"hand over the {whose}'s streams", int(status) if status.isdigit() else 0, body)
