"""mitmproxy's connection handler, held to account: it ends when told, when silent, and when a layer crashes.

Nothing in here knows what a request may do; that is `connection`.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any

from mitmproxy.proxy import commands, server

from engine.proxy.http1_head import HEAD_TIMEOUT
from engine.proxy.layer_options import MODE, OPTIONS, silence
from engine.proxy.stream import GuardedLayer

_MAX_HELD = 4 * 1024 * 1024  # bytes that may wait in either direction of one agent connection

silence()


class WatchedHandler(server.LiveConnectionHandler):
    """Run `handle_client()` to serve it; `abort()` ends it. crashes: of layers and hooks, unexpected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer, OPTIONS, MODE)
        self._http: GuardedLayer | None = None
        self._hook_tasks: set[asyncio.Task[Any]] = set()
        self._progress = asyncio.Event()
        self._silence: asyncio.TimerHandle | None = None  # runs while nothing came through the tunnel
        self.crashes = 0

    async def handle_client(self) -> None:
        try:
            await super().handle_client()
        finally:
            self._spoke()
            for task in self._hook_tasks:
                task.cancel()

    def _expect(self) -> None:
        self._silence = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self.abort)

    def _spoke(self) -> None:
        if self._silence is not None:
            self._silence.cancel()

    def abort(self) -> None:
        """Cut it now, upstreams included."""
        for io in list(self.transports.values()):
            if io.handler is not None:
                io.handler.cancel("aborted")
            elif isinstance(io.writer, asyncio.StreamWriter):
                io.writer.transport.abort()

    def log(
        self,
        message: str,
        level: int = logging.INFO,
        exc_info: bool | tuple[type[BaseException], BaseException, TracebackType | None] | None = None,
    ) -> None:
        """mitmproxy's lines quote requests, so none is kept. A layer that crashed must not go on half-way."""
        if exc_info:
            self.crashes += 1
            self.abort()

    async def drain_writers(self) -> None:
        """Also stops reading from a side whose earlier bytes still wait: the agent's for a decision or a
        connection, an HTTP/1 upstream's for an HTTP/2 agent's window. TCP alone lets them pile up here.
        """
        await super().drain_writers()  # type: ignore[no-untyped-call]
        task = asyncio.current_task()
        source = next((conn for conn, io in self.transports.items() if io.handler is task), None)
        while self._http is not None and source is not None:
            agents = source is self.client
            held = self._http.held_for_upstream() if agents else self._http.held_for_agent(source)
            if held <= _MAX_HELD:
                return
            self._progress.clear()
            await self._progress.wait()

    async def hook_task(self, hook: commands.StartHook) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._hook_tasks.add(task)
        try:
            await super().hook_task(hook)
        finally:
            self._hook_tasks.discard(task)
