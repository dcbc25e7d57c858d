"""One request of the host's own to a service, with a credential: over verified TLS, to one place.

Redirects are not followed, for a credential would go along. The host's proxy settings (`HTTPS_PROXY`) are
honoured, unless the route says otherwise. No exception that leaves here holds anything of the request.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import IO, Any

from engine.grants.deadline import Deadline
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
    """Status and body, the body of a success only. Blocking, for `timeout` seconds at most.

    What resolves names has its own limit. Raises Unreachable.
    """
    route = route or Route()
    sent = urllib.request.Request(
        url,
        data=body or None,
        method=method,
        headers={"User-Agent": "moat", "Accept": "application/json", **headers},
    )
    with Deadline(timeout) as deadline:
        try:
            handlers = [_NoRedirect(), _Https(_trust(route.ca), deadline, route), *_proxy(route)]
            with urllib.request.build_opener(*handlers).open(sent, timeout=timeout) as answer:
                status, body = answer.status, answer.read(_LARGEST_ANSWER)
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, b""
        except urllib.error.URLError as error:
            raise _unreachable(error.reason, deadline) from None
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(error, deadline) from None
        if deadline.over:  # what was cut off looks like an end
            raise _unreachable(TimeoutError(), deadline)
        return status, body


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would send the credential's header on to wherever the answer points."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class _Https(urllib.request.HTTPSHandler):
    """Dials in time, and another address if the route has one; the certificate must still be the host's."""

    def __init__(self, context: ssl.SSLContext, deadline: Deadline, route: Route) -> None:
        super().__init__(context=context)
        self._trusting = context
        self._deadline = deadline
        self._address = route.address

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        deadline, detour = self._deadline, self._address

        class Connection(http.client.HTTPSConnection):
            def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401
                super().__init__(*args, **more)
                # What http.client dials with, before it speaks to a proxy or begins TLS.
                self._create_connection = lambda address, *_: deadline.dial(detour or address)

        return self.do_open(Connection, req, context=self._trusting)


def _proxy(route: Route) -> list[urllib.request.BaseHandler]:
    """None: the environment's."""
    if route.address:
        return [urllib.request.ProxyHandler({})]
    if route.proxy is None:
        return []
    return [urllib.request.ProxyHandler({"https": route.proxy} if route.proxy else {})]


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


def _unreachable(error: object, deadline: Deadline) -> Unreachable:
    return Unreachable(
        f"no whole answer came within {deadline.seconds:g} s" if deadline.over else _reason(error)
    )


def _reason(error: object) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate could not be verified: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
