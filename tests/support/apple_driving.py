"""What the tests of Apple containers share beside their fixtures."""

from __future__ import annotations

import os

from engine.runtimes import open_runtime

RUN = "run_0123456789ab"
USER = f"{os.getuid()}:{os.getgid()}"


def open_apple():
    return open_runtime("apple", os.environ)


async def whole(streams):
    """What came by stdout and by stderr."""
    out = {"stdout": b"", "stderr": b""}
    async for stream, data in streams:
        out[stream] += data
    return out["stdout"], out["stderr"]
