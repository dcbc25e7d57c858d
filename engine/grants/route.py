"""How the person's own settings (`--connect-to`, CAs, the network's proxy) lead the host's own requests."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Route(msgspec.Struct, frozen=True):
    """address: dialled instead of the host's own. ca: a PEM file that is trusted besides. proxy: a URL, which
    may hold its password; "" for none, None for the environment's.
    """

    address: tuple[str, int] | None = None
    ca: Path | None = None
    proxy: str | None = None

    def __repr__(self) -> str:
        return f"Route(address={self.address}, ca={self.ca})"
