"""Docker: the engine's API over its local socket."""

from __future__ import annotations

import ssl


def _import_aiohttp_without_roots() -> None:
    """Import aiohttp before anybody else here does, without its reading of the root certificates.

    aiohttp 3.14 loads the system's roots into two contexts when it is imported (aiohttp/connector.py): 35 ms
    at the start of every run, for TLS that is not spoken on this socket. Should anything in this process
    ever speak TLS through aiohttp's default context, that context trusts nobody, so it fails closed.
    """

    def load_nothing(self: ssl.SSLContext) -> None:
        pass

    # The one that `load_default_certs` calls too. It is inherited, so deleting ours brings it back.
    ssl.SSLContext.set_default_verify_paths = load_nothing  # type: ignore[method-assign]
    try:
        import aiohttp.connector  # noqa: F401
    finally:
        del ssl.SSLContext.set_default_verify_paths


_import_aiohttp_without_roots()
