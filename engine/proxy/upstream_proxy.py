"""The network's own proxy, where a company lets nothing out but through it.

It resolves the names, so Moat cannot check the address that is dialled there: names that only mean
something inside a network are refused, as private addresses are. Its password is sent to it alone.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from engine.errors import UsageError
from engine.proxy.destination import BadDestination, Destination, normalise_host

CONNECT_TIMEOUT = 10.0  # seconds until the proxy itself is reached
ANSWER_TIMEOUT = 30.0  # seconds for the proxy to have made its connection
NONE = "none"
_MAX_ANSWER = 16 * 1024  # bytes of its head
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
# Special-use and customary names of private networks (RFC 6761, 6762, 8375; ICANN's "internal")
_LOCAL = (
    "localhost",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "localdomain",
    "arpa",
)


class Refused(Exception):
    """It made no connection; the text says why, and quotes nothing of its answer."""


class UpstreamProxy(msgspec.Struct, frozen=True):
    """credentials: `user:password`, or empty. no_proxy: as the variable: names and suffixes, or `*`."""

    host: str
    port: int
    credentials: str = ""
    no_proxy: str = ""

    def __repr__(self) -> str:
        return f"UpstreamProxy({self})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("host", self.host), ("port", self.port)]

    def __str__(self) -> str:
        return str(Destination(self.host, self.port))

    def takes(self, host: str, port: int) -> bool:
        """Whether a connection to `host` goes through it."""
        # here, because most runs have no such proxy, and it costs as much as all of asyncio
        from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

        return not proxy_bypass_environment(f"{host}:{port}", {"no": self.no_proxy})

    async def tunnel(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to `host` (normalised) through it. Raises Refused, OSError or TimeoutError."""
        async with asyncio.timeout(CONNECT_TIMEOUT):
            reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(self._request(Destination(host, port)))
            async with asyncio.timeout(ANSWER_TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
            raise Refused("the upstream proxy did not answer as a proxy") from None
        except BaseException:
            writer.transport.abort()
            raise
        if problem := _problem(head):
            writer.transport.abort()
            raise Refused(problem)
        return reader, writer

    def _request(self, destination: Destination) -> bytes:
        authority = str(destination)
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self.credentials:
            encoded = base64.b64encode(self.credentials.encode()).decode()
            lines.append(f"Proxy-Authorization: Basic {encoded}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _problem(head: bytes) -> str:
    found = _STATUS.match(head)
    status = int(found.group(1)) if found and len(head) <= _MAX_ANSWER else 0
    if 200 <= status < 300:
        return ""
    if status == 407:
        return "the upstream proxy wants a user and password, or other ones than it was given"
    return (
        f"the upstream proxy refused it ({status})"
        if status
        else "the upstream proxy did not answer as a proxy"
    )


def is_local_name(host: str) -> bool:
    """A name that only means something inside some network; what it leads to there nobody here can check."""
    return "." not in host or host.rpartition(".")[2] in _LOCAL


def parse_upstream_proxy(url: str, no_proxy: str, said_by: str) -> UpstreamProxy:
    """Raises UsageError, which does not repeat the URL: it may hold a password."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise BadDestination("it is not of the form http://[USER:PASSWORD@]HOST:PORT")
        host, _ = normalise_host(parts.hostname or "")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if ":" in user or not (user + password).isprintable():
            raise BadDestination("its user or password holds characters that cannot be sent")
        port = parts.port or 80
    except ValueError as error:  # BadDestination is one, and urlsplit's own
        raise UsageError(
            f"cannot use the upstream proxy of {said_by}",
            detail=str(error) if isinstance(error, BadDestination) else "it is not a URL",
            remedy="Write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT.",
        ) from None
    return UpstreamProxy(host, port, f"{user}:{password}" if user or password else "", no_proxy)


def find_upstream_proxy(settled: str, environ: Mapping[str, str]) -> UpstreamProxy | None:
    """The one of config.yaml (`none`: none at all), else that of the environment, if any."""
    if settled == NONE:
        return None
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if settled:
        return parse_upstream_proxy(settled, no_proxy, "network.upstream_proxy in config.yaml")
    for name in _VARIABLES:
        if environ.get(name):
            return parse_upstream_proxy(environ[name], no_proxy, f"the variable {name}")
    return None
