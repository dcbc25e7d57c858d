"""The engine's own socket, for a container that is to be shown it."""

from __future__ import annotations

import os

import msgspec

from engine.runtimes.docker.address import DEFAULT_SOCKET
from engine.runtimes.spec import EngineInfo
from engine.runtimes.terms import Terms


def with_engine_socket(terms: Terms, address: str, engine: EngineInfo) -> Terms:
    """address: the engine's, as it was found. Nothing is added where it is no unix socket.

    Docker Desktop's engine lives in a virtual machine and has its socket there, of the group root.
    """
    if engine.platform == "desktop":
        return msgspec.structs.replace(terms, engine_socket=DEFAULT_SOCKET, engine_group=0)
    path = address.removeprefix("unix://")
    try:
        group = os.stat(path).st_gid if path.startswith("/") else None
    except OSError:
        group = None
    if group is None:
        return terms
    return msgspec.structs.replace(terms, engine_socket=path, engine_group=group)
