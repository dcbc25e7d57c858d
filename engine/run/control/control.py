"""A run's control socket: one JSON line asks, one JSON line answers.

Viewers read files; this is only for acting. What asks for a session (SESSIONS) goes on talking over the same
connection after the answer, in frames. The socket lies in the run's private directory and is
itself 0600, so whoever can reach it already is the user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from engine.errors import HomeError, RunStateError
from engine.events import ControlReply, ControlRequest
from engine.home import Home
from engine.run.control.connecting import connect
from engine.run.control.socket_path import short_path
from engine.run.control.socket_peer import SocketPeer, peer_of

CONTROL = "control.sock"
SESSIONS = frozenset({"exec", "attach"})  # requests that a `converse` answers

type Converse = Callable[[ControlRequest, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
type Report = Callable[[ControlRequest, SocketPeer], Awaitable[ControlReply]]

_REQUEST_LIMIT = 256 * 1024  # bytes; a request is one line, and may hold a command
_READ_TIMEOUT = 5.0  # seconds a client may take to send it


@contextlib.asynccontextmanager
async def serve_control(
    home: Home,
    run_id: str,
    answer: Callable[[ControlRequest], ControlReply],
    converse: Converse | None = None,
    report: Report | None = None,
) -> AsyncIterator[None]:
    """Answer requests with `answer` until left; then the socket is removed.

    converse: answers a request for a session and holds it. It raises nothing but what a lost client raises,
    and whoever gave it ends the sessions that are open. report: answers a report, told who sent it.
    """
    path = home.check(home.run(run_id) / CONTROL)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                line = await reader.readline()
            try:
                request = msgspec.json.decode(line, type=ControlRequest)
            except (msgspec.MsgspecError, RecursionError):
                await send_reply(writer, ControlReply(ok=False, error="not a request"))
                return
            if converse is not None and request.op in SESSIONS:
                await converse(request, reader, writer)
            elif report is not None and request.op == "report":
                await send_reply(writer, await report(request, peer_of(writer.get_extra_info("socket"))))
            else:
                await send_reply(writer, answer(request))
        except (TimeoutError, OSError, ValueError):
            pass  # a client that went away or sent nonsense; the run does not care
        finally:
            writer.close()

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The name is held as long as the server is: Python 3.13 looks again at what lies there, and a number
    # that another thread's file has got meanwhile is not this directory any more.
    with contextlib.ExitStack() as held:
        try:
            listener.bind(held.enter_context(short_path(path)))
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


async def send_reply(writer: asyncio.StreamWriter, reply: ControlReply) -> None:
    writer.write(msgspec.json.encode(reply) + b"\n")
    await writer.drain()


async def ask(home: Home, run_id: str, request: ControlRequest, timeout: float = 5.0) -> ControlReply:
    """Send one request to a live run. Raises RunStateError when nobody answers."""
    reply, _, writer = await open_talk(home, run_id, request, timeout)
    writer.close()
    return reply


async def open_talk(
    home: Home, run_id: str, request: ControlRequest, timeout: float
) -> tuple[ControlReply, asyncio.StreamReader, asyncio.StreamWriter]:
    """As `ask`, and the connection stays open, for the caller to close."""
    path = home.check(home.run(run_id) / CONTROL)
    try:
        async with asyncio.timeout(timeout):
            with short_path(path) as name:
                reader, writer = await connect(name)
            try:
                writer.write(msgspec.json.encode(request) + b"\n")
                await writer.drain()
                return msgspec.json.decode(await reader.readline(), type=ControlReply), reader, writer
            except BaseException:
                writer.close()
                raise
    except (OSError, TimeoutError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise RunStateError(
            f"run {run_id} does not answer on its control socket",
            detail=str(error) or type(error).__name__,
            remedy="If its supervisor died, the next command closes the run; see moat list.",
        ) from error
