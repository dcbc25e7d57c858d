"""The streams, against a daemon played by a few lines: every cut, every end."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ContainerFailed, RuntimeUnavailable
from engine.runtimes.docker.attach import Attachment, attach_request, open_attachment

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"

type Daemon = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


@asynccontextmanager
async def attached(
    tmp_path, daemon: Daemon, *, tty: bool = False, stdin: bool = True
) -> AsyncIterator[Attachment]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await daemon(reader, writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    path = tmp_path / "d.sock"
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(serve, path)
    async with (
        server,
        await open_attachment(f"unix://{path}", "v1.41", "abc", stdin=stdin, tty=tty) as attachment,
    ):
        yield attachment


async def gather(attachment: Attachment) -> dict[str, bytes]:
    said = {"stdout": b"", "stderr": b""}
    async for stream, data in attachment:
        assert data
        said[stream] += data
    return said


async def collect(attachment: Attachment, into: list[bytes]) -> None:
    async for _, data in attachment:
        into.append(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=12),
    st.lists(st.integers(0, 4000), max_size=8),
)
def test_whatever_the_cuts_nothing_is_lost_or_mixed(tmp_path, frames, cuts) -> None:
    wire = UPGRADED + b"".join(frame(stream, data) for stream, data in frames)
    edges = [0, *sorted(cut % len(wire) for cut in cuts), len(wire)]

    async def daemon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for start, end in itertools.pairwise(edges):
            writer.write(wire[start:end])
            await writer.drain()
            await asyncio.sleep(0)

    async def scenario() -> dict[str, bytes]:
        async with attached(tmp_path, daemon) as attachment:
            return await gather(attachment)

    said = asyncio.run(scenario())
    assert said["stdout"] == b"".join(data for stream, data in frames if stream == 1)
    assert said["stderr"] == b"".join(data for stream, data in frames if stream == 2)


async def test_with_a_terminal_bytes_pass_raw(tmp_path) -> None:
    raw = frame(2, b"looks like a frame") + bytes(range(256))

    async def daemon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED + raw)

    async with attached(tmp_path, daemon, tty=True) as attachment:
        assert await gather(attachment) == {"stdout": raw, "stderr": b""}


async def test_input_ends_without_ending_the_output(tmp_path) -> None:
    async def daemon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED)
        given = await reader.read()  # to the end
        writer.write(frame(1, given.upper()))

    async with attached(tmp_path, daemon) as attachment:
        await attachment.write(b"to the ")
        await attachment.write(b"agent")
        await attachment.close_stdin()
        await attachment.close_stdin()
        await attachment.write(b"too late")
        assert (await gather(attachment))["stdout"] == b"TO THE AGENT"


async def test_a_daemon_that_dies_in_a_frame_is_an_error_and_what_came_is_kept(tmp_path) -> None:
    for cut in (3, 12):
        wire = frame(1, b"half of this")[:cut]

        async def daemon(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: bytes = wire
        ) -> None:
            writer.write(UPGRADED + wire)

        came: list[bytes] = []
        async with attached(tmp_path, daemon) as attachment:
            with pytest.raises(RuntimeUnavailable, match="broke off"):
                await collect(attachment, came)
        assert b"".join(came) == wire[8:]


async def test_the_daemons_own_error_stream_is_an_error(tmp_path) -> None:
    async def daemon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED + frame(3, b"write /x: no space left on device"))

    async with attached(tmp_path, daemon) as attachment:
        with pytest.raises(ContainerFailed, match="full"):
            await gather(attachment)


async def test_an_unknown_stream_is_not_guessed_at(tmp_path) -> None:
    async def daemon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED + frame(9, b"x"))

    async with attached(tmp_path, daemon) as attachment:
        with pytest.raises(ContainerFailed, match="not in its own format"):
            await gather(attachment)


async def test_a_refused_attachment_says_why(tmp_path) -> None:
    async def daemon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'HTTP/1.1 404 Not Found\r\nContent-Length: 36\r\n\r\n{"message":"No such container: abc"}'
        )

    with pytest.raises(ContainerFailed, match="the container is gone"):
        async with attached(tmp_path, daemon):
            pass


async def test_a_reader_that_waits_makes_the_agent_wait(tmp_path) -> None:
    """Bounded memory: of endless output only the buffers of the socket and the reader are taken."""
    sent = 0
    stuck = asyncio.Event()

    async def daemon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(UPGRADED)
        piece = frame(1, b"x" * 32_768)
        while sent < 64 * 1024 * 1024:
            writer.write(piece)
            sent += len(piece)
            try:
                async with asyncio.timeout(0.5):
                    await writer.drain()
            except TimeoutError:
                stuck.set()
                return

    async with attached(tmp_path, daemon):
        async with asyncio.timeout(20):
            await stuck.wait()
        assert sent < 4 * 1024 * 1024


async def test_input_after_the_agents_end_goes_nowhere(tmp_path) -> None:
    async def daemon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED)

    async with attached(tmp_path, daemon) as attachment:
        assert await gather(attachment) == {"stdout": b"", "stderr": b""}
        for _ in range(20):
            await attachment.write(b"anybody there?\n" * 1000)


def test_no_key_detaches() -> None:
    request = attach_request("v1.41", "abc", stdin=True)
    assert b"detachKeys=%FF%2C%FE%2C%FF%2C%FE" in request
    assert b"stdin=1" in request
    assert b"stdin=0" in attach_request("v1.41", "abc", stdin=False)
