"""`python -m engine.anchors.pushing`: what background.py starts. What came of it is in heads/anchors/."""

from __future__ import annotations

import asyncio

from engine.anchors.service import push_heads
from engine.errors import MoatError
from engine.home import Home

if __name__ == "__main__":
    try:
        asyncio.run(push_heads(Home.default(), wait=True))
    except MoatError as error:
        raise SystemExit(str(error)) from error
