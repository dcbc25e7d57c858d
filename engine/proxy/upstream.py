"""Opens the connection that a layer asked for, to an address that was checked, and carries it."""

from __future__ import annotations

import asyncio
import contextlib
import time

from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO

from engine.proxy import answers
from engine.proxy.answers import Answer
from engine.proxy.dial import Dialer, DialFailed, DialRefused
from engine.proxy.stream import Failure

HANDSHAKE_TIMEOUT = 20.0  # seconds from TCP's connection to TLS's


async def open_upstream(handler: ConnectionHandler, dialer: Dialer, command: commands.OpenConnection) -> None:
    """mitmproxy's open_connection without its hooks. `connection.address` stays the name that was asked
    for, so that reuse, SNI and verification go by it; the socket goes where the dialler says.
    """
    connection = command.connection
    assert connection.address is not None
    host, port = connection.address[:2]
    connection.timestamp_start = time.time()
    try:
        reader, writer = await dialer.dial(host, port)
    except DialRefused as error:
        refused = answers.refusal(403, error.rule, f"{host}:{port}", error.message, error.remedy)
        await _failed(handler, command, refused)
    except DialFailed as error:
        await _failed(handler, command, answers.upstream_failure(host, str(error)))
    except asyncio.CancelledError:
        # the layer still waits for its answer; then the cancellation goes on
        await _failed(handler, command, answers.upstream_failure(host, "the connection was given up"))
        raise
    except Exception:
        await _failed(handler, command, answers.INTERNAL)
    else:
        connection.state = ConnectionState.OPEN
        connection.timestamp_tcp_setup = time.time()
        connection.peername = writer.get_extra_info("peername")
        connection.sockname = writer.get_extra_info("sockname")
        task = asyncio.current_task()
        assert task is not None
        handler.transports[connection] = ConnectionIO(handler=task, reader=reader, writer=writer)
        timer = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, _give_up, connection, task)
        try:
            await handler.server_event(events.OpenConnectionCompleted(command, None))
            await handler.handle_connection(connection)
        finally:
            timer.cancel()
            connection.timestamp_end = time.time()
            if not writer.is_closing():
                with contextlib.suppress(OSError):
                    writer.close()


async def _failed(handler: ConnectionHandler, command: commands.OpenConnection, answer: Answer) -> None:
    failure = Failure.of(answer)
    command.connection.error = failure
    # a dead connection must not look alive to the layers
    handler.transports.pop(command.connection, None)
    await handler.server_event(events.OpenConnectionCompleted(command, failure))


def _give_up(connection: Server, task: asyncio.Task[None]) -> None:
    if connection.tls and not connection.tls_established:
        task.cancel("no TLS handshake in time")
