"""Input for an agent that does not take it."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from engine.run.terminals.interactive import joined
from engine.run.terminals.terminal import AgentIO


@pytest.fixture
def endless():
    fd = os.open("/dev/zero", os.O_RDONLY)
    yield fd
    os.close(fd)


async def nothing(*_) -> None:
    """What is asked of the agent beside its input."""


def test_the_reader_ends_with_an_agent_that_takes_nothing_more(endless):
    """Without a word: a thread that dies of an error says so on the person's terminal."""
    taken = []
    before = set(threading.enumerate())  # another test's reader may wait for input that never comes

    async def life() -> None:
        enough = asyncio.Event()

        async def write(data: bytes) -> None:
            taken.append(len(data))
            enough.set()
            await asyncio.Event().wait()

        async with joined(AgentIO(stdin=endless), write, nothing, nothing):
            await asyncio.wait_for(enough.wait(), 5)

    asyncio.run(life())
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    assert len(taken) == 1


async def test_all_of_it_in_order_and_then_its_end():
    here, there = os.pipe()
    taken = bytearray()
    ended = asyncio.Event()

    async def write(data: bytes) -> None:
        await asyncio.sleep(0)
        taken.extend(data)

    async def close_stdin() -> None:
        ended.set()

    text = bytes(range(256)) * 2000
    feeding = threading.Thread(target=lambda: (os.write(there, text[:1]), _write_all(there, text[1:])))
    feeding.start()
    async with joined(AgentIO(stdin=here), write, close_stdin, nothing):
        await asyncio.wait_for(ended.wait(), 10)
    feeding.join()
    os.close(here)
    assert taken == text


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
    os.close(fd)
