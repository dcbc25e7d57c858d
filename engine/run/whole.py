"""Requests that make something in the engine, and a cancellation that must not cut them in two."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def whole[T](request: Coroutine[Any, Any, T]) -> T:
    """Let a request that makes something in the engine end before a cancellation goes on.

    The engine would finish it anyway, and what is made after the removal of the run's things stays for ever.
    """
    asked = asyncio.ensure_future(request)
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        await asyncio.wait({asked})
        if not asked.cancelled():
            asked.exception()  # looked at: it has nobody left to matter to
        raise
