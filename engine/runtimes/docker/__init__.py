"""Docker: the engine's API over its local socket."""

from __future__ import annotations

import ssl


def _import_aiohttp_without_roots() -> None:
    """Import aiohttp before anybody else here does, without its reading of the root certificates.

    aiohttp 3.14 loads the system's roots into a context when it is imported (aiohttp/connector.py): 35 ms
    at the start of every run, for TLS that is not spoken on this socket. Should anything in this process
    ever speak TLS through aiohttp's default context, that context trusts nobody, so it fails closed.
    """

    def load_nothing(self: ssl.SSLContext, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
        pass

    load = ssl.SSLContext.load_default_certs
    ssl.SSLContext.load_default_certs = load_nothing  # type: ignore[method-assign]
    try:
        import aiohttp.connector  # noqa: F401
    finally:
        ssl.SSLContext.load_default_certs = load  # type: ignore[method-assign]


_import_aiohttp_without_roots()
