"""Asking a service whether it takes a credential, before it is stored.

The value goes to one host of its own grant, over verified TLS, and redirects are not followed. The
host's proxy settings (`HTTPS_PROXY`) are honoured. No exception that leaves here holds the value.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import IO

import msgspec

from engine.errors import GrantError
from engine.grants.table import Provider, Validation, render_header, rule_for
from engine.grants.tokens import check_token

_LARGEST_ANSWER = 1024 * 1024
_UNCHECKED = "Try again, or store it unchecked with --no-validate."


async def validate(provider: Provider, token: str, *, timeout: float = 15.0) -> str:
    """Whose credential it is, "" when the service does not say or has no request for it.

    timeout: seconds for everything. Raises GrantError when the service refuses or cannot be asked.
    """
    token = check_token(token)
    request = provider.validation
    rule = rule_for(provider, request.url) if request else None
    if request is None or rule is None:
        return ""
    header = (rule.header, render_header(rule, token))
    try:
        async with asyncio.timeout(timeout):
            status, body = await _in_thread(lambda: _ask(request, header, timeout))
    except TimeoutError:
        raise GrantError(f"{provider.title} did not answer within {timeout:g} s", remedy=_UNCHECKED) from None
    except _Unreachable as error:
        raise GrantError(
            f"{provider.title} cannot be reached to check the credential",
            remedy=_UNCHECKED,
            detail=str(error),
        ) from None
    if status in request.refused:
        raise GrantError(
            f"{provider.title} refused the credential for {provider.name} (status {status})",
            remedy="Make sure it is whole, not expired or revoked, and for this service; --no-validate "
            "stores it unchecked.",
        )
    if not 200 <= status < 300:
        raise GrantError(
            f"{provider.title} answered {status}, so the credential could not be checked", remedy=_UNCHECKED
        )
    return _account(body, request.account)


class _Unreachable(Exception):
    """Why, in words that hold nothing of the request."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would send the credential's header on to wherever the answer points."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def _ask(request: Validation, header: tuple[str, str], timeout: float) -> tuple[int, bytes]:
    """Status and body. Raises _Unreachable. `timeout` bounds each wait; the caller bounds the whole."""
    sent = urllib.request.Request(
        request.url,
        data=request.body.encode() or None,
        method=request.method,
        headers={"User-Agent": "moat", "Accept": "application/json", **request.headers, header[0]: header[1]},
    )
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=_trust()))
    try:
        with opener.open(sent, timeout=timeout) as answer:
            return answer.status, answer.read(_LARGEST_ANSWER)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except urllib.error.URLError as error:
        raise _Unreachable(_reason(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Unreachable(_reason(error)) from None


def _trust() -> ssl.SSLContext:
    """The system's authorities (SSL_CERT_FILE too) and certifi's, for interpreters that find none."""
    context = ssl.create_default_context()
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


def _account(body: bytes, path: str) -> str:
    """The text at the dotted `path` of a JSON answer, one printable line, "" when it is not there."""
    if not path:
        return ""
    try:
        found: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    text = found if isinstance(found, str) else ""
    return "".join(char for char in text if char.isprintable())[:80]


async def _in_thread[T](work: Callable[[], T]) -> T:
    """As asyncio.to_thread, but a thread that hangs (a name server, a slow answer) never delays our end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only when T allows it

    def run() -> None:
        try:
            outcome: tuple[T | None, Exception | None] = (work(), None)
        except Exception as error:
            outcome = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile, nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="moat-validate", daemon=True).start()
    return await future
