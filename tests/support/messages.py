"""What the tests' upstream saw, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class SeenRequest:
    """What arrived: `headers` as sent, in order; `body` at most 64 KiB of it, `size` all of it.

    arriving: its body as it comes, b"" at the end, for an answer that does not wait for all of it (HTTP/2).
    """

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    size: int = 0
    connection: int = 0
    version: str = "HTTP/1.1"
    arriving: asyncio.Queue[bytes] | None = None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Response:
    """stream without length goes out chunked."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    kind: str = "application/json"
    stream: AsyncIterator[bytes] | None = None
    length: int | None = None
    trailers: list[tuple[str, str]] = field(default_factory=list)
