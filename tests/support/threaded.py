"""An upstream in a thread of its own, for tests that wait for other processes."""

from __future__ import annotations

import asyncio
import threading

from support.upstream import Upstream


class ThreadedUpstream[U: Upstream]:
    """Runs from here on; `close` ends it."""

    def __init__(self, upstream: U) -> None:
        self.upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(upstream.start())

    def flags(self) -> list[str]:
        """What `moat run` needs to reach and trust it."""
        entries = [("--connect-to", self.upstream.connect_to(host)) for host in self.upstream.hosts]
        return [*(part for entry in entries for part in entry), "--upstream-ca", str(self.upstream.ca_file)]

    def permit(self) -> None:
        """Let one server-sent event go."""
        self._loop.call_soon_threadsafe(self.upstream.permit)

    def close(self) -> None:
        self._call(self.upstream.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)
