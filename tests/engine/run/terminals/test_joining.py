"""A terminal's own end of a session, against a supervisor's that is quicker."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from engine.run.control.connecting import connect
from engine.run.terminals.frames import Kind, encode, number
from engine.run.terminals.joining import _Session

LAST = encode(Kind.STDOUT, b"no such command") + encode(Kind.EXIT, number(127))


@pytest.fixture
async def session() -> AsyncIterator[tuple[_Session, socket.socket, asyncio.StreamWriter]]:
    """A session, the supervisor's socket, and the session's writer."""
    here, there = socket.socketpair()
    reader, writer = await connect(sock=here)
    made = _Session("talk", reader, writer, tty=False)
    yield made, there, writer
    await made.close()
    there.close()


async def ended(session: _Session) -> None:
    assert [data async for _, data in session] == [b"no such command"]
    assert session.exit_code == 127


async def test_what_is_sent_to_nobody_takes_nothing_with_it(session) -> None:
    made, there, _ = session
    there.sendall(LAST)
    there.close()
    await made.close_stdin()
    await made.signal("TERM")
    await ended(made)


async def test_what_was_sent_and_not_read_takes_nothing_with_it(session) -> None:
    """The supervisor's side is closed with our end of input unread, which resets the connection."""
    made, there, writer = session
    await made.close_stdin()
    there.sendall(LAST)
    there.close()
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(writer.wait_closed(), 5)  # the reset was met before anybody read
    await ended(made)
