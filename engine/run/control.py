"""A run's control socket: one JSON line asks, one JSON line answers.

Viewers read files; this is only for acting. The socket lies in the run's private directory and is
itself 0600, so whoever can reach it already is the user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable

import msgspec

from engine.errors import HomeError, RunStateError
from engine.events import ControlReply, ControlRequest
from engine.home import Home
from engine.run.socket_path import short_path

CONTROL = "control.sock"

_REQUEST_LIMIT = 4096  # bytes; a request is one short line
_READ_TIMEOUT = 5.0  # seconds a client may take to send it


@contextlib.asynccontextmanager
async def serve_control(
    home: Home, run_id: str, answer: Callable[[ControlRequest], ControlReply]
) -> AsyncIterator[None]:
    """Answer requests with `answer` until left; then the socket is removed."""
    path = home.check(home.run(run_id) / CONTROL)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                line = await reader.readline()
            try:
                reply = answer(msgspec.json.decode(line, type=ControlRequest))
            except msgspec.MsgspecError:
                reply = ControlReply(ok=False, error="not a request")
            writer.write(msgspec.json.encode(reply) + b"\n")
            await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass  # a client that went away or sent nonsense; the run does not care
        finally:
            writer.close()

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as name:
            listener.bind(name)
        os.chmod(path, 0o600)
        server = await asyncio.start_unix_server(serve, sock=listener, limit=_REQUEST_LIMIT)
    except OSError as error:
        listener.close()
        raise HomeError(
            f"the control socket {path} could not be made: {error.strerror or error}",
            remedy="Free some space, or set MOAT_HOME to a directory on a local disk.",
        ) from error
    try:
        yield
    finally:
        server.close()
        with contextlib.suppress(OSError):
            os.unlink(path)


async def ask(home: Home, run_id: str, request: ControlRequest, timeout: float = 5.0) -> ControlReply:
    """Send one request to a live run. Raises RunStateError when nobody answers."""
    path = home.check(home.run(run_id) / CONTROL)
    try:
        async with asyncio.timeout(timeout):
            with short_path(path) as name:
                reader, writer = await asyncio.open_unix_connection(name)
            try:
                writer.write(msgspec.json.encode(request) + b"\n")
                await writer.drain()
                return msgspec.json.decode(await reader.readline(), type=ControlReply)
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, msgspec.MsgspecError) as error:
        raise RunStateError(
            f"run {run_id} does not answer on its control socket",
            detail=str(error) or type(error).__name__,
            remedy="If its supervisor died, the next command closes the run; see moat list.",
        ) from error
