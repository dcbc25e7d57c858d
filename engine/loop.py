"""The event loop of a process that runs a proxy: uvloop's, where it is available."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

_TURN = 0.0005  # seconds


def run_in_loop[T](work: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run. A request through the proxy costs a third less in uvloop than in asyncio's own loop."""
    # The audit log's thread holds up the request that waits for its entry: it must not wait the usual 5 ms
    # for its turn beside a busy loop.
    sys.setswitchinterval(_TURN)
    try:
        import uvloop
    except ImportError:  # Windows, and machines that have no build of it
        return asyncio.run(work)
    return uvloop.run(work)
