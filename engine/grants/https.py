"""One request of the host's own to a service, with a credential: over verified TLS, to one place.

Redirects are not followed, for a credential would go along. The host's proxy settings (`HTTPS_PROXY`) are
honoured, unless the route says otherwise. No exception that leaves here holds anything of the request.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import IO

from engine.grants.route import Route

_LARGEST_ANSWER = 1024 * 1024


class Unreachable(Exception):
    """Why, in words that hold nothing of the request."""


def ask(
    url: str,
    headers: dict[str, str],
    *,
    timeout: float,
    method: str = "GET",
    body: bytes = b"",
    route: Route | None = None,
) -> tuple[int, bytes]:
    """Status and body, the body of a success only. Blocking: `timeout` bounds each wait, in seconds.

    Raises Unreachable.
    """
    route = route or Route()
    sent = urllib.request.Request(
        url,
        data=body or None,
        method=method,
        headers={"User-Agent": "moat", "Accept": "application/json", **headers},
    )
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    try:
        context = _trust(route.ca)
        if route.address:
            handlers += [urllib.request.ProxyHandler({}), _Detour(context, route.address)]
        else:
            if route.proxy is not None:
                handlers.append(urllib.request.ProxyHandler({"https": route.proxy} if route.proxy else {}))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        with urllib.request.build_opener(*handlers).open(sent, timeout=timeout) as answer:
            return answer.status, answer.read(_LARGEST_ANSWER)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except urllib.error.URLError as error:
        raise Unreachable(_reason(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(_reason(error)) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would send the credential's header on to wherever the answer points."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class _Detour(urllib.request.HTTPSHandler):
    """Dials another address; the certificate must still be the host's."""

    def __init__(self, context: ssl.SSLContext, address: tuple[str, int]) -> None:
        super().__init__(context=context)
        self._trusting = context
        self._address = address

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        trusting, address = self._trusting, self._address

        class Connection(http.client.HTTPSConnection):
            def connect(self) -> None:
                plain = socket.create_connection(address, self.timeout)
                self.sock = trusting.wrap_socket(plain, server_hostname=self.host)

        return self.do_open(Connection, req, context=trusting)


def _trust(more: Path | None) -> ssl.SSLContext:
    """The system's authorities (SSL_CERT_FILE too) and certifi's, if that finds none; and `more`."""
    context = ssl.create_default_context()
    if more is not None:
        context.load_verify_locations(more)
    try:
        import certifi
    except ImportError:
        return context
    context.load_verify_locations(certifi.where())
    return context


def _reason(error: object) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate could not be verified: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
