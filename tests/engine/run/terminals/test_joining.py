"""A terminal's own end of a session, against a supervisor's that is quicker."""

from __future__ import annotations

import asyncio
import socket

from engine.run.terminals.frames import Kind, encode, number
from engine.run.terminals.joining import _Session


async def test_a_program_that_ends_before_its_input_is_read_to_its_end():
    """What is sent to nobody any more must not take with it what has come: its exit code."""
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=here)
    session = _Session("talk", reader, writer, tty=False)
    there.sendall(encode(Kind.STDOUT, b"no such command") + encode(Kind.EXIT, number(127)))
    there.close()
    await session.close_stdin()
    await session.signal("TERM")
    assert [data async for _, data in session] == [b"no such command"]
    assert session.exit_code == 127
    await session.close()
