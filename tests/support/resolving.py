"""A resolver that answers what a test wants, and nobody who would answer a connection."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[Any]:
    """getaddrinfo answers with `addresses`; returns what was then connected to."""
    dialled: list[Any] = []

    async def getaddrinfo(self: object, host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    async def connect(host: str, port: int) -> Any:
        dialled.append((host, port))
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(asyncio, "open_connection", connect)
    return dialled
