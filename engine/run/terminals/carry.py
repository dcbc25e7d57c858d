"""The agent's output on its way out: to the sinks byte for byte, then to the run's files.

A sink may block for as long as its reader likes. It is called in a thread of its own, so a reader that
stopped reading slows the agent and neither the proxy nor the control socket; and a daemon thread, so a
reader that never reads again cannot keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable

from engine.run.terminals.terminal import AgentIO
from engine.runtimes import Attachment

LAST_OUTPUT = 10.0  # seconds of silence after the agent's end that are taken for the end of its output

type _Handed = tuple[str, bytes, asyncio.Future[None]]


class Carrier:
    """`carry` as a task for the agent's whole life; after the agent's end, `finish` with that task."""

    def __init__(
        self,
        attachment: Attachment,
        io: AgentIO,
        keep: Callable[[str, bytes], Awaitable[None]],
        notice: Callable[[str], None],
    ) -> None:
        self._attachment = attachment
        self._sinks = {"stdout": io.stdout, "stderr": io.stderr}
        self._keep = keep
        self._notice = notice
        self._handed: queue.SimpleQueue[_Handed | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._moved = self._loop.time()
        self._writing = False
        self._abandoned: asyncio.Future[None] = self._loop.create_future()

    async def carry(self) -> None:
        """Until the output's end. Raises what the attachment raises; a sink that fails is only left out."""
        threading.Thread(target=self._write_on, name="moat-output", daemon=True).start()
        try:
            async for stream, data in self._attachment:
                if not self._abandoned.done():
                    await self._write(stream, data)
                await self._keep(stream, data)
                self._moved = self._loop.time()
        finally:
            self._handed.put(None)

    def abandon(self) -> None:
        """Wait for no sink any more: what is still to come goes to the run's files only.

        Without this a reader that stalls would hold up the engine itself, which tells of an agent's end
        (Docker 20.10 even of a killed one's) only when its output was taken.
        """
        if not self._abandoned.done():
            self._abandoned.set_result(None)

    async def abandon_when_stalled(self) -> None:
        """Abandon once a sink has taken nothing for LAST_OUTPUT seconds."""
        while True:
            left = self._patience()
            if left <= 0 and self._writing:
                self.abandon()
                return
            await asyncio.sleep(left if left > 0 else LAST_OUTPUT)

    async def finish(self, carrying: asyncio.Task[None], stop: asyncio.Event, kill: asyncio.Event) -> None:
        """Wait for the rest. Silence is bounded, not the time: a slow reader gets every byte.

        stop: a person wants an end, so a reader that takes nothing is given up. kill: at once.
        """
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(event.wait()) for event in (stop, kill)]
            while not carrying.done():
                left = self._patience()
                if kill.is_set() or (left <= 0 and stop.is_set() and self._writing):
                    self.abandon()
                if left <= 0 and not self._writing:
                    break
                waits = {carrying, *(task for task in asked if not task.done())}
                timeout = left if left > 0 else LAST_OUTPUT
                await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in asked:
                task.cancel()
        if not carrying.done():
            carrying.cancel()
            self._notice("the end of the agent's output did not come; what was seen is kept")

    def _patience(self) -> float:
        """Seconds until the output has been silent for long enough."""
        return self._moved + LAST_OUTPUT - self._loop.time()

    async def _write(self, stream: str, data: bytes) -> None:
        written = self._loop.create_future()
        self._handed.put((stream, data, written))
        self._writing = True
        await asyncio.wait({written, self._abandoned}, return_when=asyncio.FIRST_COMPLETED)
        self._writing = False
        if self._abandoned.done():
            self._notice("the agent's output is not being read; the rest of it goes only to the log")

    def _write_on(self) -> None:
        while (item := self._handed.get()) is not None:
            stream, data, written = item
            sink = self._sinks.get(stream)
            if sink is not None:
                try:
                    sink(data)
                except Exception as error:  # whoever wrote the sink: the agent's work does not depend on it
                    del self._sinks[stream]
                    problem = str(error) or type(error).__name__
                    self._tell(self._notice, f"the agent's {stream} goes only to the log now: {problem}")
            self._tell(_done, written)

    def _tell[T](self, call: Callable[[T], None], value: T) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call, value)


def _done(written: asyncio.Future[None]) -> None:
    if not written.done():
        written.set_result(None)
