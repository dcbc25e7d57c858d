"""How the person's own flags (`--connect-to`, `--upstream-ca`) lead a request of the host's own."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Route(msgspec.Struct, frozen=True):
    """address: dialled instead of the host's own. ca: a PEM file that is trusted besides."""

    address: tuple[str, int] | None = None
    ca: Path | None = None
